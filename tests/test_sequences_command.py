"""CPC of sequences by the whole command: rows of digits, clips, and what each mistake is told."""

import math

import numpy as np
import pytest
from commands import evaluated, fitting, lines, read_config, train
from finished_runs import SEQUENCE, SHORT_SEQUENCES

from mi_coding import main
from mi_coding.data import Dataset, Split
from mi_coding.errors import InputError
from mi_coding.evaluation.bound import HeldoutBounds
from mi_coding.runs import build
from mi_coding.runs.evaluate import trained_codes
from mi_coding.runs.examples import check_data
from mi_coding.runs.run import prepare


def short(*overrides):
    return fitting(SEQUENCE, *SHORT_SEQUENCES, *overrides)


@pytest.fixture(scope="module")
def sequences(finished_runs):
    return finished_runs("sequences")


def test_the_bound_of_every_distance_is_reported_with_mean_and_ceiling(sequences):
    summary = sequences.summary
    for prefix, num_candidates in (("heldout", 16), ("heldout_largest", 397)):
        ahead = [summary[f"{prefix}/mi_lower_bound_nats_ahead_{k}"] for k in (1, 2, 3)]
        assert f"{prefix}/mi_lower_bound_nats_ahead_4" not in summary
        assert summary[f"{prefix}/mi_lower_bound_nats"] == pytest.approx(np.mean(ahead))
        assert summary[f"{prefix}/mi_ceiling_nats"] == pytest.approx(math.log(num_candidates))
        assert summary[f"{prefix}/num_candidates"] == num_candidates
        assert all(summary[f"{prefix}/mi_standard_error_nats_ahead_{k}"] > 0 for k in (1, 2, 3))
    assert 1 <= summary["health/effective_rank"] <= summary["health/feature_dim"] == 6
    assert {"probe/linear_accuracy", "probe/random_encoder_accuracy", "probe/raw_pixels_accuracy"} <= summary.keys()


def test_losses_of_every_distance_are_logged_and_their_mean_is_the_loss(sequences):
    written = lines(sequences.workdir)
    training = [line for line in written if "train/loss" in line]
    assert [line["step"] for line in training] == [1, 2, 4]
    for line in training:
        ahead = [line[f"train/loss_ahead_{k}"] for k in (1, 2, 3)]
        assert line["train/loss"] == pytest.approx(np.mean(ahead), rel=1e-5)
        assert line["train/mi_lower_bound_nats"] == pytest.approx(math.log(16) - line["train/loss"], abs=1e-5)
        assert 0 <= line["train/online_probe_accuracy"] <= 1
    assert "validation/mi_lower_bound_nats_ahead_3" in written[-1] | written[-2]


def test_the_report_has_the_bound_against_steps_ahead_and_the_sequences(sequences):
    page = sequences.report
    assert "Bound against steps ahead" in page
    assert "held-out bound for each number of steps ahead" in page
    assert "Sequences as the encoder sees them" in page
    assert (sequences.workdir / "plots" / "bound_ahead.png").stat().st_size > 10_000


