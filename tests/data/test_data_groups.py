"""`data.group`: what belongs together stays in one split, whatever the source."""

import io
import tarfile

import numpy as np
import pytest
from pictures import encoded

from mi_coding import data
from mi_coding.data.films.frames import FilmTable
from mi_coding.data.films.loading import split_films
from mi_coding.errors import InputError

COUNT, PEOPLE = 96, 12
PERSON = np.arange(COUNT) % PEOPLE
KEYS = [f"p{person:02d}/{i}" for i, person in enumerate(PERSON)]


def folder(root):
    for i, key in enumerate(KEYS):
        path = root / f"{'ant' if i % 2 else 'bee'}" / f"{key.replace('/', '_')}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encoded(i))
    return f"folder:{root}", r"p(\d+)_", lambda name: int(name.split("/p")[1][:2])


def npz(root):
    np.savez(root / "a.npz", x=np.ones((COUNT, 2)), y=np.ones((COUNT, 2)), person=PERSON.astype(str))
    return f"npz:{root / 'a.npz'}", "person", lambda name: PERSON[int(name.split("[")[1][:-1])]


def parquet(root):
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table({"image": [encoded(i) for i in range(COUNT)], "person": PERSON})
    pytest.importorskip("pyarrow.parquet").write_table(table, root / "a.parquet")
    return f"parquet:{root}", "person", lambda name: PERSON[int(name.split("[")[1][:-1])]


def webdataset(root):
    with tarfile.open(root / "a.tar", "w") as tar:
        for i, key in enumerate(KEYS):
            info = tarfile.TarInfo(f"{key}.png")
            info.size = len(encoded(i))
            tar.addfile(info, io.BytesIO(encoded(i)))
    return f"webdataset:{root}", r"^p\d+", lambda name: int(name.split("/p")[1][:2])


@pytest.mark.parametrize("write", [folder, npz, parquet, webdataset])
def test_no_group_is_in_two_splits(tmp_path, write):
    source, group, person = write(tmp_path)
    dataset = data.load(source, group=group)
    people = [{person(name) for name in data.names(split)} for split in dataset.splits]
    assert sum(map(len, people)) == len(set.union(*people)) == PEOPLE
    assert min(map(len, people)) >= 2
    assert "12 groups of up to 8 examples, each in one split" in dataset.account.notes
    alone = [{person(name) for name in data.names(split)} for split in data.load(source).splits]
    assert sum(map(len, alone)) > PEOPLE  # without it they are


@pytest.mark.parametrize("write", [npz, parquet])
def test_a_column_that_is_not_there_is_told(tmp_path, write):
    source, *_ = write(tmp_path)
    with pytest.raises(InputError, match=r"group=.patient. is not an? (array|column).*; expected one of .*person"):
        data.load(source, group="patient")


def test_sources_without_groups_and_with_splits_of_their_own_refuse_them(tmp_path):
    with pytest.raises(InputError, match=r"group=.a. is not for digits; expected one of folder \(a pattern"):
        data.load("digits", group="a")
    for split in ("train", "val", "test"):
        (tmp_path / split).mkdir()
        for i in range(3):
            (tmp_path / split / f"p{i}.png").write_bytes(encoded(i))
    with pytest.raises(InputError, match=r"is for splits cut at random; .* has three of its own"):
        data.load(f"folder:{tmp_path}", group="p")


def test_films_of_a_group_stay_in_one_split_however_few_they_are():
    count = np.full(8, 10)
    first = np.arange(8) * 10
    table = FilmTable([f"f{i}" for i in range(8)], first, count, np.tile(np.arange(10) / 10, 8), np.full(8, 1.0))
    groups = np.array([0, 0, 1, 1, 2, 2, 3, 4])
    made = split_films(table, 0.1, groups=groups)
    found = [set(groups[part.films].tolist()) for part in made.parts]
    assert sum(map(len, found)) == 5
    assert made.how.startswith("whole films")


@pytest.mark.parametrize(
    ("person", "words"),
    [
        (PERSON.astype(object), "array person holds Python objects; expected one of numbers, or of text"),
        (PERSON[:, None], r"has the shape \(96, 1\)"),
    ],
)
def test_groups_of_npz_that_cannot_be_read_are_one_line(tmp_path, person, words):
    np.savez(tmp_path / "a.npz", x=np.ones((COUNT, 2)), y=np.ones((COUNT, 2)), person=person)
    with pytest.raises(InputError, match=words):
        data.load(f"npz:{tmp_path / 'a.npz'}", group="person")


def test_rows_without_a_group_are_no_group_together(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    person = [None if i < COUNT // 2 else int(one) for i, one in enumerate(PERSON)]
    table = pyarrow.table({"image": [encoded(i) for i in range(COUNT)], "person": person})
    pytest.importorskip("pyarrow.parquet").write_table(table, tmp_path / "a.parquet")
    notes = data.load(f"parquet:{tmp_path}", group="person").account.notes
    assert "48 rows have no person: each is a group of its own" in notes
    assert "60 groups of up to 4 examples, each in one split" in notes
