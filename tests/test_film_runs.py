"""Films by the whole command: distractors across, within and mixed, streams, times in the report, and every mistake."""

import re

import jax
import numpy as np
import pytest
from clips import STEP, write_clip
from commands import assert_continues_bit_for_bit, evaluated, lines, read_config, train
from finished_runs import GAP, SHORT_FILMS, VIDEO, film_times

from mi_coding import embed, load_encoder, main
from mi_coding.evaluation import films, report_sections
from mi_coding.runs import build
from mi_coding.runs.build import with_parts
from mi_coding.runs.evaluate import trained_codes
from mi_coding.runs.run import prepare
from mi_coding.training.devices import data_parallel
from mi_coding.training.step import init_state, make_step


@pytest.fixture(scope="module")
def across(finished_runs):
    """A finished run on three films, whose distractors are moments of all films."""
    return finished_runs("films")


@pytest.fixture(scope="module")
def source(across, tmp_path_factory):
    """The overrides of other runs on these films, with a cache of their own."""
    return [
        f"--config.data.source=video:{across.data}/*.mp4",
        f"--config.data.cache_dir={tmp_path_factory.mktemp('c')}",
    ]


def test_a_run_bounds_the_information_across_films_and_within_them(across):
    summary = across.summary
    assert summary["heldout/num_candidates"] == 16
    assert summary["heldout_within/num_candidates"] == 2
    assert summary["heldout_within/mi_lower_bound_nats"] <= summary["heldout_within/mi_ceiling_nats"] == np.log(2)
    assert not any(name.startswith("probe/") for name in summary)


def test_the_report_shows_pairs_with_the_times_of_their_frames(across, monkeypatch):
    given, strip = [], films.film_strip
    monkeypatch.setattr(films, "film_strip", lambda *arguments: given.append(arguments) or strip(*arguments))
    run = prepare(read_config(*across.overrides, config=VIDEO), across.workdir, print)
    report_sections(run.plan.evaluators, trained_codes(run, run.initial_state.variables), across.summary)
    ((x, y, names, times, description),) = given
    assert "two moments of one film, 0.1 s apart; each film cut in time" in description
    assert "when each of the two frames begins to be shown" in across.report
    for shown_x, shown_y, name, (begin_x, begin_y) in zip(x, y, names, times, strict=True):
        starts = film_times(name[0])
        for frame, begin in ((shown_x, begin_x), (shown_y, begin_y)):
            number = round(frame.mean() / STEP)
            assert begin == pytest.approx(starts[number], abs=1e-6)
        assert abs(begin_y - begin_x - GAP) < 0.06  # to within one frame, the longest of which is shown so long


def test_the_report_has_the_bound_as_a_function_of_the_gap(across):
    assert "Bound by gap" in across.report
    assert (across.workdir / "plots" / "gaps.png").stat().st_size > 10_000


def test_every_frame_of_other_films_has_a_code_in_the_order_shown(across, tmp_path):
    for name, times in {"f": [0, 50, 130], "e": [0, 40]}.items():
        write_clip(tmp_path / f"{name}.mp4", times)
    given = {"workdir": across.workdir, "source": f"video:{tmp_path}/*.mp4", "output": tmp_path / "codes.npz"}
    assert embed.main(["embed", *(f"--{name}={value}" for name, value in given.items())]) == 0
    with np.load(tmp_path / "codes.npz") as file:
        times = {"e": (0.0, 0.04), "f": (0.0, 0.05, 0.13)}
        assert file["paths"].tolist() == [f"{tmp_path}/{e}.mp4 at {t:.3f} s" for e in times for t in times[e]]
        black = load_encoder(across.workdir)(np.zeros((2, 8, 8, 3), np.uint8))
        np.testing.assert_allclose(file["codes"][[0, 2]], black, atol=0.05)  # but for what the codec does to black


def test_distractors_within_a_film_have_the_n_of_a_group(source, tmp_path):
    within = "--config.pairs.distractors=within"
    trained = train(tmp_path / "run", *SHORT_FILMS, *source, within, config=VIDEO)
    summary = evaluated(trained)
    assert summary["heldout/num_candidates"] == 2
    assert summary["heldout_across/num_candidates"] == 16
    ceilings = {line["train/mi_ceiling_nats"] for line in lines(tmp_path / "run") if "train/loss" in line}
    assert ceilings == {np.log(2)}


@pytest.fixture(scope="module")
def mixed(source, tmp_path_factory):
    """A run on a stream of films with distractors of both kinds, which ended as one that was continued."""
    stream = ["--config.data.placement=stream", "--config.data.num_workers=1", "--config.checkpoint.every_steps=2"]
    overrides = [*SHORT_FILMS, *source, *stream, "--config.pairs.distractors=mixed"]
    return assert_continues_bit_for_bit(tmp_path_factory.mktemp("mixed"), *overrides, config=VIDEO)


def test_a_run_on_a_stream_of_films_continues_bit_for_bit(mixed):
    training = [line for line in lines(mixed.run.workdir) if "train/loss" in line]
    assert all("train/input_wait_share" in line for line in training)


