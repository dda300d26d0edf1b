"""Runs side by side: what differs, what came out, and runs that have not ended."""

import csv
import shutil

import pytest

import mi_coding
import mi_coding.compare as command
from mi_coding.errors import InputError


@pytest.fixture
def runs(finished_runs, tmp_path):
    """A finished run, another one, and one that was stopped."""
    stopped = shutil.copytree(finished_runs("sequences").workdir, tmp_path / "stopped")
    (stopped / "summary.json").unlink()
    return [finished_runs("cpc").workdir, finished_runs("sequences").workdir, stopped]


def test_differing_keys_and_results_stand_beside_each_run(runs):
    comparison = mi_coding.compare(runs)
    first, second, stopped = comparison.rows
    assert (first["state"], second["state"], stopped["state"]) == ("finished", "finished", "step 4")
    assert first["objective.name"] == "cpc"
    assert second["objective.name"] == "cpc_ahead"
    assert "seed" not in first  # which is the same in all
    assert 0 <= second["linear probe"] <= 1
    assert stopped["bound"] is None
    assert "8 × cpu" in first["hardware"]
    assert first["version"].startswith(mi_coding.__version__)
    assert len(comparison.figure().axes[0].lines) >= 3
    assert "cpc_ahead" in comparison._repr_html_()


def test_the_command_prints_the_table_and_writes_each_kind_of_file(runs, tmp_path, capsys):
    for suffix in (".csv", ".html", ".png"):
        output = tmp_path / f"all{suffix}"
        assert command.main(["compare", *map(str, runs), f"--output={output}"]) == 0
        assert "objective.name" in capsys.readouterr().out
        assert output.stat().st_size > 200
    with (tmp_path / "all.csv").open() as file:
        assert [row["state"] for row in csv.DictReader(file)] == ["finished", "finished", "step 4"]


def test_runs_of_one_name_are_told_apart_and_a_broken_line_is_told(runs, tmp_path, capsys):
    for folder in ("one", "two"):
        shutil.copytree(runs[0], tmp_path / folder / "run")
    pair = [str(tmp_path / folder / "run") for folder in ("one", "two")]
    assert [row["run"] for row in mi_coding.compare(pair).rows] == ["one/run", "two/run"]
    metrics = tmp_path / "two" / "run" / "metrics.jsonl"
    metrics.write_text("{}, no line\n" + metrics.read_text())
    assert command.main(["compare", *pair]) == 2
    assert "metrics.jsonl has a line that is broken" in capsys.readouterr().err


def test_what_is_no_run_is_told(tmp_path, capsys):
    for arguments, words in (
        ([], "no run to compare"),
        ([str(tmp_path)], "holds no config.json, so it is not a run"),
        ([str(tmp_path), "--output=a.doc"], "expected a file that ends in .csv, .html, .png"),
    ):
        assert command.main(["compare", *arguments]) == 2
        assert words in capsys.readouterr().err
    with pytest.raises(InputError):
        mi_coding.compare([])
