"""Splits of films, whole or cut in time: no frame is in two splits, and splits are a gap apart."""

from itertools import pairwise

import numpy as np
import pytest

from mi_coding.data.films.frames import FilmTable
from mi_coding.data.films.loading import split_films
from mi_coding.errors import InputError


def table_of(*films):
    """A table of films, each given by its times, the end last."""
    count = np.array([len(times) - 1 for times in films])
    times = np.concatenate([np.asarray(times, float)[:-1] for times in films])
    names = [f"{letter}.mp4" for letter in "abcdefghijklmnopqrstuvwxyz"[: len(films)]]
    return FilmTable(names, np.cumsum(count) - count, count, times, np.array([float(times[-1]) for times in films]))


@pytest.mark.parametrize(("gap", "rounds"), [(0.0, (4, 4)), (0.07, (4, 3)), (0.3, (1, 1))])
def test_few_films_are_cut_in_time_into_disjoint_parts_a_gap_apart(gap, rounds):
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


def test_a_part_ends_when_the_next_frame_is_shown():
    part, kept = table_of([0, 1, 4, 5], [0, 2, 3]).part(np.array([0, 1]), np.array([0, 1]), np.array([2, 2]))
    assert part.ends.tolist() == [4.0, 3.0]
    assert part.seconds.tolist() == [4.0, 1.0]
    assert kept.tolist() == [0, 1, 4]


def test_many_films_are_split_whole_and_short_ones_left_out(tmp_path):
    films = table_of(*[[0, 1, 2, 3]] * 20, [0, 0.1])
    made = split_films(films, 0.5)
    assert made.how == "whole films, 70 : 10 : 20"
    assert [len(part.films) for part in made.parts] == [14, 2, 4]
    assert sorted(np.concatenate([part.films for part in made.parts]).tolist()) == list(range(20))
    assert made.too_short == ["u.mp4"]


def test_splits_of_the_source_are_kept_and_validation_is_stratified():
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
def test_too_long_a_gap_is_refused_with_the_largest_that_works(count, gap, words):
    with pytest.raises(InputError, match=words):
        split_films(table_of([0, 1, 2], *[[0, 1, 1.5]] * (count - 1)), gap)


def test_films_with_too_few_frames_to_be_cut_are_refused():
    with pytest.raises(InputError, match=r"each of 2 film\(s\), such as a\.mp4, has too few frames to be cut"):
        split_films(table_of([0, 9, 10], [0, 9, 10]), 0.1)


def test_a_split_of_one_whole_film_is_refused():
    with pytest.raises(InputError, match=r"1 film\(s\) longer than 0\.5 s for test; expected at least 2"):
        split_films(table_of(*[[0, 1, 2]] * 9), 0.5, splits=["train"] * 8 + ["test"])
