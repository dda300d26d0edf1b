"""Codes on disk: every kind of file gives back what was written, and is whole or not there."""

import csv

import numpy as np
import pytest
from pyarrow import parquet

from mi_coding.reporting.codes_file import CODES_FILES, Columns, check_output_path

NAMES = ['a/ä, "1".png', "a/2.png", "b/longest of all.png", "b/4.png", "c/5.png"]
LABELS = np.array([0, 0, 1, -1, 2], np.int32)
CLASSES = ["a", "b", "c"]
CODES = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32) * 10.0 ** np.array([[-8, 0, 8]])
CODES = CODES.astype(np.float32)


def write(path, *, labels=LABELS, classes=CLASSES, codes=CODES):
    columns = Columns(codes.shape[1], str(codes.dtype), labels is not None, classes, max(map(len, NAMES)))
    with CODES_FILES[path.suffix](path, columns) as file:
        for start, stop in ((0, 2), (2, 2), (2, 5)):
            some = None if labels is None else labels[start:stop]
            file.write(codes[start:stop], NAMES[start:stop], some)
        assert not path.exists()
    assert file.num_rows == 5
    beside = {"projector_config.pbtxt", f"{path.stem}.metadata.tsv"} if path.suffix == ".tsv" else set()
    assert {p.name for p in path.parent.iterdir()} == {path.name} | beside


def read(path):
    """codes, names, labels and classes of the rows, in whatever kind of file; None for what is not there."""
    if path.suffix == ".npz":
        with np.load(path) as file:
            there = {name: file[name] for name in file.files}
        labels, names = there.get("labels"), there.get("class_names")
        of_rows = None if names is None else [names[label] if label >= 0 else "" for label in labels]
        return there["codes"], there["paths"].tolist(), labels, of_rows
    if path.suffix == ".parquet":
        table = parquet.read_table(path)
        columns = {name: table[name].to_pylist() for name in table.column_names}
        codes = np.array(columns["codes"], table.schema.field("codes").type.value_type.to_pandas_dtype())
        return codes, columns["path"], columns.get("label"), columns.get("class")
    if path.suffix == ".tsv":
        dtype = np.float32 if "." in path.read_text() else np.uint8
        codes = np.loadtxt(path, delimiter="\t", dtype=dtype)
        rows = [line.split("\t") for line in path.with_suffix(".metadata.tsv").read_text().splitlines()]
        columns = dict(zip(rows[0], zip(*rows[1:], strict=True), strict=True)) if "path" in rows[0] else {}
        labels = [int(label) for label in columns["label"]] if "label" in columns else None
        names = list(columns["path"]) if columns else [row[0] for row in rows]
        return codes, names, labels, list(columns["class"]) if "class" in columns else None
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    codes = np.array([[row[f"z{i}"] for i in range(3)] for row in rows], np.float32)
    labels = [int(row["label"]) for row in rows] if "label" in rows[0] else None
    return codes, [row["path"] for row in rows], labels, [row["class"] for row in rows] if "class" in rows[0] else None


def test_the_projector_keeps_the_other_codes_of_a_folder(tmp_path):
    for name in ("first", "second", "first"):
        columns = Columns(CODES.shape[1], str(CODES.dtype), False, None, max(map(len, NAMES)))
        with CODES_FILES[".tsv"](tmp_path / f"{name}.tsv", columns) as file:
            file.write(CODES, NAMES, None)
    config = (tmp_path / "projector_config.pbtxt").read_text()
    assert [config.count(f'tensor_name: "{name}"') for name in ("first", "second")] == [1, 1]
    assert config.count("embeddings {") == 2


@pytest.mark.parametrize("suffix", CODES_FILES)
def test_codes_come_back_bit_for_bit_with_paths_labels_and_classes(tmp_path, suffix):
    write(tmp_path / f"codes{suffix}")
    codes, names, labels, classes = read(tmp_path / f"codes{suffix}")
    assert codes.dtype == np.float32
    np.testing.assert_array_equal(codes, CODES)
    assert list(names) == NAMES
    assert list(labels) == LABELS.tolist()
    assert classes == ["a", "a", "b", "", "c"]


@pytest.mark.parametrize("suffix", CODES_FILES)
def test_without_labels_there_is_no_column_of_them(tmp_path, suffix):
    write(tmp_path / f"codes{suffix}", labels=None, classes=None)
    assert read(tmp_path / f"codes{suffix}")[2:] == (None, None)


@pytest.mark.parametrize("suffix", CODES_FILES)
def test_codes_may_be_bytes(tmp_path, suffix):
    packed = np.arange(15, dtype=np.uint8).reshape(5, 3) + 240
    write(tmp_path / f"codes{suffix}", codes=packed)
    np.testing.assert_array_equal(read(tmp_path / f"codes{suffix}")[0].astype(np.uint8), packed)


@pytest.mark.parametrize("suffix", CODES_FILES)
def test_an_error_half_way_leaves_the_file_that_was_there(tmp_path, suffix):
    path = tmp_path / f"codes{suffix}"
    path.write_text("before")
    file = CODES_FILES[suffix](path, Columns(3, "float32", False, None, 30))

    def write_and_fail():
        with file:
            file.write(CODES, NAMES, None)
            raise KeyError

    with pytest.raises(KeyError):
        write_and_fail()
    assert path.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_parquet_file_of_many_rows_is_written_in_groups(tmp_path, monkeypatch):
    monkeypatch.setattr("mi_coding.reporting.codes_file._ROW_GROUP", 2)
    write(tmp_path / "codes.parquet")
    assert parquet.ParquetFile(tmp_path / "codes.parquet").num_row_groups == 2
    assert read(tmp_path / "codes.parquet")[1] == NAMES


def test_where_codes_cannot_be_written_is_told_beforehand(tmp_path, monkeypatch):
    assert check_output_path(tmp_path / "codes.npz") is None
    assert "has no ending; expected .npz, .parquet, .csv" in check_output_path(tmp_path / "codes")
    assert "ends in .npy" in check_output_path(tmp_path / "codes.npy")
    (tmp_path / "folder.csv").mkdir()
    assert "is a folder" in check_output_path(tmp_path / "folder.csv")
    assert "not a folder; make it first" in check_output_path(tmp_path / "nowhere" / "codes.csv")
    monkeypatch.setattr("os.access", lambda path, mode: False)  # a test may run as root, who may write anywhere
    assert "cannot be written to" in check_output_path(tmp_path / "codes.csv")
    monkeypatch.undo()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install 'mi_coding[parquet]'" in check_output_path(tmp_path / "codes.parquet")