def test_training_with_mixed_distractors_logs_no_bound(mixed):
    training = [line for line in lines(mixed.run.workdir) if "train/loss" in line]
    assert not any("train/mi_lower_bound_nats" in line for line in training)
    assert {"heldout/mi_lower_bound_nats", "heldout_within/mi_lower_bound_nats"} <= evaluated(mixed).keys()


@pytest.mark.parametrize("distractors", [pytest.param("within", marks=pytest.mark.soak), "mixed"])
def test_the_number_of_devices_changes_neither_loss_nor_parameters(distractors):
    plan = build.plan(read_config(*SHORT_FILMS, f"--config.pairs.distractors={distractors}", config=VIDEO))
    method = with_parts(plan, [{"shape": (8, 8, 3)}], 0, num_devices=1, num_steps=4)
    experiment = build.build_experiment(plan, method, 4, streamed=False)
    films = small_films()
    found = {}
    for count in (1, 4):
        how = data_parallel("shard_map", jax.local_devices()[:count])
        step = how.parallel(make_step(experiment, jax.random.key(0), count))
        state, data = how.replicate(init_state(experiment, jax.random.key(1), films)), how.replicate(films)
        for _ in range(2):
            state, metrics = jax.block_until_ready(step(state, data))  # as the loop does on virtual devices
        found[count] = how.fetch((state.params, metrics["loss"]))
    for one, four in zip(*map(jax.tree.leaves, found.values()), strict=True):
        np.testing.assert_allclose(one, four, rtol=2e-4, atol=1e-6)


def small_films():
    from mi_coding.pairs import Films

    count, rng = np.array([9, 6, 8]), np.random.default_rng(0)
    times = np.concatenate([np.arange(n) / 20 for n in count])
    frames = rng.integers(0, 255, (count.sum(), 8, 8, 3)).astype(np.uint8)
    first, film = np.cumsum(count) - count, np.array([0, 1, 1])
    return jax.tree.map(
        jax.numpy.asarray,
        Films(frames, np.float32(times), first, count, np.float32(count / 20), film, np.float32(GAP)),
    )


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["--config.pairs.distractors=inside"], ["config.pairs.distractors='inside'", "across, within, mixed"]),
        (
            ["--config.pairs.distractors=within", "--config.pairs.group_size=3"],
            ["group_size=3", "the 2 pairs", "do: 2"],
        ),
        (["--config.pairs.distractors=mixed", "--config.pairs.group_size=1"], ["group_size=1", "at least 2"]),
        (["--config.pairs.group_size=1"], ["config.pairs.group_size=1", "at least 2"]),
        (["--config.pairs.gap=0.0"], ["config.pairs.gap=0.0", "> 0"]),
        (["--config.pairs.gap=10.0"], ["gap=10 s: the longest of 3 film(s)", "expected a gap below 1."]),
        (["--config.pairs.gap=0.5"], ["takes more than 5 gaps", "expected a gap below 0."]),
        (["--config.pairs.steps=({'name':'spin'},)"], ["config.pairs.steps: no augmentation is called 'spin'"]),
        (
            ["--config.pairs.steps=({'name':'random_resized_crop','size':5},)"],
            ["config.pairs.steps turn frames of", "into 5 × 5 × 3"],
        ),
        (["--config.pairs.distinct=True"], ["config.pairs.distinct=True is for images"]),
        (["--config.data.frame_rate=-1.0"], ["config.data.frame_rate=-1.0", "≥ 0"]),
        (["--config.data.source=video:"], ["names nothing", "'video:clips/*.mp4'"]),
        (["--config.data.source=video:nowhere/*.mp4"], ["matches nothing"]),
        (["--config.data.source=digits"], ["makes pairs of frames of films", "digits has images"]),
        (
            ["--config.pairs.distractors=within", "--config.objective.num_distractors=1"],
            ["takes all of a group", "num_distractors=1"],
        ),
    ],
)
def test_a_mistake_is_told_in_one_line_and_nothing_is_written(source, capsys, tmp_path, overrides, words):
    command = ["main", f"--config={VIDEO}", f"--workdir={tmp_path / 'run'}", *SHORT_FILMS, *source]
    assert main.main([*command, *overrides]) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1
    assert [word for word in words if word not in errors[0]] == [], errors[0]
    assert not (tmp_path / "run").exists()


def test_films_that_are_left_out_are_warned_of_on_the_terminal(tmp_path, capsys):
    folder = tmp_path / "clips"
    folder.mkdir()
    (folder / "torn.mp4").write_text("no film")
    films_there = f"--config.data.source=video:{folder}/*"
    assert main.main(["main", f"--config={VIDEO}", f"--workdir={tmp_path / 'run'}", *SHORT_FILMS, films_there]) == 2
    error = capsys.readouterr().err
    assert re.search(r"none of 1 file\(s\) is a film: .*torn\.mp4: invalid data", error)
