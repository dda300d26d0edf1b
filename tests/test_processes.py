"""Two processes of four virtual devices each train what one process does, stop together, and die together."""

import os
import signal
import socket
import subprocess
import time

import numpy as np
import pytest
from commands import command, lines, parameters, start
from test_resume import wait_for_step

TRAIN = [
    "--config.num_steps=20",
    "--config.checkpoint.every_steps=10",
    "--config.evaluation.every_steps=10",
    "--config.log.every_steps=5",
]
ENDLESS = ["--config.num_steps=100000", "--config.evaluation.every_steps=100000", "--config.checkpoint.every_steps=20"]


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def start_two(*arguments, places=None, **variables):
    """The command in two processes of four virtual devices each; told their places, or finding them by variables."""
    port = free_port()
    places = places or [
        ([f"--coordinator=127.0.0.1:{port}", "--num_processes=2", f"--process_id={i}"], {}) for i in range(2)
    ]
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"} | variables
    return [
        subprocess.Popen(
            command(*place, *arguments),
            env=environment | own,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for place, own in places
    ]


def end(processes, timeout=120):
    """Outputs and errors of processes that end by themselves."""
    try:
        return [process.communicate(timeout=timeout) for process in processes]
    finally:
        for process in processes:
            process.kill()


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One process of one and of eight devices, and two processes of four: (work directory, outputs, errors)."""
    root = tmp_path_factory.mktemp("processes")
    started = {
        "two": start_two(f"--workdir={root / 'two'}", *TRAIN),
        "eight": [start(f"--workdir={root / 'eight'}", *TRAIN, devices=8)],
        "one": [start(f"--workdir={root / 'one'}", *TRAIN, devices=1)],
    }
    said = {name: end(processes) for name, processes in started.items()}
    for name, processes in started.items():
        assert [process.returncode for process in processes] == [0] * len(processes), said[name]
    return root, said


@pytest.mark.parametrize(("other", "tolerance"), [("eight", 1e-6), ("one", 1e-5)])
def test_two_processes_end_with_the_parameters_of_one(runs, other, tolerance):
    root, _ = runs
    ours, theirs = parameters(root / "two"), parameters(root / other)
    assert ours.keys() == theirs.keys()
    for name in (name for name in ours if name.startswith("params/")):
        np.testing.assert_allclose(ours[name], theirs[name], rtol=0, atol=tolerance, err_msg=name)


def test_only_the_first_process_writes_and_speaks(runs):
    root, said = runs
    assert said["two"][1][0] == ""
    steps = [[(line["step"], sorted(line)) for line in lines(root / name)] for name in ("two", "eight")]
    assert steps[0] == steps[1]
    assert (root / "two" / "summary.json").exists()
    assert "8 devices" in said["two"][0][0]


def test_by_the_variables_of_slurm_two_processes_find_each_other(runs, tmp_path):
    root, _ = runs
    slurm = {
        "SLURM_JOB_ID": str(free_port()),
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_NTASKS": "2",
        "SLURM_STEP_NUM_NODES": "1",
    }
    places = [([], {"SLURM_PROCID": str(i), "SLURM_LOCALID": str(i)}) for i in range(2)]
    said = end(start_two(f"--workdir={tmp_path / 'slurm'}", *TRAIN, places=places, **slurm))
    ours, theirs = parameters(tmp_path / "slurm"), parameters(root / "two")
    for name, leaf in ours.items():
        np.testing.assert_array_equal(leaf, theirs[name], err_msg=str(said))


def test_what_one_process_refuses_all_refuse_and_one_says_why(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("mine")
    processes = start_two(f"--workdir={tmp_path / 'run'}")
    said = end(processes)
    assert [process.returncode for process in processes] == [2, 2], said
    words = [line for _, errors in said for line in errors.splitlines() if "mi_coding" in line]
    assert len(words) == 1
    assert "is not empty" in words[0]


def test_a_signal_to_one_process_has_all_save_the_same_step_and_a_killed_one_ends_the_others(tmp_path):
    workdir = tmp_path / "run"
    processes = start_two(f"--workdir={workdir}", *ENDLESS)
    wait_for_step(workdir, 30, processes[0])
    processes[1].send_signal(signal.SIGTERM)
    said = end(processes, timeout=60)
    assert [process.returncode for process in processes] == [0, 0], said
    assert "SIGTERM: saved step" in said[0][0]

    saved = int(said[0][0].split("saved step ")[1].split(";")[0])
    processes = start_two(f"--workdir={workdir}", *ENDLESS)
    wait_for_step(workdir, saved + 10, processes[0])
    processes[1].kill()
    began = time.monotonic()
    said = end(processes, timeout=60)
    assert time.monotonic() - began < 60
    assert processes[0].returncode not in (0, 2), said
