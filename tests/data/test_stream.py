"""Streams: batches by seed and number alone, from processes that end with their parent."""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from mi_coding.data import pieces
from mi_coding.data.dataset import Split
from mi_coding.data.stream import Batch, Stream, StreamSpec
from mi_coding.errors import InputError, Setting

ROOT = Path(__file__).parents[2]


class Tagged:
    """In place of `LazyImages`: image i has i in its first pixel; some cannot be decoded, one is of a wrong size."""

    def __init__(self, n, unreadable=(), wrong_size=None):
        self.shape, self.unreadable, self.wrong_size = (n, 2, 3, 3), frozenset(unreadable), wrong_size

    def __len__(self):
        return self.shape[0]

    def name(self, i):
        return f"{i}.png"

    def read(self, i):
        if i == self.wrong_size:
            raise InputError(f"{self.name(i)} is 9 × 9, expected 2 × 3: ", Setting("data.image_size", 2, flag=True))
        image = np.full(self.shape[1:], 7, np.uint8)
        image[0, 0, :2] = i // 256, i % 256
        return None if i in self.unreadable else image


def split(n, **how):
    return Split(Tagged(n, **how), np.arange(n, dtype=np.int32) * 10)


def tags(batch):
    return batch.examples[:, 0, 0, 0].astype(int) * 256 + batch.examples[:, 0, 0, 1]


def stream(data, *, num_workers=2, warn=print, **which):
    return Stream(data, StreamSpec(**which), num_workers=num_workers, warn=warn)


def take(count, *args, **how):
    with stream(*args, **{"num_workers": 0, "seed": 1} | how) as batches:
        return [next(batches) for _ in range(count)]


def take_tags(count, *args, **how):
    return np.stack([tags(batch) for batch in take(count, *args, **how)])


@pytest.fixture
def small_pieces(monkeypatch):
    """A batch of 8 in three pieces, of 2, 3 and 3 images."""
    monkeypatch.setattr(pieces, "PIECE_BYTES", 3 * 18)


def assert_same(these, those):
    assert len(these) == len(those)
    for one, other in zip(these, those, strict=True):
        np.testing.assert_array_equal(one.examples, other.examples)
        np.testing.assert_array_equal(one.labels, other.labels)


@pytest.fixture
def workers():
    """A function that gives the child processes that were started since, as libraries keep some of their own."""
    before = set(multiprocessing.active_children())
    return lambda: set(multiprocessing.active_children()) - before


def test_worker_processes_change_no_batch_and_end_with_the_stream(small_pieces, workers):
    data, warned = split(60, unreadable=(20, 21, 22)), []
    expected = take(20, data, batch_size=8, first_batch=3, warn=warned.append)
    with stream(data, batch_size=8, first_batch=3, seed=1, num_workers=2, warn=warned.append) as batches:
        assert_same([next(batches) for _ in range(20)], expected)
        assert len(workers()) == 2
        assert batches.seen == 160
        assert set(batches.unreadable) == {"20.png", "21.png", "22.png"}
    assert not workers()
    assert len(warned) == 2  # one line of each stream
    assert warned[0] == warned[1]


def test_the_input_error_of_a_worker_is_raised_by_next(workers):
    with stream(split(4, wrong_size=2), batch_size=16, seed=0, num_workers=1) as batches:
        with pytest.raises(
            InputError, match=r"^2\.png is 9 × 9, expected 2 × 3: --config\.data\.image_size=2$"
        ) as error:
            next(batches)
        assert error.value.parts[1] == Setting("data.image_size", 2, flag=True)
        assert not workers()
        with pytest.raises(ValueError, match="closed"):
            next(batches)


def test_the_input_error_of_a_thread_is_raised_by_next():
    with pytest.raises(InputError, match=r"^2\.png is 9 × 9"):
        take(1, split(4, wrong_size=2), batch_size=16)


PROGRAM = """
print("imported", flush=True)
import multiprocessing, signal, sys, time
from test_stream import split, stream

def main():
    stopped = []
    signal.signal(signal.SIGINT, lambda *_: stopped.append("SIGINT"))
    signal.signal(signal.SIGTERM, lambda *_: stopped.append("SIGTERM"))
    batches = stream(split(50), batch_size=8, seed=0, num_workers=2)
    next(batches)
    print(*(process.pid for process in multiprocessing.active_children()), flush=True)
    while len(stopped) < 2:
        next(batches)  # the workers continue until the handler of this process has decided
        time.sleep(0.01)
    print(*sorted(stopped))  # without close: the end of the program is enough

if __name__ == "__main__":
    main()
"""


