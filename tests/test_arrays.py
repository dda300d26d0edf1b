"""Arrays of one's own by the whole command: given pairs trained, continued, embedded and judged on other data."""

import json
import math

import numpy as np
import pytest
from commands import (
    CPC,
    SHORT,
    assert_same_losses,
    assert_same_parameters,
    begun,
    evaluated,
    fitting,
    parameters,
    read_config,
    train,
)
from finished_runs import ARRAYS, save_pairs

import mi_coding
from mi_coding import embed, evaluate, main
from mi_coding.errors import InputError
from mi_coding.runs.restore import restore
from mi_coding.runs.run import prepare


def run(workdir, path, *more, config=ARRAYS):
    return main.main(
        ["main", f"--config={config}", f"--config.data.source=npz:{path}", f"--workdir={workdir}", *SHORT, *more]
    )


@pytest.fixture(scope="module")
def arrays(finished_runs):
    return finished_runs("arrays")


@pytest.fixture(scope="module")
def pairs(arrays):
    return arrays.data / "pairs.npz"


@pytest.fixture(scope="module")
def finished(arrays):
    return arrays.workdir


def summary_of(workdir, name="summary.json"):
    return json.loads((workdir / name).read_text())


def test_vectors_give_every_number_and_a_report_without_pictures_of_them(finished):
    summary = summary_of(finished)
    assert summary["heldout/num_candidates"] == 16
    assert all(math.isfinite(summary[key]) for key in ("heldout/mi_lower_bound_nats", "health/alignment"))
    assert 0 <= summary["probe/linear_accuracy"] <= 1
    assert {path.stem for path in (finished / "plots").iterdir()} == {"bound", "probes", "codes", "few_labels"}
    assert "Nearest neighbours" not in (finished / "report.html").read_text()


UNSCALED = np.array([1e-3, 1e4, 1.0]), np.array([0.0, 3e4, -7.0])
"""Factors and offsets of the columns of x."""


def unscaled(path, source):
    """The pairs of another file, with the columns of x in other units."""
    with np.load(source) as file:
        np.savez(path, x=file["x"] * UNSCALED[0] + UNSCALED[1], y=file["y"], labels=file["labels"])
    return path


@pytest.mark.soak
def test_units_of_columns_change_neither_training_nor_codes(arrays, pairs, tmp_path):
    other, workdir = unscaled(tmp_path / "other.npz", pairs), tmp_path / "run"
    assert run(workdir, other) == 0
    ours, theirs = parameters(workdir), parameters(arrays.workdir)
    for name, leaf in ours.items():
        np.testing.assert_allclose(leaf, theirs[name], rtol=2e-2, atol=2e-3, err_msg=name)
    with np.load(pairs) as file:
        x = file["x"]
    expected = mi_coding.load_encoder(arrays.workdir)(x)
    np.testing.assert_allclose(mi_coding.load_encoder(workdir)(x * UNSCALED[0] + UNSCALED[1]), expected, atol=2e-2)
    assert embed.main(["embed", f"--workdir={workdir}", f"--source=npz:{other}", f"--output={tmp_path / 'c.npz'}"]) == 0
    with np.load(tmp_path / "c.npz") as file:
        np.testing.assert_allclose(file["codes"], expected, atol=2e-2)
    assert evaluate.main(["evaluate", f"--workdir={workdir}", f"--source=npz:{other}"]) == 0
    (found,) = workdir.glob("evaluation-*.json")
    figures = json.loads(found.read_text()), json.loads((workdir / "summary.json").read_text())
    assert figures[0]["heldout/mi_lower_bound_nats"] == pytest.approx(
        figures[1]["heldout/mi_lower_bound_nats"], abs=1e-4
    )
    assert "mean 0 and deviation 1 on the training split" in figures[1]["data/notes"]


def test_tables_that_are_left_as_they_are_have_no_scale(pairs, tmp_path, capsys):
    workdir = tmp_path / "run"
    assert run(workdir, unscaled(tmp_path / "other.npz", pairs), "--config.pairs.table_scale=none") == 0
    assert "mean 0" not in capsys.readouterr().out
    assert restore(workdir, pytest.fail).scale is None


def test_a_batch_with_more_pairs_than_there_are_examples_is_warned_of(tmp_path):
    source = f"--config.data.source=npz:{save_pairs(tmp_path / 'few.npz', count=20)}"
    warnings = []
    for size in (8, 24):
        overrides = [*fitting(ARRAYS, *SHORT, source), f"--config.batch_size={size}"]
        prepare(read_config(*overrides, config=ARRAYS), tmp_path / "run", warnings.append)
    (warning,) = warnings
    assert warning.startswith(
        "batch_size 24 draws each of the 14 training examples 1.7 times: many distractors share the"
    )


