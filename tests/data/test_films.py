"""Films in the cache, in splits and as pairs: no frame is lost, moved or in two splits; nothing is left half done."""

import pickle
import shutil
from collections import namedtuple
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from clips import STEP, write_clip

from mi_coding import data
from mi_coding.data import film_store, video
from mi_coding.data.film_splits import split_films
from mi_coding.data.films import EncodedFilm, Extent, FilmTable, FramePairs, Frames, shown_at
from mi_coding.data.images import Form
from mi_coding.data.stream import _Order
from mi_coding.errors import InputError


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Three films of irregular times and lengths; the middle one is black, the others say their frame's number."""
    folder = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(5)
    for name, count in {"a": 30, "b": 25, "c": 31}.items():
        times = np.cumsum(rng.integers(20, 120, count))
        black = (lambda i: np.zeros((48, 64, 3), np.uint8)) if name == "b" else None
        write_clip(folder / f"{name}.mp4", times - times[0], pixels=black)
    return folder


def load(clips, cache, **options):
    told = []
    keeping = data.Keeping(gap=options.pop("gap", 0.1), cache_dir=str(cache), frame_rate=options.pop("frame_rate", 0.0))
    options = {"image_size": 8, "channels": 1, "warn": told.append, "tell": told.append} | options
    return data.load(f"video:{clips}/*.mp4", keeping=keeping, **options), told


def table_of(*films):
    """A table of films, each given by its times, the end last."""
    count = np.array([len(times) - 1 for times in films])
    times = np.concatenate([np.asarray(times, float)[:-1] for times in films])
    names = [f"{letter}.mp4" for letter in "abcdefghijklmnopqrstuvwxyz"[: len(films)]]
    return FilmTable(names, np.cumsum(count) - count, count, times, np.array([float(times[-1]) for times in films]))