@pytest.fixture
def program(tmp_path):
    """`python -m program`, in a session of its own, and the numbers of its two workers."""
    (tmp_path / "program.py").write_text(PROGRAM)
    process = subprocess.Popen(
        [sys.executable, "-m", "program"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent)])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout.readline() == "imported\n"
    workers = [int(pid) for pid in process.stdout.readline().split()]  # a second import would print "imported" here
    assert len(workers) == 2
    yield process, workers
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for_the_end_of(workers, seconds=20):
    deadline = time.monotonic() + seconds
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, workers))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_signals_to_all_processes_are_handled_by_the_parent(program):
    process, workers = program
    for number in (signal.SIGINT, signal.SIGTERM):
        os.killpg(process.pid, number)
        time.sleep(0.3)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "SIGINT SIGTERM\n", "")
    wait_for_the_end_of(workers)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_workers_end_when_their_parent_is_killed(program):
    process, workers = program
    os.kill(process.pid, signal.SIGKILL)
    wait_for_the_end_of(workers)


@pytest.mark.parametrize("distinct", [False, True])
def test_a_stream_from_a_later_batch_continues_one_from_zero(distinct, small_pieces):
    whole = take(20, split(30), batch_size=8, distinct=distinct)
    assert_same(take(7, split(30), batch_size=8, distinct=distinct, first_batch=13), whole[13:])


def test_a_large_first_batch_is_not_slower():
    assert len(take(2, split(30), batch_size=8, distinct=True, first_batch=10**9)) == 2


@pytest.mark.parametrize("n", [8, 25, 300])
def test_distinct_epochs_have_every_image_at_most_once_and_differ(n):
    per_epoch = n // 8
    epochs = take_tags(3 * per_epoch, split(n), batch_size=8, distinct=True).reshape(3, -1)
    for epoch in epochs:
        assert len(set(epoch)) == len(epoch) == n - n % 8
    assert not (epochs[0] == epochs[1]).all()
    assert not (epochs[1] == epochs[2]).all()


def test_the_second_epoch_of_a_seed_is_not_the_first_of_the_next():
    second = take_tags(10, split(80), batch_size=8, distinct=True, seed=1)[:10]
    assert not any(
        (take_tags(10, split(80), batch_size=8, distinct=True, seed=s, first_batch=b) == second).all()
        for s, b in ((0, 10), (2, 0), (2, 10), (0, 0))
    )


def test_independent_draws_coincide_at_the_rate_of_chance():
    n, size, count = 50, 32, 1000
    drawn = take_tags(count, split(n), batch_size=size)
    pairs = size * (size - 1) / 2
    twins = np.mean([(batch[:, None] == batch).sum() - size for batch in drawn]) / 2
    # The pairs of one batch are pairwise independent, so their variances add up.
    standard_error = np.sqrt(pairs / n * (1 - 1 / n) / count)
    assert abs(twins - pairs / n) < 4 * standard_error
    again = (drawn[1:] == drawn[:-1]).mean()  # the same row of consecutive batches
    assert abs(again - 1 / n) < 4 * np.sqrt(1 / n / drawn[1:].size)
    counts = np.bincount(drawn.ravel(), minlength=n)
    assert abs(counts - drawn.size / n).max() < 4.5 * np.sqrt(drawn.size / n)


def test_another_seed_gives_other_batches():
    assert not (take_tags(1, split(50), batch_size=32) == take_tags(1, split(50), batch_size=32, seed=2)).all()


@pytest.mark.parametrize("distinct", [False, True])
def test_concatenated_shards_equal_the_batch_of_one_process(distinct, small_pieces):
    how = {"batch_size": 12, "distinct": distinct, "warn": lambda _: None}
    data = split(40, unreadable=(5, 6, 7, 20))
    whole = take(6, data, **how)
    shards = [take(6, data, shard=(index, 3), **how) for index in range(3)]
    together = [Batch(*map(np.concatenate, zip(*parts, strict=True))) for parts in zip(*shards, strict=True)]
    assert_same(together, whole)


@pytest.mark.parametrize("unreadable", [(), (5, 6, 7, 20)])
def test_streamed_labels_match_their_images(unreadable, small_pieces):
    for batch in take(5, split(40, unreadable=unreadable), batch_size=16, warn=lambda _: None):
        np.testing.assert_array_equal(batch.labels, tags(batch) * 10)
        assert batch.labels.dtype == np.int32


def test_missing_labels_are_minus_one():
    (batch,) = take(1, Split(Tagged(9), None), batch_size=4)
    assert batch.labels.tolist() == [-1] * 4


def test_an_array_in_memory_gives_the_same_batches_in_its_dtype():
    lazy = split(40)
    array = np.stack([lazy.examples.read(i) for i in range(40)])
    assert_same(take(3, Split(array, lazy.labels), batch_size=8, num_workers=2), take(3, lazy, batch_size=8))
    assert take(1, Split(array.astype(np.float32), None), batch_size=8)[0].examples.dtype == np.float32