def test_memorised_pairs_are_warned_of(tmp_path):
    few = save_pairs(tmp_path / "few.npz", count=60)
    greedy = ["--config.num_steps=120", "--config.optimizer.learning_rate=0.03", "--config.optimizer.weight_decay=0.0"]
    source = f"--config.data.source=npz:{few}"
    overrides = [*SHORT, *greedy, source, "--config.evaluation.every_steps=10", "--config.pairs.table_scale=none"]
    trained = train(tmp_path / "run", *overrides, config=ARRAYS)
    evaluated(trained)
    assert any("the training pairs are memorised (overfitting)" in warning for warning in trained.warnings)


def test_x_and_y_have_an_encoder_each(finished):
    first = {name: leaf for name, leaf in parameters(finished).items() if name.endswith("Dense_0/kernel")}
    assert first["params/encoder/x/backbone/Dense_0/kernel"].shape == (3, 4)
    assert first["params/encoder/y/backbone/Dense_0/kernel"].shape == (2, 4)


def test_a_run_on_arrays_in_memory_continues_bit_for_bit(arrays, tmp_path):
    workdir = arrays.copy(tmp_path / "run", cut_back_to=3)
    train(workdir, *arrays.overrides, config=ARRAYS)
    assert_same_parameters(workdir, arrays.workdir)
    assert_same_losses(workdir, arrays.workdir)


def one_line(capsys):
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [({"count": 190}, "training examples was 146 and is 139"), ({"width": 1}, "examples was [{")],
)
def test_a_run_is_not_continued_on_other_data(tmp_path, capsys, change, words):
    path = save_pairs(tmp_path / "pairs.npz")
    begun(tmp_path / "run", f"--config.data.source=npz:{path}", config=ARRAYS)
    save_pairs(path, **change)
    assert run(tmp_path / "run", path) == 2
    told = one_line(capsys)
    assert "the data has changed since the run began: " in told
    assert words in told


def test_a_run_that_is_refused_on_other_data_stays_as_it_was(tmp_path, capsys):
    path, workdir = save_pairs(tmp_path / "pairs.npz"), tmp_path / "run"
    at_step_2 = {"change": lambda state: state._replace(step=state.step + 2)}
    begun(workdir, f"--config.data.source=npz:{path}", config=ARRAYS, **at_step_2)
    (workdir / "summary.json").write_text("{}")
    kept = {name: (workdir / name).read_text() for name in ("config.json", "summary.json")}
    save_pairs(path, seed=1)
    assert run(workdir, path, "--config.num_steps=9") == 2
    assert "the data has changed since the run began: " in one_line(capsys)
    assert {path.name: path.read_text() for path in workdir.glob("*.json")} == kept


@pytest.mark.parametrize("half", ["x", "y"])
def test_all_rows_are_embedded_in_their_order(finished, pairs, tmp_path, half):
    output = tmp_path / "codes.npz"
    assert (
        embed.main(["embed", f"--workdir={finished}", f"--source=npz:{pairs}", f"--output={output}", f"--half={half}"])
        == 0
    )
    with np.load(output) as codes, np.load(pairs) as arrays:
        expected = mi_coding.load_encoder(finished, half=half)(arrays[half])
        np.testing.assert_allclose(codes["codes"], expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(codes["labels"], arrays["labels"])
        assert codes["paths"][[0, 150]].tolist() == ["pairs.npz[0]", "pairs.npz[150]"]


def judge(workdir, source, *more):
    return evaluate.main(["evaluate", f"--workdir={workdir}", f"--source={source}", *more])


def test_judged_on_its_own_data_a_run_is_worth_what_its_summary_says(finished, pairs, tmp_path, capsys):
    before = (finished / "summary.json").read_text()
    assert judge(finished, f"npz:{pairs}", f"--output={tmp_path / 'own.json'}") == 0
    judged, summary = summary_of(tmp_path, "own.json"), json.loads(before)
    assert (judged.pop("evaluation/source"), judged.pop("evaluation/step")) == (f"npz:{pairs}", 6)
    assert judged == {key: value for key, value in summary.items() if not key.startswith("train/")}
    assert (finished / "summary.json").read_text() == before
    assert "held-out bound on mutual information" in capsys.readouterr().out


def test_other_data_have_numbers_of_their_own_beside_the_summary(arrays, tmp_path):
    other, workdir = save_pairs(tmp_path / "other.npz", seed=1, count=150), arrays.copy(tmp_path / "run")
    assert judge(workdir, f"npz:{other}") == 0
    (written,) = workdir.glob("evaluation-*-other.npz-*.json")
    judged = summary_of(workdir, written.name)
    assert judged["heldout_largest/num_candidates"] == 27  # a fifth of the examples whose label is known
    assert judged["heldout/mi_lower_bound_nats"] != arrays.summary["heldout/mi_lower_bound_nats"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--source=digits"], "examples of shape (8, 8, 1); the run was trained on (3,) and (2,)"),
        (["--source=npz:/nowhere.npz"], "--source='npz:/nowhere.npz' does not exist"),
        (["--source=digit"], "did you mean 'digits'?"),
        ([], "no --source given"),
        (["--source=digits", "--output=/nowhere/at/all.json"], "is not a file in an existing folder"),
    ],
)
def test_data_that_a_run_cannot_be_judged_on_are_told(finished, capsys, options, words):
    assert evaluate.main(["evaluate", f"--workdir={finished}", *options]) == 2
    assert words in one_line(capsys)


