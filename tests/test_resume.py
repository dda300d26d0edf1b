"""A run that was killed continues and ends as one that never stopped."""

import signal
import time

import pytest
from commands import SHORT, assert_same_losses, assert_same_parameters, lines, start, train


def wait_for_step(workdir, step, process):
    """Waits until a line for a step at least as late is on disk."""
    metrics = workdir / "metrics.jsonl"
    deadline = time.monotonic() + 600  # a busy machine takes minutes to start
    while not (metrics.exists() and any(line["step"] >= step for line in lines(workdir))):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


LONG = [
    *SHORT,
    "--config.num_steps=200",
    "--config.checkpoint.every_steps=40",
    "--config.log.every_steps=20",
    "--config.evaluation.every_steps=10",  # so that there is time to kill it
]


@pytest.mark.soak
def test_a_stopped_and_then_killed_run_ends_bit_for_bit_as_one_left_alone(tmp_path):
    """What is stopped and what is killed has a process of its own; the others share this one."""
    workdir, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    train(undisturbed, *LONG)

    stopped = start(f"--workdir={workdir}", *LONG, devices=8, short=False)
    wait_for_step(workdir, 20, stopped)
    stopped.send_signal(signal.SIGTERM)
    output, errors = stopped.communicate(timeout=60)
    assert stopped.returncode == 0, errors
    assert "SIGTERM: saved step" in output
    assert not (workdir / "summary.json").exists()

    killed = start(f"--workdir={workdir}", *LONG, devices=8, short=False)
    wait_for_step(workdir, 100, killed)
    killed.kill()
    output, _ = killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert "continuing" in output
    assert not (workdir / "summary.json").exists()

    train(workdir, *LONG)
    assert_same_parameters(workdir, undisturbed)
    assert_same_losses(workdir, undisturbed)
