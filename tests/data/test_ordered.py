"""All examples once, in order, ahead of time, and no more of them than asked for."""

import threading
import time

import numpy as np
import pytest
from pictures import numbers, write

from mi_coding import data
from mi_coding.data.dataset import Split
from mi_coding.data.ordered import Ordered
from mi_coding.errors import InputError


class Slow:
    """Stands for `LazyImages`: image i shows i, the even ones late; some cannot be decoded, one is of another size."""

    dtype = np.dtype(np.uint8)

    def __init__(self, n, unreadable=(), wrong_size=None):
        self.shape, self.unreadable, self.wrong_size = (n, 2, 3, 1), unreadable, wrong_size
        self.read_so_far, self.threads = 0, set()

    def __len__(self):
        return self.shape[0]

    def name(self, i):
        return f"{i}.png"

    described = name

    def read(self, i):
        self.read_so_far += 1
        self.threads.add(threading.get_ident())
        if i % 2 == 0:
            time.sleep(0.001)
        if i == self.wrong_size:
            raise InputError(f"{self.name(i)} has 9 × 9 pixels")
        return None if i in self.unreadable else np.full(self.shape[1:], i % 256, np.uint8)


@pytest.mark.parametrize("count", [1, 16, 33])
def test_every_example_is_yielded_once_in_order_with_name_and_label(count):
    split = Split(Slow(count), np.arange(count, dtype=np.int32) * 10)
    with Ordered(split, batch_size=16) as ordered:
        parts = list(ordered)
    assert [len(part.examples) for part in parts] == [min(16, count - start) for start in range(0, count, 16)]
    assert [number for part in parts for number in numbers(part.examples)] == list(range(count))
    assert [name for part in parts for name in part.names] == [f"{i}.png" for i in range(count)]
    assert [label for part in parts for label in part.labels] == [10 * i for i in range(count)]
    assert ordered.skipped == []


def test_undecodable_images_are_left_out_with_name_and_label():
    unreadable = {0, 5, *range(8, 16), 33}
    split = Split(Slow(34, unreadable), np.arange(34, dtype=np.int32))
    with Ordered(split, batch_size=8) as ordered:
        parts = list(ordered)
    assert ordered.skipped == [f"{i}.png" for i in sorted(unreadable)]
    assert [part.examples.shape for part in parts] == [(m, 2, 3, 1) for m in (6, 0, 8, 8, 1)]
    for part in parts:
        assert numbers(part.examples) == part.labels.tolist() == [int(name.split(".")[0]) for name in part.names]
    assert sum(len(part.names) for part in parts) == 34 - len(unreadable)


def test_other_threads_read_ahead_at_most_prefetch_batches():
    images = Slow(1000)
    with Ordered(Split(images, None), batch_size=10, prefetch=3) as ordered:
        for taken in range(1, 5):
            next(ordered)
            time.sleep(0.1)
            assert images.read_so_far <= 10 * (taken + 3)
    assert threading.get_ident() not in images.threads


def test_an_image_of_another_size_is_refused_and_ends_the_threads():
    with (
        pytest.raises(InputError, match=r"20\.png has 9 × 9 pixels"),
        Ordered(Split(Slow(64, wrong_size=20), None), batch_size=8) as ordered,
    ):
        list(ordered)


def test_the_time_spent_waiting_is_counted():
    with Ordered(Split(Slow(400), None), batch_size=100) as ordered:
        began = time.perf_counter()
        list(ordered)
        assert 0 < ordered.wait_seconds <= time.perf_counter() - began
    with Ordered(Split(np.zeros((4, 2)), None), batch_size=2) as ordered:
        time.sleep(0.1)  # by the one who takes is no waiting
        list(ordered)
    assert ordered.wait_seconds < 0.1


def test_pairs_and_arrays_in_memory_are_yielded_in_order():
    x, y = np.arange(10.0)[:, None], np.arange(20.0).reshape(10, 2)
    with Ordered(Split((x, y), None, [f"row {i}" for i in range(10)]), batch_size=4) as ordered:
        parts = list(ordered)
    np.testing.assert_array_equal(np.concatenate([part.examples[1] for part in parts]), y)
    assert parts[2].names == ["row 8", "row 9"]
    with Ordered(Split(x, None), batch_size=4) as ordered:
        assert next(ordered).names == ["[0]", "[1]", "[2]", "[3]"]


def test_list_all_returns_files_in_the_order_of_their_paths(tmp_path):
    places = ["test/b/1.png", "test/c/0.png", "train/a/2.png", "train/b/0.png", "train/b/deep/1.png"]
    for number, place in enumerate(places):
        write(tmp_path / place, number)
    split, class_names, _ = data.list_all(f"folder:{tmp_path}")
    assert list(data.names(split)) == places
    assert class_names == ["a", "b", "c"]
    assert split.labels.tolist() == [1, 2, 0, 1, 1]
    assert numbers(split.examples.read(i) for i in range(5)) == list(range(5))


def test_list_all_has_no_labels_for_fewer_than_two_classes(tmp_path):
    for name in ("b.png", "a.png"):
        write(tmp_path / "loose" / name)
        write(tmp_path / "one" / "class" / name)
    split, class_names, _ = data.list_all(f"folder:{tmp_path / 'loose'}")
    assert (list(data.names(split)), split.labels, class_names) == (["a.png", "b.png"], None, None)
    assert data.list_all(f"folder:{tmp_path / 'one'}").split.labels is None
    write(tmp_path / "mixed" / "train" / "cat" / "0.png")
    write(tmp_path / "mixed" / "train" / "dog" / "0.png")
    write(tmp_path / "mixed" / "test" / "0.png")
    assert data.list_all(f"folder:{tmp_path / 'mixed'}").split.labels is None


def test_list_all_refuses_a_missing_or_empty_folder(tmp_path):
    for path, words in ((tmp_path / "nowhere", "does not exist"), (tmp_path, "holds no image")):
        with pytest.raises(InputError, match=words):
            data.list_all(f"folder:{path}")
