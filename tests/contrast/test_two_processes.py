"""Two real processes that talk over gloo, four devices each: what virtual devices of one process cannot show."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from virtual_devices import xla_flags

SCRIPT = Path(__file__).with_name("one_of_two_processes.py")


@pytest.mark.soak
def test_two_processes_give_the_loss_and_gradients_of_the_definition():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {**os.environ, "XLA_FLAGS": xla_flags(4), "JAX_PLATFORMS": "cpu"}
    env["JAX_ENABLE_COMPILATION_CACHE"] = "false"  # for the reason that conftest.py gives
    processes = [
        subprocess.Popen(
            [sys.executable, SCRIPT, str(port), str(process_id)],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for process_id in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=120)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, output in zip(processes, outputs, strict=True):
        assert process.returncode == 0, output
        assert output.rstrip().endswith("as the oracle"), output
