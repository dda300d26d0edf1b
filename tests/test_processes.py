"""Two processes train what one trains, save and stop together, and none waits for a dead one.

Told of the scheduler's variables alone, two processes of four devices each are stopped by a signal to one of them. Told
their places, they go on with two devices each, until one is killed. Then this process, which has eight devices, goes on
in their place, and trains the same run undisturbed.
"""

import os
import signal
import socket
import subprocess
import time

import numpy as np
import pytest
from commands import SHORT, command, lines, parameters, train
from test_resume import wait_for_step
from virtual_devices import xla_flags

from mi_coding.errors import AgreedError
from mi_coding.reporting.metrics import MetricsWriter
from mi_coding.training import processes

ENDLESS = [
    *SHORT,
    "--config.encoder.widths=(4,)",
    "--config.num_steps=100000",
    "--config.evaluation.every_steps=100000",
    "--config.checkpoint.every_steps=10",
    "--config.checkpoint.keep=1000",
    "--config.log.every_steps=5",
]
ON_EIGHT, ON_FOUR, ON_EIGHT_AGAIN = 10, 30, 40
"""Steps whose checkpoints are compared, and so many devices that took them."""


def start(workdir, places, devices, variables=None):
    """One process a place, in arguments and variables of its own."""
    environment = os.environ | {"XLA_FLAGS": xla_flags(devices)} | (variables or {})
    return [
        subprocess.Popen(
            command(f"--workdir={workdir}", *ENDLESS, *arguments, short=False),
            env=environment | own,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for arguments, own in places
    ]


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def by_slurm(workdir):
    variables = {
        "SLURM_JOB_ID": str(free_port()),
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_NTASKS": "2",
        "SLURM_STEP_NUM_NODES": "1",
    }
    places = [([], {"SLURM_PROCID": str(i), "SLURM_LOCALID": str(i)}) for i in range(2)]
    return start(workdir, places, 4, variables)


def by_arguments(workdir, *more):
    told = [f"--coordinator=127.0.0.1:{free_port()}", "--num_processes=2"]
    return start(workdir, [([*more, *told, f"--process_id={i}"], {}) for i in range(2)], 2)


def end(processes, within):
    """Outputs and errors of processes that end by themselves in so many seconds; none is left."""
    try:
        return [process.communicate(timeout=within) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def train_until(workdir, last):
    """Trains here until the metrics of a step are written, when a signal arrives."""
    write = MetricsWriter.write

    def write_and_stop(writer, step, scalars):
        write(writer, step, scalars)
        if step == last:
            signal.raise_signal(signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MetricsWriter, "write", write_and_stop)
        train(workdir, *ENDLESS)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The two work directories, and what the stopped and the killed processes said and ended with."""
    root = tmp_path_factory.mktemp("processes")
    (root / "two").mkdir()
    stopped = by_slurm(root / "two")
    try:
        wait_for_step(root / "two", ON_EIGHT + 5, stopped[0])
        stopped[1].send_signal(signal.SIGTERM)
        said_stopped = end(stopped, within=120)
        killed = by_arguments(root / "two")
        wait_for_step(root / "two", ON_FOUR + 5, killed[0])
        killed[1].kill()
        began = time.monotonic()
        said_killed = end(killed, within=120)
        took = time.monotonic() - began
    finally:
        end(stopped, within=0.1)
    for name in ("two", "one"):
        train_until(root / name, ON_EIGHT_AGAIN + 5)
    return root, (stopped, said_stopped), (killed, said_killed, took)


@pytest.mark.soak
def test_a_signal_to_one_process_has_all_save_and_end_well(runs):
    _, (stopped, said), _ = runs
    assert [process.returncode for process in stopped] == [0, 0], said
    assert "SIGTERM: saved step" in said[0][0]


def told_at(text, workdir, place, number, *more):
    """Codes, lines and errors of two processes of which one gets a signal once the main one has printed a text."""
    started = by_arguments(workdir, *more)
    said = ""
    try:
        while text not in said:
            line = started[0].stdout.readline()
            assert line, started[0].communicate()
            said += line
        started[place].send_signal(number)
    except BaseException:
        end(started, within=0.1)
        raise
    rest = end(started, within=90)
    return [process.returncode for process in started], rest[0][0].splitlines(), [errors for _, errors in rest]


@pytest.mark.parametrize(("place", "number"), [(0, signal.SIGTERM), (1, signal.SIGINT)])
def test_a_signal_to_one_process_ends_both_while_they_compile(place, number, tmp_path):
    codes, out, errors = told_at("data: ", tmp_path / "run", place, number)
    assert (codes, errors) == ([0, 0], ["", ""])
    assert out[-1].startswith(f"{number.name}: stopped before the first step; the same command")


@pytest.mark.soak
@pytest.mark.parametrize(("place", "number"), [(0, signal.SIGINT), (1, signal.SIGTERM)])
def test_a_signal_to_one_process_ends_both_while_one_evaluates(place, number, tmp_path):
    workdir = tmp_path / "run"
    codes, out, errors = told_at("evaluating on", workdir, place, number, "--config.num_steps=2")
    assert codes == [0, 0], errors
    assert not any("Traceback" in error for error in errors)
    assert out[-1].startswith(f"{number.name}: saved step 2; the same command")
    assert not (workdir / "summary.json").exists()


@pytest.mark.soak
def test_only_the_first_process_speaks(runs):
    _, (_, said), _ = runs
    assert "8 devices, N = 16 candidates" in said[0][0]
    from_gloo = ("[Gloo]", "connected peer ranks")  # its threads write into each other's lines
    assert [line for line in said[1][0].splitlines() if not any(part in line for part in from_gloo)] == []


@pytest.mark.soak
def test_a_killed_process_ends_the_other_within_a_minute(runs):
    *_, (killed, said, took) = runs
    assert killed[1].returncode == -signal.SIGKILL
    assert killed[0].returncode not in (0, 2), said
    assert took < 60


@pytest.mark.soak
@pytest.mark.parametrize("step", [ON_EIGHT, ON_FOUR, ON_EIGHT_AGAIN])
def test_two_processes_train_the_parameters_of_one_on_changing_devices(runs, step):
    root = runs[0]
    ours, theirs = parameters(root / "two", step), parameters(root / "one", step)
    assert ours.keys() == theirs.keys()
    for name in (name for name in ours if name.startswith("params/")):
        np.testing.assert_allclose(ours[name], theirs[name], rtol=0, atol=1e-5, err_msg=name)


@pytest.mark.soak
def test_the_losses_are_those_of_one_process_each_step_once(runs):
    root = runs[0]
    ours, theirs = (
        [
            (line["step"], line["train/loss"])
            for line in lines(root / name)
            if "train/loss" in line and line["step"] <= ON_EIGHT_AGAIN
        ]
        for name in ("two", "one")
    )
    assert [step for step, _ in ours] == [step for step, _ in theirs] == [1, *range(5, ON_EIGHT_AGAIN + 1, 5)]
    np.testing.assert_allclose(*([loss for _, loss in curve] for curve in (ours, theirs)), rtol=0, atol=1e-4)


@pytest.mark.soak
def test_processes_that_start_from_another_run_compare_with_it_after_a_resume(tmp_path):
    other, workdir = tmp_path / "other", tmp_path / "run"
    train(other, *ENDLESS, "--config.num_steps=2")
    for steps in (2, 3):  # a resumed run does not start from the other one: the main process alone reads it
        started = by_arguments(workdir, f"--init_from={other}", f"--config.num_steps={steps}")
        said = end(started, within=120)
        assert [process.returncode for process in started] == [0, 0], said
        assert "encoder it started from" in said[0][0]


@pytest.fixture
def waited(monkeypatch):
    """This process as one of two, which finds no scheduler; where it would have waited for the other, and for how long.

    A real farewell shows nothing before the five minutes that JAX waits for one by itself.
    """
    waits = []
    monkeypatch.setattr("jax.process_count", lambda: 2)
    monkeypatch.setattr(processes, "cluster", lambda environ: None)
    monkeypatch.setattr(processes.multihost, "get_barrier_sync_fn", lambda: lambda **how: waits.append(how))
    return waits


def test_processes_wait_for_the_first_to_evaluate_however_long_it_takes(waited):
    with processes.initialize_distributed(None):
        assert waited == []
    assert [wait["timeout_ms"] for wait in waited] == [7 * 24 * 3600 * 1000]


def test_processes_that_agree_to_fail_do_not_wait(waited):
    with pytest.raises(AgreedError), processes.initialize_distributed(None):
        raise AgreedError("told")
    assert waited == []
