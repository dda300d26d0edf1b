"""What a run leaves for the next start and for the profiler, in a work directory with a name that is hard to say."""

import json
import os
import subprocess

import pytest
from commands import command, lines
from virtual_devices import xla_flags

pytestmark = pytest.mark.soak

HARD = "a b'c\"d $(touch pwned) ;* ünï⊥ %s {0} -x"


@pytest.fixture(scope="module")
def twice(tmp_path_factory):
    """A run on one device, started in a folder of its own and again when it had finished; programs after each."""
    here = tmp_path_factory.mktemp("programs")
    (here / "real").mkdir()
    (here / "link").symlink_to("real")
    (here / "start").mkdir()
    environment = os.environ | {"XLA_FLAGS": xla_flags(1), "JAX_ENABLE_COMPILATION_CACHE": "true"}
    kept = []
    for _ in range(2):
        told = command(f"--workdir=../link/../link/{HARD}", "--profile", "--config.num_steps=12")
        done = subprocess.run(told, cwd=here / "start", env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        kept.append({path.name for path in (here / "real" / HARD / "programs").iterdir() if "-atime" not in path.name})
    return here, kept


def test_a_restart_compiles_nothing_large_again(twice):
    """What took no tenth of a second is not kept, and may do so on another day."""
    of_first, of_second = ({n for n in names if n.startswith(("jit_steps-", "jit_pair_codes-"))} for names in twice[1])
    assert any(name.startswith("jit_steps-") for name in of_first)
    assert of_second == of_first


def test_nothing_lies_outside_the_work_directory(twice):
    here, _ = twice
    assert {path.name for path in here.iterdir()} == {"real", "link", "start"}
    assert [path.name for path in (here / "real").iterdir()] == [HARD]
    assert list((here / "start").iterdir()) == []
    assert (here / "real" / HARD / "report.html").exists()


def test_a_profile_has_a_trace_of_some_steps(twice):
    traces = list((twice[0] / "real" / HARD / "profile").rglob("*.xplane.pb"))
    assert len(traces) == 1  # the second start had no step to take
    assert traces[0].stat().st_size > 10_000


def test_time_of_phases_and_use_of_the_device_are_told(twice):
    workdir = twice[0] / "real" / HARD
    summary = json.loads((workdir / "summary.json").read_text())
    assert summary["train/steps"] == 12
    assert {"train/seconds_of_checkpoint", "train/seconds_of_validation", "train/seconds_of_log"} <= summary.keys()
    shares = [line for line in lines(workdir) if "train/loss" in line]
    assert all(line["train/model_teraflops_per_second"] > 0 for line in shares)
    assert sum(v for k, v in shares[-1].items() if k.startswith("time/")) == pytest.approx(1)
