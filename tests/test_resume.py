"""A run that was killed continues and ends as one that never stopped."""

import signal
import time

from commands import assert_same_losses, assert_same_parameters, lines, start


def wait_for_step(workdir, step, process):
    """Waits until a line for a step at least as late is on disk."""
    metrics = workdir / "metrics.jsonl"
    deadline = time.monotonic() + 600  # a busy machine takes minutes to start
    while not (metrics.exists() and any(line["step"] >= step for line in lines(workdir))):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


LONG = [
    "--config.num_steps=300",
    "--config.checkpoint.every_steps=40",
    "--config.log.every_steps=20",
    "--config.evaluation.every_steps=10",  # so that there is time to kill it
]


def test_a_run_stopped_and_then_killed_continues_and_ends_bit_for_bit_as_one_that_never_stopped(tmp_path):
    workdir, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    alone = start(f"--workdir={undisturbed}", *LONG)
    _, errors = alone.communicate(timeout=240)
    assert alone.returncode == 0, errors

    stopped = start(f"--workdir={workdir}", *LONG)
    wait_for_step(workdir, 60, stopped)
    stopped.send_signal(signal.SIGTERM)
    output, errors = stopped.communicate(timeout=60)
    assert stopped.returncode == 0, errors
    assert "SIGTERM: saved step" in output
    assert not (workdir / "summary.json").exists()

    killed = start(f"--workdir={workdir}", *LONG)
    wait_for_step(workdir, 160, killed)
    killed.kill()
    output, _ = killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert "continuing" in output
    assert not (workdir / "summary.json").exists()

    resumed = start(f"--workdir={workdir}", *LONG)
    output, errors = resumed.communicate(timeout=240)
    assert resumed.returncode == 0, errors
    assert "continuing" in output
    assert_same_parameters(workdir, undisturbed)
    assert_same_losses(workdir, undisturbed)
