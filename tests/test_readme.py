"""What the README files show: Python in a fresh kernel, command lines that parse, files that exist."""

import inspect
import re
import shlex
import subprocess

import pytest
from commands import ROOT

import mi_coding
from mi_coding import main

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


@pytest.mark.parametrize(("name", "command"), list(commands()), ids=lambda value: None)
def test_a_command_line_is_understood(name, command, capsys):
    """Those of main are read as far as their options; of the others, the flags are those of their help.

    Scripts that start machines print what they would call.
    """
    if command[:1] == ["bash"] and name == "launch/README.md":
        end = command.index("--") if "--" in command else len(command)
        arguments = [
            part.replace("config=FILE", "config=cpc") for part in (*command[:end], "--dry-run", *command[end:])
        ]
        printed = subprocess.run(arguments, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        assert re.search("gcloud|sbatch|kubectl|kind: JobSet", printed)
        return
    if command[:1] == ["bash"]:
        assert (ROOT / command[1]).exists()
        return
    assert command[:2] == ["python", "-m"], f"{name}: {' '.join(command)}"
    module, flags = command[2], [part for part in command[3:] if part.startswith("--")]
    if module == "mi_coding.main":
        assert main.main(["main", *command[3:], "--print_config"]) == 0
        return
    path = ROOT / (module.replace(".", "/") + ".py")
    path = path if path.exists() else ROOT / module.replace(".", "/") / "__main__.py"
    source = path.read_text(encoding="utf-8")
    for flag in flags:
        word = flag.partition("=")[0]
        assert word.startswith("--config") or word in source, f"{name}: {module} has no {word}"