@pytest.fixture(scope="module")
def cached(clips, tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    return cache, *load(clips, cache)


def test_films_are_listed_with_every_frame_of_each_in_the_order_shown(cached, clips):
    told = []
    listed = data.list_all(
        f"video:{clips}/*.mp4",
        image_size=8,
        channels=1,
        keeping=data.Keeping(cache_dir=str(cached[0])),
        tell=told.append,
    )
    split = listed.split
    assert told == []  # decoded before, for pairs
    shown = np.array([round(split.examples.read(i).mean() / STEP) for i in range(data.num_examples(split))])
    np.testing.assert_array_equal(shown, [*range(30), *[0] * 25, *range(31)])
    names = list(data.names(split))
    assert [names[i] for i in (0, 30, 55)] == [f"{clips}/{name}.mp4 at 0.000 s" for name in "abc"]
    assert names[1] == f"{clips}/a.mp4 at {split.films.times[1]:.3f} s"
    assert split.labels is None


def test_frames_of_all_splits_are_those_of_the_files_with_their_times(cached):
    dataset = cached[1]
    for split in dataset[1:]:
        films = split.films
        for number, path in enumerate(films.names):
            times, name = [], Path(path).stem
            video.VideoFile(Path(path), Form(8, 1)).decode(
                lambda time, frame, times=times: times.append(time), frame_rate=0.0, threads=1
            )
            frames = slice(films.first[number], films.first[number] + films.count[number])
            places = np.searchsorted(times, films.times[frames])
            np.testing.assert_allclose(np.array(times)[places], films.times[frames])
            if name != "b":
                shown = np.round(split.examples[frames].mean(axis=(1, 2, 3)) / STEP).astype(int)
                np.testing.assert_array_equal(shown, np.minimum(places, 255 // STEP))
            assert split.names[films.first[number]] == f"{path} at {films.times[frames][0]:.3f} s"


def test_size_and_split_are_stated(cached):
    cache, _, told = cached
    assert told[0].startswith("decoding 3 film(s): 86 frames of 8 × 8 × 1 take 0.0 MiB in ")
    assert str(cache) in told[0]
    assert told[1] == "3 film(s): each film cut in time, 70 : 10 : 20, 0.1 s apart"


def test_what_was_decoded_is_read_again_and_not_decoded_again(clips, cached, monkeypatch):
    cache, first, _ = cached
    monkeypatch.setattr(video.VideoFile, "decode", None)
    monkeypatch.setattr(video.VideoFile, "extent", None)
    again, told = load(clips, cache)
    assert len(told) == 1
    np.testing.assert_array_equal(again.test.examples, first.test.examples)


@pytest.mark.parametrize("change", ["file", "size", "rate"])
def test_another_file_form_or_rate_is_decoded_anew(clips, cached, tmp_path, change):
    cache, first, _ = cached
    folder, options = clips, {}
    if change == "file":
        folder = shutil.copytree(clips, tmp_path / "clips")
    elif change == "size":
        options = {"image_size": 6}
    else:
        options = {"frame_rate": 10.0}
    other, told = load(folder, cache, **options)
    assert told[0].startswith("decoding")
    if change == "rate":
        assert len(other.train.examples) < len(first.train.examples)
        assert np.all(np.diff(other.train.films.times)[:5] > 0.02)


def test_frames_that_stay_on_disk_are_the_same_and_travel_without_their_file(clips, cached):
    cache, in_memory, _ = cached
    streamed, _ = load(clips, cache, placement="stream")
    frames = streamed.validation.examples
    assert isinstance(frames, Frames)
    assert len(pickle.dumps(frames)) < 10_000
    again = pickle.loads(pickle.dumps(frames))
    for i in (0, len(frames) - 1):
        np.testing.assert_array_equal(again.read(i), in_memory.validation.examples[i])


class Broken(EncodedFilm):
    """A film whose decoder fails in a way nobody foresaw, or that is not what it said."""

    name = "broken"

    def __init__(self, says=2, gives=1, error=None, shape=(4, 4, 1)):
        self._says, self._gives, self._error, self._shape = says, gives, error, shape

    def identity(self):
        return [self._says, self._gives, self._shape]

    def extent(self, frame_rate):
        return Extent(self._says, (4, 4, 1))

    def decode(self, put, *, frame_rate, threads):
        for i in range(self._gives):
            put(0.1 * i, np.full(self._shape, i, np.uint8))
        if self._error:
            raise self._error
        return 0.1 * self._gives, None


def store(films, cache, tell=lambda line: None):
    return film_store.stored(films, Form(4, 1), data.Keeping(cache_dir=str(cache)), tell)


def test_a_failure_leaves_nothing_behind(tmp_path):
    with pytest.raises(RuntimeError, match="surprise"):
        store([Broken(), Broken(error=RuntimeError("surprise"))], tmp_path)
    with pytest.raises(InputError, match="no frame of 1 film"):
        store([Broken(gives=0)], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_film_of_more_frames_than_its_container_told_is_used_as_far_as_that(tmp_path):
    kept = store([Broken(says=2, gives=5), Broken(says=5, gives=3)], tmp_path)
    assert kept.table.count.tolist() == [2, 3]
    assert kept.table.first.tolist() == [0, 2]
    assert np.load(kept.frames)[:5, 0, 0, 0].tolist() == [0, 1, 0, 1, 2]
    assert "5 frames where its container tells of 2" in kept.notes[0]


def test_a_film_that_changes_its_size_is_left_out_where_sizes_are_kept(tmp_path):
    kept = store([Broken(), Broken(shape=(5, 4, 1))], tmp_path)
    assert kept.films.tolist() == [0]
    assert "its frames change from (4, 4) to (5, 4); set config.data.image_size" in kept.notes[0]


def test_films_of_several_sizes_need_one(tmp_path):
    for name, size in {"a": (32, 24), "b": (24, 24)}.items():
        write_clip(tmp_path / f"{name}.mp4", [0, 40, 80], size=size)
    with pytest.raises(InputError, match=r"b\.mp4 has frames of 24 × 24 × 3 and .*a\.mp4 of 24 × 32.*image_size=64"):
        data.load(f"video:{tmp_path}/*.mp4", keeping=data.Keeping(cache_dir=str(tmp_path / "cache")))


def test_a_disk_without_room_or_a_folder_that_cannot_be_written_is_told(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot be kept in .*file.*set config\.data\.cache_dir"):
        store([Broken()], tmp_path / "file" / "cache")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: namedtuple("Usage", "free")(10))
    with pytest.raises(InputError, match=r"take 0\.00 GiB and .* has 0\.00 GiB left: lower config.data.image_size"):
        store([Broken()], tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_folders_that_were_never_finished_are_removed_after_a_day(tmp_path, monkeypatch):
    (tmp_path / "0123.abc.unfinished").mkdir()
    store([Broken()], tmp_path)
    assert (tmp_path / "0123.abc.unfinished").exists()
    monkeypatch.setattr("time.time", lambda: (tmp_path / "0123.abc.unfinished").stat().st_mtime + 90_000)
    store([Broken(says=3)], tmp_path)
    assert not (tmp_path / "0123.abc.unfinished").exists()


def test_two_processes_that_decode_the_same_films_do_not_disturb_each_other(tmp_path):
    told = []

    def other_process(line):
        if not told:
            told.append(line)
            store([Broken()], tmp_path)

    kept = store([Broken()], tmp_path, tell=other_process)
    assert len(told) == 1
    assert kept.table.count.tolist() == [1]
    assert [path.name for path in tmp_path.iterdir()] == [kept.frames.parent.name]


def test_the_users_cache_is_where_the_desktop_standard_says(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert film_store.default_cache() == Path("/somewhere/mi_coding/films")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert film_store.default_cache() == Path.home() / ".cache" / "mi_coding" / "films"


@pytest.mark.parametrize(("gap", "rounds"), [(0.0, (4, 4)), (0.07, (4, 3)), (0.3, (1, 1))])
def test_few_films_are_cut_in_time_into_parts_a_gap_apart_that_share_no_frame(gap, rounds):
    rng = np.random.default_rng(0)
    films = table_of(np.cumsum(rng.uniform(0.01, 0.1, 100)), np.cumsum(rng.uniform(0.01, 0.1, 61)))
    made = split_films(films, gap)
    assert "cut in time" in made.how
    parts = [films.part(*part)[0] for part in made.parts]
    kept = np.concatenate([films.part(*part)[1] for part in made.parts])
    assert len(kept) == len(set(kept.tolist()))
    for film, name in enumerate(films.names):
        spans = sorted(
            (start, end)
            for part in parts
            for start, end, owner in zip(part.starts, part.ends, part.names, strict=True)
            if owner == name
        )
        assert len(spans) == 3 * rounds[film]
        assert all(after[0] - before[1] >= gap - 0.1 for before, after in pairwise(spans))  # to within a frame
        assert (spans[0][0], spans[-1][1]) == (films.starts[film], films.ends[film])
        moments = np.array([np.maximum(part.seconds - gap, 0)[np.array(part.names) == name].sum() for part in parts])
        np.testing.assert_allclose(moments / moments.sum(), [0.7, 0.1, 0.2], atol=0.1)


def test_a_part_ends_when_the_first_frame_after_it_is_shown():
    part, kept = table_of([0, 1, 4, 5], [0, 2, 3]).part(np.array([0, 1]), np.array([0, 1]), np.array([2, 2]))
    assert part.ends.tolist() == [4.0, 3.0]
    assert part.seconds.tolist() == [4.0, 1.0]
    assert kept.tolist() == [0, 1, 4]


def test_many_films_are_held_out_whole_and_short_ones_are_left_out_and_counted(tmp_path):
    films = table_of(*[[0, 1, 2, 3]] * 20, [0, 0.1])
    made = split_films(films, 0.5)
    assert made.how == "whole films, 70 : 10 : 20"
    assert [len(part.films) for part in made.parts] == [14, 2, 4]
    assert sorted(np.concatenate([part.films for part in made.parts]).tolist()) == list(range(20))
    assert made.too_short == ["u.mp4"]


def test_splits_of_the_source_are_kept_and_validation_cut_from_training_by_class():
    films = table_of(*[[0, 1, 2]] * 26)
    splits = ["test"] * 6 + ["train"] * 20
    made = split_films(films, 0.5, splits=splits, labels=np.array([0] * 6 + [0, 1] * 10))
    assert sorted(made.parts[2].films.tolist()) == list(range(6))
    assert [len(part.films) for part in made.parts] == [18, 2, 6]
    assert sorted(made.parts[1].films % 2) == [0, 1]


@pytest.mark.parametrize(
    ("count", "gap", "words"),
    [
        (3, 7.0, r"gap=7 s: the longest of 3 film\(s\), a\.mp4, lasts 2\.00 s; expected a gap below 2\.00 s"),
        (3, 0.5, r"more than 5 gaps; expected a gap below 0\.40 s"),
    ],
)
def test_films_shorter_than_the_gap_are_told_with_the_longest_gap(count, gap, words):
    with pytest.raises(InputError, match=words):
        split_films(table_of([0, 1, 2], *[[0, 1, 1.5]] * (count - 1)), gap)


def test_films_of_too_few_frames_to_be_cut_are_told():
    with pytest.raises(InputError, match=r"a film of 2 such as a\.mp4 has too few frames to be cut"):
        split_films(table_of([0, 9, 10], [0, 9, 10]), 0.1)


def test_a_gap_shorter_than_a_frame_is_warned_of(clips, cached):
    _, told = load(clips, cached[0], gap=0.01)
    assert any("a gap of 0.01 s is shorter than the 0.0" in line for line in told)
    assert not any("shorter than" in line for line in cached[2])


def test_too_few_whole_films_of_a_split_are_told():
    with pytest.raises(InputError, match=r"1 film\(s\) longer than 0\.5 s to test; expected at least 2"):
        split_films(table_of(*[[0, 1, 2]] * 9), 0.5, splits=["train"] * 8 + ["test"])


def test_short_clips_among_long_ones_are_counted(clips, cached, tmp_path):
    folder = shutil.copytree(clips, tmp_path / "clips")
    write_clip(folder / "short.mp4", [0, 40])
    dataset, told = load(folder, tmp_path / "cache")
    assert f"1 of 4 film(s) are too short for a gap of 0.1 s and are left out: {folder}/short.mp4" in told
    assert len(set(dataset.train.films.names)) == 3


def test_pairs_for_a_stream_are_the_frames_shown_at_a_moment_and_a_gap_later(clips, cached):
    cache = cached[0]
    train = load(clips, cache, placement="stream")[0].train
    pairs = FramePairs(train.examples, train.films, 0.1)
    assert pairs.shape == (len(pairs), 2, 8, 8, 1)
    moments = (train.films.seconds - 0.1) * 1e6
    np.testing.assert_allclose(np.diff(pairs.groups), moments, atol=1)
    for i in [0, *np.random.default_rng(0).integers(len(pairs), size=40).tolist(), len(pairs) - 1]:
        film = next(k for k in range(3) if i < pairs.groups[k + 1])
        time = train.films.starts[film] + (i - pairs.groups[film]) / 1e6
        expected = []
        for moment in (time, time + 0.1):
            first, count = train.films.first[film], train.films.count[film]
            shown = [j for j in range(first, first + count) if train.films.times[j] <= moment]
            assert shown_at(train.films, film, moment) == max(shown)
            expected.append(train.examples.read(max(shown)))
        np.testing.assert_array_equal(pairs.read(i), expected)
    assert pairs.name(0) == str(clips / "a.mp4")


def test_the_stream_draws_the_pairs_of_a_group_from_one_film_and_each_film_by_its_length(clips, cached):
    train = load(clips, cached[0], placement="stream")[0].train
    pairs = FramePairs(train.examples, train.films, 0.1)
    order = _Order(len(pairs), 12, 0, False, 4, pairs.groups)
    positions = np.concatenate([order.positions(k, range(12)) for k in range(400)])
    films = np.searchsorted(pairs.groups, positions, side="right") - 1
    assert np.all(films.reshape(-1, 4) == films.reshape(-1, 4)[:, :1])
    shares = np.diff(pairs.groups) / len(pairs)
    found = np.bincount(films.reshape(-1, 4)[:, 0], minlength=3) / 1200
    assert np.all(np.abs(found - shares) < 4 * np.sqrt(shares * (1 - shares) / 1200))
    within = (positions - pairs.groups[films]) / np.diff(pairs.groups)[films]
    assert abs(within.mean() - 0.5) < 4 / np.sqrt(12 * 4800) * 2  # uniform in its film
    np.testing.assert_array_equal(order.positions(7, range(3, 9)), order.positions(7, range(12))[3:9])
    options = {"batch_size": 8, "seed": 0, "first_batch": 5, "group_size": 4}
    with data.stream(data.Split(pairs, None), num_workers=0, **options) as batches:
        whole = next(batches).examples
    with data.stream(data.Split(pairs, None), num_workers=1, shard=(1, 2), **options) as batches:
        np.testing.assert_array_equal(next(batches).examples, whole[4:])


def test_groups_that_do_not_fit_into_a_batch_are_refused(clips, cached):
    train = load(clips, cached[0], placement="stream")[0].train
    pairs = data.Split(FramePairs(train.examples, train.films, 0.1), None)
    for options in ({"group_size": 3}, {"group_size": 4, "distinct": True}):
        with pytest.raises(ValueError, match="groups of"):
            data.stream(pairs, batch_size=8, seed=0, **options)


def test_a_sample_of_films_has_their_beginnings_with_moments_for_the_gap(cached):
    train = cached[1].train
    sample = data.sample_films(train, most=20, gap=0.2)
    assert len(sample.examples) < len(train.examples)
    assert np.all(sample.films.seconds > 0.4)
    for k, name in enumerate(sample.films.names):
        whole = train.films.names.index(name)
        first = train.films.first[whole]
        ours = slice(sample.films.first[k], sample.films.first[k] + sample.films.count[k])
        np.testing.assert_array_equal(sample.examples[ours], train.examples[first : first + sample.films.count[k]])
    everything = data.sample_films(train, most=10_000, gap=0.2)
    np.testing.assert_array_equal(everything.examples, train.examples)
