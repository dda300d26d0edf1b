"""Runs that are killed at twenty random moments end as one that nobody disturbed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import CPC, SHORT, assert_same_losses, assert_same_parameters
from virtual_devices import xla_flags

KILLS = 20
LONG = ["--config.num_steps=1200", "--config.log.every_steps=20", "--config.evaluation.every_steps=600"]


@pytest.mark.soak
def test_runs_killed_at_random_moments_end_bit_for_bit_as_one_left_alone(tmp_path):
    command = [sys.executable, str(Path(__file__).with_name("killed_often.py")), str(tmp_path), str(KILLS)]
    done = subprocess.run(
        [*command, f"--config={CPC}", *SHORT, *LONG],
        env=os.environ | {"XLA_FLAGS": xla_flags(1), "JAX_ENABLE_COMPILATION_CACHE": "true"},  # as users have it
        text=True,
        capture_output=True,
        timeout=1500,  # a busy machine takes minutes to start
    )
    assert done.returncode == 0, done.stderr + "".join(path.read_text() for path in tmp_path.glob("*.txt"))
    undisturbed = tmp_path / "undisturbed"
    runs = [path for path in tmp_path.iterdir() if path.is_dir() and path != undisturbed]
    assert runs
    for run in runs:
        assert (run / "summary.json").exists()
        assert_same_parameters(run, undisturbed)
        assert_same_losses(run, undisturbed)
