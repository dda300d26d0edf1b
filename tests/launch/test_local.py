"""The launch scripts, with an interpreter that writes down how it was called."""

import os
import subprocess
from pathlib import Path

import pytest
from commands import ROOT

RECORDER = """#!/usr/bin/env bash
printf '%s\\n' "$*" >>"$CALLS"
[[ "$1" == -c ]] && exit "${TOO_OLD:-0}"
[[ "$2" == venv ]] && mkdir -p "$3/bin" && cp "$0" "$3/bin/python"
exit 0
"""


@pytest.fixture
def recorder(tmp_path):
    """An environment whose only interpreter is a recorder, and the file it writes to."""
    python = tmp_path / "active" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(RECORDER)
    python.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHON")}
    return kept | {"CALLS": str(tmp_path / "calls")}, python


def launch(script, environment, *arguments, root=ROOT):
    done = subprocess.run(
        ["bash", root / "launch" / script, *arguments], env=environment, capture_output=True, text=True
    )
    calls = Path(environment["CALLS"])
    return done, calls.read_text().splitlines() if calls.exists() else []


def active(recorder):
    environment, python = recorder
    return environment | {"VIRTUAL_ENV": str(python.parents[1])}


def test_first_call_installs_and_runs_and_the_second_only_runs(recorder):
    environment = active(recorder)
    done, calls = launch("local.sh", environment, "--config.num_steps=200")
    assert done.returncode == 0, done.stderr
    assert calls == [
        f"-m pip install --quiet --disable-pip-version-check -e {ROOT}",
        f"-m mi_coding.main --config={ROOT}/configs/cpc.py --config.num_steps=200",
    ]
    done, calls = launch("local.sh", environment)
    assert calls[2:] == [f"-m mi_coding.main --config={ROOT}/configs/cpc.py"]


def test_a_config_of_ones_own_takes_the_place_of_the_default(recorder):
    for given in (["--config=mine.py"], ["--config", "mine.py"]):
        _, calls = launch("local.sh", active(recorder), *given)
        assert calls[-1] == f"-m mi_coding.main {' '.join(given)}"


def test_tests_install_their_extras_once_and_pass_arguments_to_pytest(recorder):
    environment = active(recorder)
    _, calls = launch("test.sh", environment, "-k", "ring")
    assert calls == [f"-m pip install --quiet --disable-pip-version-check -e {ROOT}[test]", "-m pytest -k ring"]
    _, calls = launch("test.sh", environment, "--soak", "-x")
    assert calls[2:] == ["-m pytest -m soak -x"]
    _, calls = launch("local.sh", environment)  # what the tests installed serves the job as well
    assert len(calls) == 4


def test_without_an_environment_one_is_made_in_the_repository(recorder, tmp_path):
    environment, python = recorder
    root = tmp_path / "a clone"
    (root / "launch").mkdir(parents=True)
    for name in ("environment.sh", "local.sh"):
        (root / "launch" / name).write_text((ROOT / "launch" / name).read_text())
    (root / "setup.py").write_text("")
    done, calls = launch("local.sh", environment | {"PYTHON": str(python)}, root=root)
    assert done.returncode == 0, done.stderr
    assert calls[1] == f"-m venv {root}/.venv"
    assert (root / ".venv" / "bin" / "python").exists()


def test_a_python_that_is_too_old_is_told(recorder, tmp_path):
    environment, python = recorder
    root = tmp_path / "clone"
    (root / "launch").mkdir(parents=True)
    for name in ("environment.sh", "local.sh"):
        (root / "launch" / name).write_text((ROOT / "launch" / name).read_text())
    done, _ = launch("local.sh", environment | {"PYTHON": str(python), "TOO_OLD": "1"}, root=root)
    assert done.returncode == 2
    assert "Python 3.11 or newer is needed" in done.stderr
    assert not (root / ".venv").exists()


def test_a_failed_installation_is_told_and_tried_again(recorder):
    _, python = recorder
    python.write_text("#!/usr/bin/env bash\nexit 1\n")
    done, _ = launch("local.sh", active(recorder))
    assert done.returncode == 2
    assert "installation failed" in done.stderr
    python.write_text(RECORDER)
    _, calls = launch("local.sh", active(recorder))
    assert calls[0].startswith("-m pip install")