@pytest.mark.soak
def test_clips_run_and_distractors_of_other_times_are_no_bound_in_training(tmp_path, capsys):
    clips = ["--config.pairs.name=clips", "--config.encoder.name=convnet"]
    times = ["--config.objective.other_times=True", "--config.objective.num_times=2"]
    trained = train(tmp_path / "run", *short(*clips, *times, "--config.spmd=pmap"), config=SEQUENCE)
    assert "N = 32 candidates" in capsys.readouterr().out  # 16 clips, two frames of each
    assert not any("train/mi_lower_bound_nats" in line for line in lines(tmp_path / "run"))
    summary = evaluated(trained)
    assert summary["heldout/num_candidates"] == 16  # independent draws: one frame of each clip
    assert math.isfinite(summary["heldout/mi_lower_bound_nats"])


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["--config.objective.num_ahead=10"], ["num_ahead=10 steps ahead in sequences of 10", "at most 9"]),
        (["--config.pairs.num_steps=3"], ["num_ahead=3 steps ahead in sequences of 3", "at most 2"]),
        (
            ["--config.pairs.step_size=8", "--config.pairs.window=0"],
            ["sequences of 1 step(s)", "shorter steps or longer sequences"],
        ),
        (
            ["--config.pairs.step_size=9", "--config.pairs.window=0"],
            ["8 samples are shorter than 1 step(s) of 9", "at least 9"],
        ),
        (
            ["--config.pairs.num_steps=9", "--config.pairs.window=0"],
            ["8 samples are shorter than 9 step(s) of 1", "at least 9"],
        ),
        (["--config.objective.num_times=8"], ["num_times=8 is more than the 7 steps", "at most 7, or 0"]),
        (["--config.objective.num_ahead=0"], ["config.objective.num_ahead=0", "> 0"]),
        (["--config.pairs.scale=0.0"], ["config.pairs.scale=0.0", "> 0"]),
        (["--config.pairs.scale=1000.0"], ["standard deviation of 0.00037", "--config.pairs.scale=0.37"]),
        (["--config.pairs.window=7"], ["smaller than the images of 8 × 8"]),
        (["--config.pairs.name=frames"], ["'cpc_ahead' is for pairs clips and sequences", "'frames'"]),
        (["--config.encoder.name=resnet18"], ["'resnet18'", "convnet, mlp"]),
        (["--config.encoder.name=convnet"], ["images (height, width, 1 or 3)", "(10, 1)", "expected 'mlp'"]),
        (["--config.encoder.feature=first"], ["'first'", "last, mean"]),
        (["--config.objective.name=cpc_later"], ["'cpc_later'", "did you mean 'cpc_ahead'?"]),
        (["--config.objective.name=cpc"], ["'cpc' is for pairs of two halves", "configs/cpc_sequence.py"]),
    ],
)
def test_a_mistake_is_told_in_one_line_and_nothing_is_written(capsys, tmp_path, overrides, words):
    assert main.main(["main", f"--config={SEQUENCE}", f"--workdir={tmp_path / 'run'}", *short(*overrides)]) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1
    assert [word for word in words if word not in errors[0]] == [], errors[0]
    assert not (tmp_path / "run").exists()


def signals(values):
    """A data set of 20 signals of 50 samples of which one has the given first values."""
    waves = np.sin(np.arange(20 * 50, dtype=np.float32)).reshape(20, 50)
    waves[3, : len(values)] = values
    return Dataset("waves", *(Split(waves, None) for _ in range(3)))


@pytest.mark.parametrize(
    ("values", "words"),
    [([np.nan], "not all finite"), ([np.inf], "not all finite"), ([1e6, -1e6], "standard deviation of 4.47e+04")],
)
def test_a_signal_that_cannot_be_learnt_from_is_told_before_it_is(values, words):
    config = read_config("--config.pairs.step_size=5", config=SEQUENCE)
    with pytest.raises(
        InputError, match=r"window=10 is for images; given examples of shape \(50,\): use --config.pairs.window=0"
    ):
        check_data(build.plan(config), signals([]))
    whole = build.plan(config | {"pairs.window": 0})
    check_data(whole, signals([]))
    with pytest.raises(InputError, match=words.replace("+", r"\+")):
        check_data(whole, signals(values))


def test_more_padding_changes_no_bound_and_sequences_too_short_are_left_out(tmp_path):
    lengths = 8 + np.arange(80) % 20  # of which 8 … 11 are too short
    waves, after = np.sin(np.arange(80 * 64)).reshape(80, 64), np.arange(64) >= lengths[:, None]
    cuts = ["--config.pairs.window=0", "--config.pairs.num_steps=6", "--config.pairs.step_size=2"]
    bounds = []
    for width, padding in ((27, 0.0), (64, 1e9)):
        path = tmp_path / f"{width}.npz"
        np.savez(path, values=np.where(after, padding, waves)[:, :width], lengths=lengths)
        overrides = [f"--config.data.source=npz:{path}", *cuts, "--config.encoder.widths=(4,)"]
        run = prepare(read_config(*short(*overrides), config=SEQUENCE), tmp_path / "run", print)
        assert run.dataset.account.left_out["shorter than 12 samples"].count == 16
        trained = trained_codes(run, run.initial_state.variables)
        bounds.append(HeldoutBounds(num_pairs=32).evaluate(trained))
    assert bounds[0] == bounds[1]
    assert math.isfinite(bounds[0]["heldout/mi_lower_bound_nats"])