def test_a_work_directory_that_is_not_there_is_told_and_no_output_that_was_not_given(tmp_path, capsys):
    assert judge(tmp_path / "nowhere", "digits") == 2
    assert one_line(capsys).startswith(f"mi_coding: error: --workdir={tmp_path / 'nowhere'} is not a directory")


def test_images_of_another_size_come_with_what_would_work(tmp_path, capsys):
    begun(tmp_path / "run", config=CPC)
    np.savez(tmp_path / "images.npz", images=np.zeros((40, 9, 9), np.uint8))
    assert judge(tmp_path / "run", f"npz:{tmp_path / 'images.npz'}") == 2
    told = one_line(capsys)
    assert "shape (9, 9, 1); the run was trained on (8, 8, 1): --image_size=8 --channels=1 converts" in told


def test_given_images_with_one_encoder_for_both_are_shown_as_they_are(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (60, 8, 8)).astype(np.uint8)
    np.savez(tmp_path / "pairs.npz", x=x[..., None], y=255 - x[..., None])
    options = ["--config.encoder.name=convnet", "--config.pairs.encoders=shared"]
    assert run(tmp_path / "run", tmp_path / "pairs.npz", *options) == 0
    assert {path.stem for path in (tmp_path / "run" / "plots").iterdir()} == {"bound", "pairs", "codes", "neighbours"}
    encode_x, encode_y = (mi_coding.load_encoder(tmp_path / "run", half=half) for half in "xy")
    np.testing.assert_array_equal(encode_x(x[..., None]), encode_y(x[..., None]))
    page = (tmp_path / "run" / "report.html").read_text()
    assert "the x and the y of one row" in page
    assert "<details><summary>File names</summary>" in page
    assert "pairs.npz[" in page


def test_an_image_and_a_vector_have_an_encoder_of_their_kind_each(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.random((60, 8, 8, 1)).astype(np.float32), rng.normal(size=(60, 3)).astype(np.float32)
    np.savez(tmp_path / "pairs.npz", x=x, y=y)
    kinds = ["--config.encoder.name=convnet", "--config.encoder_y.name=mlp", "--config.encoder_y.widths=(5,)"]
    source = f"--config.data.source=npz:{tmp_path / 'pairs.npz'}"
    trained = train(tmp_path / "run", *SHORT, source, *kinds, config=ARRAYS)
    kernels = {name: leaf.shape for name, leaf in parameters(tmp_path / "run").items() if "encoder" in name}
    assert kernels["params/encoder/x/backbone/Conv_0/kernel"] == (5, 5, 1, 4)
    assert kernels["params/encoder/y/backbone/Dense_0/kernel"] == (3, 5)
    assert evaluated(trained)["heldout/num_candidates"] == 16
    encode_x, encode_y = (mi_coding.load_encoder(tmp_path / "run", half=half) for half in "xy")
    assert encode_x(x).shape == encode_y(y).shape == (60, 4)
    assert mi_coding.load_encoder(tmp_path / "run", layer="places")(x).ndim == 4
    with pytest.raises(InputError, match="has no layer 'places'"):
        mi_coding.load_encoder(tmp_path / "run", layer="places", half="y")


@pytest.mark.parametrize(
    ("config", "overrides", "words"),
    [
        (
            ARRAYS,
            ["--config.encoder_y.name=signal"],
            "encoder_y.name='signal' takes signals (samples, channels)",
        ),
        (ARRAYS, ["--config.data.source=digits"], "needs arrays x and y, and digits has single examples"),
        (CPC, [], "holds given pairs, x and y of shape (3,) and (2,); expected config.pairs.name='given'"),
        (ARRAYS, ["--config.pairs.encoders=shared"], "on x and y of shape (3,) and (2,): one encoder takes one shape"),
        (ARRAYS, ["--config.pairs.encoders=both"], "expected one of separate, shared"),
        (ARRAYS, ["--config.encoder.name=convnet"], "takes images (height, width, 1 or 3)"),
        (ARRAYS, ["--config.data.image_size=8"], "config.data.image_size=8 is for images; "),
        (ARRAYS, ["--config.pairs.distinct=True", "--config.batch_size=160"], "batch_size 160, 146 training examples"),
    ],
)
def test_pairs_that_the_data_has_none_of_are_told(pairs, tmp_path, capsys, config, overrides, words):
    assert run(tmp_path / "run", pairs, *overrides, config=config) == 2
    assert words in one_line(capsys)
    assert not (tmp_path / "run").exists()
