"""Every script and manifest reads as its kind should, and says what it is for."""

import os
import shutil
import subprocess
import sysconfig

import pytest
from commands import ROOT

SCRIPTS = sorted(path for path in (ROOT / "launch").rglob("*") if path.suffix in (".sh", ".sbatch"))
SCRIPTS.append(ROOT / ".ci" / "run")
SOURCED = [ROOT / "launch" / "environment.sh"]
WITH_MANUAL = [path for path in SCRIPTS if path.parent.name == "launch" and "--help" in path.read_text()]


def tool(name):
    found = shutil.which(name, path=os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]]))
    return found or pytest.skip(f"there is no wheel of {name} for this platform")


def assert_clean(*command):
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_shellcheck_finds_nothing():
    assert len(SCRIPTS) > 10
    assert_clean(tool("shellcheck"), *SCRIPTS)


def test_shfmt_would_change_nothing():
    assert_clean(tool("shfmt"), "--diff", "--indent=2", "--case-indent", *SCRIPTS)


def test_yamllint_finds_nothing():
    assert_clean(tool("yamllint"), "--strict", "--config-file", ROOT / ".yamllint", ROOT / "launch")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_strict(script):
    text = script.read_text()
    assert ("set -euo pipefail\n" in text) == (script not in SOURCED)


@pytest.mark.parametrize("script", WITH_MANUAL, ids=lambda path: path.name)
def test_help_prints_the_manual_and_nothing_else(script):
    done = subprocess.run(["bash", script, "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert f"bash launch/{script.name}" in done.stdout
    assert not any(word in done.stdout for word in ("SBATCH", "set -e", "source "))


def test_the_launch_readme_names_every_script():
    readme = (ROOT / "launch" / "README.md").read_text(encoding="utf-8")
    called_by_others = ("environment.sh", "tpu_worker.sh", "entrypoint.sh", "run")
    assert [path.name for path in SCRIPTS if path.name not in called_by_others and path.name not in readme] == []
