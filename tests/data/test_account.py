"""The account of a data set: what was found, used, and left out and why."""

import numpy as np
import pytest
from commands import make_folder
from finished_runs import write_films

from mi_coding import data
from mi_coding.data.account import Account, class_counts


def test_counts_and_names_of_one_reason_add_up_and_only_the_first_names_are_kept():
    account = Account("images", found=10)
    account.leave_out("cannot be decoded", ["a", "b"])
    account.leave_out("cannot be decoded", ["c", "d"])
    account.leave_out("too small", [])
    assert account.used == 6
    assert account.summary() == {"data/found": 10, "data/used": 6, "data/left_out/cannot_be_decoded": 4}
    assert account.lines() == ["data: 6 of 10 images are used; left out: 4 cannot be decoded (a, b, c, …)"]


def test_a_note_is_said_once():
    account = Account("images", found=2)
    account.note("12 bits are white at 4,095")
    account.note("12 bits are white at 4,095")
    assert account.lines() == ["data: 2 images", "data: 12 bits are white at 4,095"]


def test_accounts_of_one_source_are_merged():
    one, other = Account("images", found=9), Account("images", found=9)
    one.leave_out("cannot be decoded", ["a"])
    other.leave_out("cannot be decoded", ["b"])
    other.leave_out("copies", ["c"])
    one.merge(other)
    assert one.summary()["data/left_out/cannot_be_decoded"] == 2
    assert one.used == 6


def test_many_classes_are_counted_without_a_line_for_each():
    assert class_counts(np.repeat(np.arange(12), 2), most=2) == "0: 2, 1: 2, 10 more classes"


@pytest.fixture
def folder(tmp_path):
    """41 files of images of two classes, of which one cannot be decoded."""
    make_folder(tmp_path, count=200, side=8)
    (tmp_path / "ant" / "broken.png").write_bytes(b"no image")
    return f"folder:{tmp_path}"


def test_a_folder_accounts_for_what_cannot_be_decoded_by_class_and_split(folder):
    summary = data.load(folder).account.summary()
    assert (summary["data/found"], summary["data/used"], summary["data/left_out/cannot_be_decoded"]) == (401, 400, 1)
    assert sum(summary[f"data/{name}"] for name in ("train", "validation", "test")) == 400
    assert summary["data/shape"] == "8 × 8 × 3"
    assert 100 < summary["data/levels"] <= 256
    assert summary["data/class_counts"] in ("ant: 140, bee: 140", "bee: 140, ant: 139")


def test_films_account_for_frames_seconds_and_files_that_are_no_films(tmp_path):
    write_films(tmp_path)
    (tmp_path / "d.mp4").write_bytes(b"no film")
    video = data.VideoOptions(gap=0.1, cache_dir=str(tmp_path / "cache"))
    summary = data.load(f"video:{tmp_path}/*.mp4", video=video, log=lambda line: None).account.summary()
    assert (summary["data/found"], summary["data/used"], summary["data/left_out/cannot_be_decoded"]) == (4, 3, 1)
    assert summary["data/films"] == 3
    assert summary["data/frames"] <= 90
    assert 20 < summary["data/frame_rate"] < 30  # 20 to 60 ms a frame


def test_copies_of_training_images_in_other_splits_are_counted_with_their_names(tmp_path):
    make_folder(tmp_path / "train", count=30, side=8)
    make_folder(tmp_path / "test", count=5, side=8)  # the same random numbers: its ants are the first five of training
    dataset = data.load(f"folder:{tmp_path}")
    copied = [f"ant/{i:04d}.png" for i in range(5) if f"train/ant/{i:04d}.png" in dataset.train.names]
    (note,) = [line for line in dataset.account.notes if " test example" in line and "byte for byte" in line]
    assert note.startswith(f"{len(copied)} test example(s) are copies of training examples, byte for byte: ")
    assert any(f"test/{name} = train/{name}" in note for name in copied)


def test_examples_of_one_split_alone_are_no_copies(tmp_path):
    make_folder(tmp_path, count=30, side=8)
    assert not any("copies" in note for note in data.load(f"folder:{tmp_path}").account.notes)
