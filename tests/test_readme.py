"""What the README files show: Python in a fresh kernel, command lines, files that exist."""

import importlib
import inspect
import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from commands import ROOT, SHORT, TINY, fitting, make_folder
from config_data import data_for
from PIL import Image
from shallow import one_block_a_stage

import mi_coding

READMES = ["README.md", *(f"{room}/README.md" for room in ("configs", "mi_coding", "mi_coding/benchmarks", "launch"))]
NOT_RUN = "no test runs it: needs"
"""What a comment on a line says of a command of other programs, with the reason."""


def text_of(name):
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name, language):
    return re.findall(rf"```{language}\n(.*?)```", text_of(name), re.DOTALL)


def commands():
    """Every command line of every README, with its file."""
    for name in READMES:
        for block in blocks(name, "bash"):
            for line in block.replace("\\\n", " ").splitlines():
                if NOT_RUN not in line:
                    yield name, shlex.split(line, comments=True)


@pytest.mark.soak
def test_python_of_the_readmes_runs_in_one_fresh_kernel_and_prints_what_it_says():
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    shown = [*blocks("README.md", "python"), *blocks("mi_coding/README.md", "python")]
    assert len(shown) == 4
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(block) for block in shown])
    nbclient.NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(ROOT)}}).execute()
    for cell, block in zip(notebook.cells, shown, strict=True):
        printed = [out.text for out in cell.outputs if out.output_type == "stream" and out.name == "stdout"]
        expected = re.findall(r"^print\(.*\)  # (.*)$", block, re.MULTILINE)
        assert expected
        assert "".join(printed).splitlines()[-len(expected) :] == expected
        assert not [out for out in cell.outputs if out.output_type == "error"]


def test_every_public_name_is_in_the_table_of_names():
    section = text_of("mi_coding/README.md").partition("## What `import mi_coding` gives")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(\w+)", section))
    assert named >= set(mi_coding.__all__)
    functions = inspect.getmembers(mi_coding.bounds, inspect.isfunction)
    ours = {name for name, function in functions if function.__module__ == mi_coding.bounds.__name__}
    assert named >= {name for name in ours if not name.startswith("_")}


@pytest.mark.parametrize("name", READMES)
def test_files_that_a_readme_names_exist(name):
    named = set(re.findall(r"\b((?:configs|launch|tests|mi_coding)/[\w./]*\w\.(?:py|sh|png|svg|md))", text_of(name)))
    assert [path for path in named if not (ROOT / path).exists()] == []
    folder = (ROOT / name).parent
    links = re.findall(r"\]\(([^)#:]+)[^)]*\)", text_of(name))
    assert [link for link in links if not (folder / link).exists()] == []


def called(command):
    """Runs `python -m MODULE FLAGS` in this process; its exit code."""
    assert command[:2] == ["python", "-m"], " ".join(command)
    return importlib.import_module(command[2]).main([command[2], *command[3:]])


@pytest.mark.soak
def test_commands_on_a_finished_run_work_as_they_are_shown(finished_runs, tmp_path, monkeypatch):
    """Folders and files have the names that the README gives them."""
    monkeypatch.chdir(tmp_path)
    finished_runs("simclr").copy(tmp_path / "DIR")
    for name, of in (("a", "cpc"), ("b", "simclr")):
        finished_runs(of).copy(tmp_path / "runs" / name)
    make_folder(tmp_path / "PATH", count=20, side=8, channels=1)
    Image.open(tmp_path / "PATH" / "ant" / "0000.png").save(tmp_path / "photo.jpg")
    shown = [command for name, command in commands() if name == "README.md" and command[0] == "python"]
    assert len(shown) == 6
    assert [called(command) for command in shown] == [0] * len(shown)
    assert all((tmp_path / file).exists() for file in ("codes.npz", "encoder.stablehlo", "runs.html"))


TRAINING = [command for name, command in commands() if name == "configs/README.md"]


@pytest.mark.soak
@pytest.mark.parametrize("command", TRAINING, ids=" ".join)
def test_commands_that_train_work_as_they_are_shown_but_for_their_size(command, finished_runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command[2] == "mi_coding.main"
    (config,) = (part.removeprefix("--config=") for part in command if part.startswith("--config="))
    if "PATH" in " ".join(command):
        Path("PATH").symlink_to(data_for(config, tmp_path)[0].partition(":")[2])
        own = [part for part in command if part.startswith("--config.")]
        small = fitting(config, *own, *TINY, "--config.num_steps=2")[len(own) :]
    elif config == "simclr":  # resumes the run in DIR
        finished_runs("simclr").copy(Path("DIR"), cut_back_to=3)
        small = finished_runs("simclr").overrides
    else:
        small = fitting(config, *SHORT)
        if "--init_from=DIR" in command:
            finished_runs("simclr").copy(Path("DIR"))
    with one_block_a_stage():
        assert called([*command, *small]) == 0
    newest = max(tmp_path.glob("**/summary.json"), key=lambda path: path.stat().st_mtime_ns)
    assert f"--config.num_steps={json.loads(newest.read_text())['train/steps']}" in small


SCRIPTS = [command for name, command in commands() if name == "launch/README.md"]


@pytest.mark.parametrize("command", SCRIPTS, ids=" ".join)
def test_scripts_that_start_machines_say_what_they_would_call(command):
    assert command[0] == "bash"
    end = command.index("--") if "--" in command else len(command)
    arguments = [part.replace("config=FILE", "config=cpc") for part in (*command[:end], "--dry-run", *command[end:])]
    printed = subprocess.run(arguments, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert re.search("gcloud|sbatch|kubectl|kind: JobSet", printed)


def test_no_command_of_a_readme_is_left_out():
    """`launch/local.sh` and `launch/test.sh`, which install everything, have tests of their own."""
    assert {name for name, _ in commands()} == {"README.md", "configs/README.md", "launch/README.md"}
    shown = [" ".join(command) for name, command in commands() if name == "README.md"]
    assert [line for line in shown if not line.startswith("python -m ")] == [
        "bash launch/local.sh",
        "bash launch/test.sh",
    ]
