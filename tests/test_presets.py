"""Configs by name, wherever the command is started, and what is told about options that are none."""

import shutil
import subprocess
import sys

import pytest
from commands import ROOT

from mi_coding import main
from mi_coding.config.presets import find_config, presets
from mi_coding.errors import InputError


def test_a_config_is_found_by_its_name_its_file_name_and_its_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = {
        find_config(given) for given in ("simclr", "simclr.py", "configs/simclr.py", str(ROOT / "configs/simclr.py"))
    }
    assert {path.resolve() for path in found} == {(ROOT / "configs" / "simclr.py").resolve()}
    (tmp_path / "simclr.py").write_text("")
    assert find_config("simclr.py").resolve() == tmp_path / "simclr.py"  # a file of one's own comes first
    for given in ("simcl", "other/simclr.py", "simclr.txt"):
        refused_with(given, "did you mean --config=simclr[?]")


def test_a_config_that_is_none_is_answered_with_those_of_its_folder(tmp_path):
    refused_with("xyzzy", "there are barlow_twins_fashion_mnist, cotraining, cotraining_bits, …;")
    refused_with(f"{ROOT}/configs/simclrr.py", f"did you mean --config={ROOT}/configs/simclr.py[?]")
    (tmp_path / "mine.py").write_text("")
    refused_with(f"{tmp_path}/xyzzy.py", f"there are {tmp_path}/mine.py;")
    refused_with(f"{tmp_path}/mime.txt", f"did you mean --config={tmp_path}/mine.py[?]")


def refused_with(given, hint):
    with pytest.raises(InputError, match=rf"^--config={given} is not a file; {hint} --list_configs shows the configs"):
        find_config(given)


def test_every_config_says_in_one_line_what_it_is_for(capsys):
    assert main.main(["main", "--list_configs"]) == 0
    shown = capsys.readouterr().out
    names = {path.stem for path in (ROOT / "configs").glob("*.py")}
    assert presets().keys() == names
    for name, what in presets().items():
        assert f"{name} " in shown
        assert what[-1] in ".?"
        assert what in shown


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--seed=3", "--config.seed?"),
        ("--steps=3", "--config.num_steps?"),
        ("--batchsize=3", "--config.batch_size?"),
        ("--learning_rate=3", "--config.optimizer.learning_rate?"),
        ("--workdr=a", "--workdir?"),
        ("--xyzzyx=a", "options are --config.KEY=VALUE"),
    ],
)
def test_an_option_that_is_none_is_told_with_what_was_meant(capsys, typed, meant):
    assert main.main(["main", "--config=simclr", typed]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert meant in error


def test_help_comes_before_the_slow_imports():
    code = "import sys, runpy; sys.argv[1:] = ['--help']\n"
    code += "import os; end = os._exit; os._exit = lambda code: (print('jax' in sys.modules, flush=True), end(code))\n"
    code += "runpy.run_module('mi_coding.main', run_name='__main__', alter_sys=True)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.startswith("Trains an encoder")
    assert done.stdout.endswith("False\n")


def test_an_installed_package_has_the_configs_inside(tmp_path):
    tree = tmp_path / "tree"  # a build leaves files behind
    for name in ("mi_coding", "configs"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    build = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", tmp_path / "built"]
    subprocess.run(build, cwd=tree, check=True, capture_output=True)
    inside = {path.stem for path in (tmp_path / "built" / "mi_coding" / "configs").glob("*.py")}
    assert inside == presets().keys()
