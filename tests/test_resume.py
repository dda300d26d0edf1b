"""A run that was killed continues and ends as one that never stopped."""

import signal
import time

import pytest
from commands import assert_same_parameters, lines, start


def wait_for_step(workdir, step, process):
    """Waits until a line for a step at least as late is on disk."""
    metrics = workdir / "metrics.jsonl"
    deadline = time.monotonic() + 600  # a busy machine takes minutes to start
    while not (metrics.exists() and any(line["step"] >= step for line in lines(workdir))):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


LONG = ["--config.num_steps=300", "--config.checkpoint.every_steps=40", "--config.log.every_steps=20"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A run on one device that nobody stopped."""
    workdir = tmp_path_factory.mktemp("undisturbed") / "run"
    process = start(f"--workdir={workdir}", *LONG)
    errors = process.communicate(timeout=240)[1]
    assert process.returncode == 0, errors
    return workdir


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_run_continues_and_ends_bit_for_bit_as_one_that_never_stopped(undisturbed, tmp_path, number):
    workdir = tmp_path / "killed"
    killed = start(f"--workdir={workdir}", *LONG)
    wait_for_step(workdir, 60, killed)
    killed.send_signal(number)
    output, errors = killed.communicate(timeout=60)
    if number is signal.SIGTERM:
        assert killed.returncode == 0, errors
        assert "SIGTERM: saved step" in output
    else:
        assert killed.returncode == -signal.SIGKILL
    assert not (workdir / "summary.json").exists()

    resumed = start(f"--workdir={workdir}", *LONG)
    output, errors = resumed.communicate(timeout=240)
    assert resumed.returncode == 0, errors
    assert "continuing" in output
    assert_same_parameters(workdir, undisturbed)
    numbers = [[(line["step"], line.get("train/loss")) for line in lines(w)] for w in (workdir, undisturbed)]
    assert numbers[0] == numbers[1]