def test_files_are_decoded_and_a_broken_one_is_named(tmp_path):
    class Files(Tagged):
        def name(self, i):
            return str(tmp_path / f"{i}.png")

        def read(self, i):
            try:
                with Image.open(self.name(i)) as image:
                    return np.asarray(image)
            except OSError:
                return None

    for i in range(30):
        Image.fromarray(Tagged(30).read(i)).save(tmp_path / f"{i}.png")
    (tmp_path / "3.png").write_bytes(b"no image")
    warned = []
    batches = take(3, Split(Files(30), None), batch_size=30, distinct=False, warn=warned.append)
    assert 3 not in np.concatenate([tags(batch) for batch in batches])
    assert len(warned) == 1
    assert str(tmp_path / "3.png") in warned[0]


def test_an_unreadable_image_is_replaced_by_the_next_readable_one():
    whole = take_tags(10, split(20), batch_size=8)
    holes = take_tags(10, split(20, unreadable=(4, 5, 19)), batch_size=8, warn=lambda _: None)
    expected = whole.copy()
    expected[np.isin(whole, (4, 5))] = 6
    expected[whole == 19] = 0  # behind the last comes the first
    np.testing.assert_array_equal(holes, expected)


@pytest.mark.parametrize("unreadable", [(4,), (4, 5), (0, 4, 5, 6, 11, 19)])
def test_replacements_keep_a_batch_of_distinct_examples_distinct(unreadable, small_pieces):
    how = {"batch_size": 8, "distinct": True, "warn": lambda _: None}
    whole = take_tags(30, split(20), **how)
    holes = take_tags(30, split(20, unreadable=unreadable), **how)
    for batch in holes:
        assert len(set(batch)) == 8
        assert not set(batch) & set(unreadable)
    readable = ~np.isin(whole, unreadable)
    np.testing.assert_array_equal(holes[readable], whole[readable])


def test_no_possible_replacement_is_an_error():
    with pytest.raises(InputError, match=r"3\.png cannot be decoded and no other of the 8 images"):
        take(1, split(8, unreadable=(3,)), batch_size=8, distinct=True)
    with pytest.raises(InputError, match="no other of the 3 images"):
        take(1, split(3, unreadable=range(3)), batch_size=2)


@pytest.mark.parametrize(("lost", "stops"), [(4, False), (30, True)])  # of 200: 2 % and 15 %
def test_more_than_a_tenth_unreadable_stops_the_stream(lost, stops):
    data = split(200, unreadable=range(50, 50 + lost))
    with stream(data, batch_size=100, seed=0, distinct=True, num_workers=0, warn=lambda _: None) as batches:
        for _ in range(9):
            next(batches)  # fewer than 1,000 examples are not judged
        if stops:
            with pytest.raises(InputError, match=r"^\d+ of 1,000 examples cannot be decoded, such as [5-7]\d\.png"):
                next(batches)
        else:
            next(batches)
        assert len(batches.unreadable) == lost
        assert batches.seen == 1000


def test_the_time_spent_waiting_is_counted():
    class Slow(Tagged):
        def read(self, i):
            time.sleep(0.1)
            return super().read(i)

    with stream(Split(Slow(5), None), batch_size=2, seed=0, num_workers=0) as batches:
        start = time.perf_counter()
        next(batches)
        assert 0.1 < batches.wait_seconds <= time.perf_counter() - start


def test_a_batch_is_not_overwritten_by_later_ones(small_pieces):
    with stream(split(50), batch_size=8, seed=1, num_workers=0) as batches:
        first = next(batches)
        before = first.examples.copy()
        for _ in range(5):
            next(batches).examples[:] = 0
    np.testing.assert_array_equal(first.examples, before)


def test_inconsistent_sizes_are_refused():
    with pytest.raises(ValueError, match="a batch of 9 distinct examples cannot be drawn from 8"):
        stream(split(8), batch_size=9, seed=0, distinct=True)
    with pytest.raises(ValueError, match="a batch of 9 cannot be split into 2 shards"):
        stream(split(8), batch_size=9, seed=0, shard=(0, 2))
    with pytest.raises(ValueError, match="to take number 2"):
        stream(split(8), batch_size=8, seed=0, shard=(2, 2))


def test_too_little_shared_memory_is_refused_before_workers_start(monkeypatch, tmp_path):
    monkeypatch.setattr("mi_coding.data.stream._SHARED_MEMORY", tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1 << 20))
    big = Split(Tagged(5), None)
    big.examples.shape = (5, 1000, 1000, 3)
    with pytest.raises(InputError, match=r"2 worker processes need 34 MiB of shared memory and .* has 1: use fewer"):
        stream(big, batch_size=5, seed=0, num_workers=2)
