"""Films by the whole command: distractors across, within and mixed, streams, times in the report, and every mistake."""

import json
import re

import jax
import numpy as np
import pytest
from clips import STEP, write_clip
from commands import ROOT, TINY, assert_killed_ends_as_straight, fitting, lines, read_config

from mi_coding import embed, load_encoder, main
from mi_coding.evaluation import films
from mi_coding.runs import build
from mi_coding.runs.run import with_parts
from mi_coding.training.devices import data_parallel
from mi_coding.training.step import init_state, make_step

VIDEO = str(ROOT / "configs" / "cpc_video.py")
GAP = 0.1
SHORT = [
    *fitting(VIDEO, *TINY),
    "--config.num_steps=4",
    "--config.optimizer.warmup_steps=2",
    "--config.log.every_steps=2",
    "--config.evaluation.every_steps=4",
    "--config.data.image_size=8",
    f"--config.pairs.gap={GAP}",
    "--config.pairs.group_size=2",
]


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Three films of 30 frames, shown at irregular times, which say their numbers by their brightness."""
    folder = tmp_path_factory.mktemp("clips")
    for seed, name in enumerate("abc"):
        times = np.cumsum(np.random.default_rng(seed).integers(20, 60, 30))
        write_clip(folder / f"{name}.mp4", times - times[0])
    return folder


@pytest.fixture(scope="module")
def command(clips, tmp_path_factory):
    """Runs the command on these films, with a cache of its own; the last --config.KEY given counts."""
    cache = tmp_path_factory.mktemp("cache")

    def run(workdir, *overrides, source=f"video:{clips}/*.mp4"):
        where = [f"--config.data.source={source}", f"--config.data.cache_dir={cache}", f"--workdir={workdir}"]
        return main.main(["main", f"--config={VIDEO}", *SHORT, *where, *overrides])

    return run


@pytest.fixture(scope="module")
def across(command, tmp_path_factory):
    """A finished run, its summary, and what its report was given to show of pairs."""
    workdir, given = tmp_path_factory.mktemp("runs") / "across", []
    with pytest.MonkeyPatch.context() as patch:
        strip = films.film_strip
        patch.setattr(films, "film_strip", lambda *arguments: given.append(arguments) or strip(*arguments))
        assert command(workdir) == 0
    return workdir, json.loads((workdir / "summary.json").read_text()), given[0]


def test_a_run_bounds_the_information_across_films_and_within_them(across):
    summary = across[1]
    assert summary["heldout/num_candidates"] == 16
    assert summary["heldout_within/num_candidates"] == 2
    assert summary["heldout_within/mi_lower_bound_nats"] <= summary["heldout_within/mi_ceiling_nats"] == np.log(2)
    assert not any(name.startswith("probe/") for name in summary)


def test_the_report_shows_pairs_with_the_times_of_their_frames(across):
    workdir, _, (x, y, names, times, how) = across
    assert "two moments of one film, 0.1 s apart; each film cut in time" in how
    page = (workdir / "report.html").read_text()
    assert "when each of the two frames begins to be shown" in page
    for shown_x, shown_y, name, (begin_x, begin_y) in zip(x, y, names, times, strict=True):
        seed = "abc".index(name[0])
        starts = np.cumsum(np.random.default_rng(seed).integers(20, 60, 30)).astype(float)
        starts = (starts - starts[0]) / 1000
        for frame, begin in ((shown_x, begin_x), (shown_y, begin_y)):
            number = round(frame.mean() / STEP)
            assert begin == pytest.approx(starts[number], abs=1e-6)
        assert abs(begin_y - begin_x - GAP) < 0.06  # to within one frame, the longest of which is shown so long


def test_the_report_has_the_bound_as_a_function_of_the_gap(across):
    assert "Bound by gap" in (across[0] / "report.html").read_text()
    assert (across[0] / "plots" / "gaps.png").stat().st_size > 10_000


def test_every_frame_of_other_films_has_a_code_in_the_order_shown(across, tmp_path):
    for name, times in {"f": [0, 50, 130], "e": [0, 40]}.items():
        write_clip(tmp_path / f"{name}.mp4", times)
    given = {"workdir": across[0], "source": f"video:{tmp_path}/*.mp4", "output": tmp_path / "codes.npz"}
    assert embed.main(["embed", *(f"--{name}={value}" for name, value in given.items())]) == 0
    with np.load(tmp_path / "codes.npz") as file:
        times = {"e": (0.0, 0.04), "f": (0.0, 0.05, 0.13)}
        assert file["paths"].tolist() == [f"{tmp_path}/{e}.mp4 at {t:.3f} s" for e in times for t in times[e]]
        black = load_encoder(across[0])(np.zeros((2, 8, 8, 3), np.uint8))
        np.testing.assert_allclose(file["codes"][[0, 2]], black, atol=0.05)  # but for what the codec does to black


def test_distractors_within_a_film_have_the_n_of_a_group_on_any_number_of_devices(command, tmp_path):
    assert command(tmp_path / "run", "--config.pairs.distractors=within") == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["heldout/num_candidates"] == 2
    assert summary["heldout_across/num_candidates"] == 16
    ceilings = {line["train/mi_ceiling_nats"] for line in lines(tmp_path / "run") if "train/loss" in line}
    assert ceilings == {np.log(2)}


def test_mixed_distractors_train_on_a_number_that_is_no_bound_here_from_a_stream(command, tmp_path):
    stream = ["--config.data.placement=stream", "--config.data.num_workers=1", "--config.spmd=pmap"]
    assert command(tmp_path / "run", "--config.pairs.distractors=mixed", *stream) == 0
    training = [line for line in lines(tmp_path / "run") if "train/loss" in line]
    assert not any("train/mi_lower_bound_nats" in line for line in training)
    assert all("train/input_wait_share" in line for line in training)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert {"heldout/mi_lower_bound_nats", "heldout_within/mi_lower_bound_nats"} <= summary.keys()


@pytest.mark.parametrize("distractors", ["within", "mixed"])
def test_the_number_of_devices_changes_neither_loss_nor_parameters(distractors):
    plan = build.plan(read_config(*SHORT, f"--config.pairs.distractors={distractors}", config=VIDEO))
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


def test_a_stream_of_films_is_killed_and_ends_as_one_that_never_stopped(clips, tmp_path, capsys):
    films = [f"--config.data.source=video:{clips}/*.mp4", f"--config.data.cache_dir={tmp_path}/cache"]
    stream = ["--config.data.placement=stream", "--config.data.num_workers=1", "--config.checkpoint.every_steps=2"]
    mixed = "--config.pairs.distractors=mixed"
    given = [*SHORT, *films, *stream, mixed]
    straight, _ = assert_killed_ends_as_straight(tmp_path, capsys, *given, config=VIDEO)
    assert all("train/input_wait_share" in line for line in lines(straight) if "train/loss" in line)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["--config.pairs.distractors=inside"], ["config.pairs.distractors='inside'", "across, within, mixed"]),
        (
            ["--config.pairs.distractors=within", "--config.pairs.group_size=3"],
            ["group_size=3", "the 2 pairs", "do: 2"],
        ),
        (["--config.pairs.distractors=mixed", "--config.pairs.group_size=1"], ["group_size=1", "at least 2"]),
        (["--config.pairs.group_size=0"], ["config.pairs.group_size=0", "> 0"]),
        (["--config.pairs.gap=0.0"], ["config.pairs.gap=0.0", "> 0"]),
        (["--config.pairs.gap=10.0"], ["gap=10 s: the longest of 3 film(s)", "expected a gap below 1."]),
        (["--config.pairs.gap=0.5"], ["takes more than 5 gaps", "expected a gap below 0."]),
        (["--config.pairs.steps=({'name':'spin'},)"], ["config.pairs.steps: no augmentation is called 'spin'"]),
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
def test_a_mistake_is_told_in_one_line_and_nothing_is_written(command, capsys, tmp_path, overrides, words):
    assert command(tmp_path / "run", *overrides) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1
    assert [word for word in words if word not in errors[0]] == [], errors[0]
    assert not (tmp_path / "run").exists()


def test_films_that_are_left_out_are_warned_of_on_the_terminal(command, clips, tmp_path, capsys):
    folder = tmp_path / "clips"
    folder.mkdir()
    (folder / "torn.mp4").write_text("no film")
    assert command(tmp_path / "run", source=f"video:{folder}/*") == 2
    error = capsys.readouterr().err
    assert re.search(r"none of 1 file\(s\) is a film: .*torn\.mp4: invalid data", error)
