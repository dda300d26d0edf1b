"""`python -m mi_coding.estimate` of tables, archives and reports."""

import json

import numpy as np
import pandas as pd
import pytest

from mi_coding.estimate import __main__ as command

pytestmark = pytest.mark.usefixtures("short_training")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=600), "b": rng.normal(size=600)})
    frame["kind"] = np.where(frame["a"] + 0.3 * rng.normal(size=600) > 0, "yes", "no")
    frame["patient"] = np.arange(600) // 4
    frame.to_csv(folder / "table.csv", index=False)
    frame.to_csv(folder / "table.tsv", sep="\t", index=False)
    frame.to_parquet(folder / "table.parquet")
    np.savez(folder / "arrays.npz", x=frame["a"], y=frame["b"] + frame["a"], other=frame["b"])
    np.savez(folder / "named.npz", one=frame["a"], two=frame["b"])
    return folder


def run(folder, *arguments):
    return command.main(["estimate", *(str(a).replace("FOLDER", str(folder)) for a in arguments), "--effort=quick"])


@pytest.mark.parametrize("suffix", [".tsv", pytest.param(".parquet", marks=pytest.mark.soak)])
def test_a_table_has_a_target(folder, suffix, capsys, tmp_path):
    more = [f"--report={tmp_path / 'r.html'}"] if suffix == ".parquet" else []
    assert run(folder, f"FOLDER/table{suffix}", "--target=kind", "--rows=patient", *more) == 0
    printed = capsys.readouterr().out
    assert "nats (" in printed
    names = [line.split()[0] for line in printed.split("each column alone")[1].splitlines()[2:]]
    assert names == ["a", "b"]
    if more:
        page = (tmp_path / "r.html").read_text()
        assert page.count("<img") == 2
        assert "Every column alone" in page
        assert "Mutual information" in page


@pytest.mark.soak
def test_a_table_has_a_matrix(folder, capsys, tmp_path):
    pd.read_csv(folder / "table.csv").drop(columns=["b", "patient"]).to_csv(tmp_path / "table.csv", index=False)
    assert run(folder, tmp_path / "table.csv", "--matrix", "--json", f"--plot={tmp_path / 'm.png'}") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["nats"]["a"]["kind"] > 0.2
    assert found["nats"]["a"]["a"] is found["p_values"]["a"]["a"] is None
    assert (tmp_path / "m.png").stat().st_size > 1000


def test_a_report_has_the_rows_that_lack_no_value_of_given(folder, tmp_path, capsys):
    table = pd.read_csv(folder / "table.csv").drop(columns="patient")
    table.loc[::9, "b"] = np.nan
    table.to_csv(tmp_path / "gaps.csv", index=False)
    how = ["--target=kind", "--given=b", "--missing=drop", f"--report={tmp_path / 'r.html'}"]
    assert run(folder, tmp_path / "gaps.csv", *how) == 0
    assert "67 of 600 rows have missing values" in (tmp_path / "r.html").read_text()


def test_an_archive_has_two_arrays_or_names_them(folder, capsys):
    assert run(folder, "FOLDER/arrays.npz", "--json", "--pointwise") == 0
    whole = json.loads(capsys.readouterr().out)
    assert run(folder, "FOLDER/arrays.npz:x", "FOLDER/arrays.npz:y", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {name: value for name, value in whole.items() if name != "pointwise"}
    assert whole["interval"][0] < 0.3466 < whole["interval"][1]
    assert len(whole["pointwise"]) == whole["num_pairs"] == 600


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["FOLDER/table.csv"], "a table needs --target=COLUMN or --matrix"),
        (["FOLDER/table.csv", "--target=kin"], "--target=kin is not a column of the table; did you mean kind?"),
        (["FOLDER/table.csv", "--target=zzz"], "expected one of a, b, kind, patient"),
        (["FOLDER/table.csv", "--target=kind", "--rows=patients"], "--rows=patients is not a column of the table"),
        (["FOLDER/table.csv", "--target=kind", "--given=c"], "--given=c is not a column"),
        (["FOLDER/table.csv", "FOLDER/table.csv", "--matrix"], "expected one file"),
        (["FOLDER/table.csv", "--matrix", "--target=a"], "expected no --target"),
        (["FOLDER/table.csv", "--matrix", "--rows=patient"], "--matrix counts independent rows; expected no --rows"),
        (["FOLDER/table.csv", "--matrix", "--permutations=99"], "--matrix counts independent rows"),
        (["FOLDER/arrays.npz", "--given=FOLDER/none.npy"], "none.npy cannot be read"),  # which had been ignored
        (["FOLDER/named.npz"], "has arrays one, two; expected x and y, or name them"),
        (["FOLDER/named.npz:one", "FOLDER/named.npz:three"], "has no array three; expected one of one, two"),
        (["FOLDER/nowhere.csv", "--target=a"], "nowhere.csv cannot be read"),
        (["FOLDER/arrays.npz", "--missing=skip"], "missing='skip'"),
        (["FOLDER/arrays.npz", "--permutations=2"], "permutations=2"),
        (["FOLDER/arrays.npz", "--report=a.pdf"], "ends in .html"),
    ],
)
def test_a_mistake_is_one_line(folder, capsys, arguments, words):
    assert run(folder, *arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert words in printed.err
    assert printed.err.count(" is not ") <= 1  # no message within another
    assert len(printed.err.strip().splitlines()) == 1
