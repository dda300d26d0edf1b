"""The whole command: what a run leaves behind, how it continues, and how it ends."""

import json
import math
import re
from contextlib import redirect_stderr
from io import StringIO

import numpy as np
import pytest
from commands import CPC, SHORT, lines, parameters, train

from mi_coding import main

SUMMARY_KEYS = {
    "train/steps",
    "train/seconds",
    "train/examples_per_second",
    "train/first_step_seconds",
    "heldout/mi_lower_bound_nats",
    "heldout/mi_standard_error_nats",
    "heldout/mi_ceiling_nats",
    "heldout/num_candidates",
    "heldout_largest/mi_lower_bound_nats",
    "probe/linear_accuracy",
    "probe/knn_accuracy",
    "probe/raw_pixels_accuracy",
    "probe/random_encoder_accuracy",
}


def run(workdir, *overrides):
    return main.main(["main", f"--config={CPC}", f"--workdir={workdir}", *overrides])


@pytest.fixture(scope="module")
def cpc(finished_runs):
    return finished_runs("cpc")


@pytest.fixture(scope="module")
def finished(cpc):
    return cpc.workdir


def test_a_run_leaves_everything_a_person_and_a_program_want(finished):
    names = {path.name for path in finished.iterdir()}
    assert {"config.json", "metrics.jsonl", "summary.json", "report.html", "checkpoints", "plots"} <= names
    assert any("tfevents" in name for name in names)
    assert {path.suffix for path in (finished / "plots").iterdir()} == {".png"}
    assert json.loads((finished / "config.json").read_text())["batch_size"] == 16


def test_summary_has_the_keys_that_must_not_change(finished):
    summary = json.loads((finished / "summary.json").read_text())
    assert summary.keys() >= SUMMARY_KEYS
    assert summary["train/steps"] == 6
    assert summary["heldout/num_candidates"] == 16
    assert summary["heldout_largest/num_candidates"] == 397
    assert summary["heldout/mi_ceiling_nats"] == pytest.approx(math.log(16))
    assert all(summary[key] <= summary["heldout/mi_ceiling_nats"] for key in ("heldout/mi_lower_bound_nats",))


def test_metrics_have_every_logged_step_once_with_bound_and_ceiling(finished):
    training = [line for line in lines(finished) if "train/loss" in line]
    assert [line["step"] for line in training] == [1, 2, 4, 6]
    for line in training:
        assert line["train/mi_lower_bound_nats"] == pytest.approx(math.log(16) - line["train/loss"], abs=1e-5)
        assert line["train/mi_ceiling_nats"] == pytest.approx(math.log(16))
    assert [line["step"] for line in lines(finished) if "validation/mi_lower_bound_nats" in line] == [1, 3, 6]


@pytest.mark.soak
def test_the_same_command_again_trains_no_more_and_reports_the_same(cpc, finished, tmp_path):
    again = cpc.copy(tmp_path / "again")
    assert run(again, *cpc.overrides) == 0
    before, after = (json.loads((w / "summary.json").read_text()) for w in (finished, again))
    assert after == before  # of training, too, although this session took no step
    assert lines(again) == lines(finished)


def test_data_memory_candidates_and_ceiling_are_told_before_the_first_step(cpc):
    account, first, *rest = cpc.output.splitlines()
    assert account.startswith("data: 1,797 examples; train 1,250, validation 150, test 397, shape 8 × 8 × 1, ")
    assert re.search(
        r"N = 16 candidates, ceiling ln N = 2\.77 nats, scores in float32; .* loss [\d.]+ \w+, whole step [\d.]+ \w+",
        first,
    )
    assert rest[0].startswith("step 1/")


def test_shard_map_and_pmap_on_eight_devices_leave_the_same_parameters(cpc, tmp_path):
    train(tmp_path / "run", *cpc.overrides, "--config.spmd=pmap")
    ours, theirs = parameters(tmp_path / "run"), parameters(cpc.workdir)
    for name, leaf in ours.items():
        np.testing.assert_allclose(leaf, theirs[name], rtol=1e-4, atol=1e-6, err_msg=name)


def test_a_non_finite_loss_ends_a_run_in_one_line_with_its_checkpoint(tmp_path, capsys):
    explode = [
        "--config.optimizer.name=sgd",
        "--config.optimizer.learning_rate=1e30",
        "--config.critic.normalize=False",
    ]
    late = ["--config.num_steps=40", "--config.optimizer.warmup_steps=30", "--config.checkpoint.every_steps=1"]
    assert run(tmp_path / "run", *SHORT, *explode, *late) == 1
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1
    assert "is not finite" in errors[0]
    kept = [int(path.name) for path in (tmp_path / "run" / "checkpoints").iterdir()]
    assert f"step {max(kept) + 1} " in errors[0]
    assert not (tmp_path / "run" / "summary.json").exists()


@pytest.fixture(scope="module")
def doubtful(tmp_path_factory):
    """A run that learns nothing, on pairs without duplicates, judged by a hair's breadth, and its warnings."""
    workdir = tmp_path_factory.mktemp("doubtful") / "run"
    stuck = ["--config.optimizer.learning_rate=1e-9", "--config.critic.temperature=100.0"]
    errors = StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stderr(errors):
        patch.setattr("mi_coding.evaluation.heldout.TOO_NEAR", 2.0)  # a run of seconds does not get there by itself
        assert run(workdir, *SHORT, *stuck, "--config.pairs.distinct=True") == 0
    return workdir, errors.getvalue()


def test_training_on_distinct_pairs_reports_no_bound_but_the_heldout_one(doubtful):
    workdir, _ = doubtful
    assert not any("train/mi_lower_bound_nats" in line for line in lines(workdir))
    assert "heldout/mi_lower_bound_nats" in json.loads((workdir / "summary.json").read_text())


def test_a_loss_that_stays_at_ln_n_is_warned_of(doubtful):
    workdir, warnings = doubtful
    assert "has not left ln N" in warnings
    assert "has not left ln N" in (workdir / "report.html").read_text()


def test_a_bound_within_five_percent_of_its_ceiling_is_warned_of(doubtful):
    assert "at least this much; raise batch_size" in doubtful[1]
