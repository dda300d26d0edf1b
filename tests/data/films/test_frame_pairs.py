"""Pairs of frames for a stream: the frames shown a gap apart, drawn from one film per group."""

import numpy as np
import pytest
from clips import load_clips

from mi_coding import data
from mi_coding.data.films.frames import FramePairs, shown_at
from mi_coding.data.pieces import Order


def test_a_frame_pair_has_the_frames_shown_one_gap_apart(clips, cached):
    cache = cached[0]
    train = load_clips(clips, cache, placement="stream")[0].train
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


def test_a_group_is_drawn_from_one_film_with_odds_by_its_length(clips, cached):
    train = load_clips(clips, cached[0], placement="stream")[0].train
    pairs = FramePairs(train.examples, train.films, 0.1)
    order = Order(data.StreamSpec(batch_size=12, seed=0, group_size=4), len(pairs), pairs.groups)
    positions = np.concatenate([order.positions(k, range(12)) for k in range(400)])
    films = np.searchsorted(pairs.groups, positions, side="right") - 1
    assert np.all(films.reshape(-1, 4) == films.reshape(-1, 4)[:, :1])
    shares = np.diff(pairs.groups) / len(pairs)
    found = np.bincount(films.reshape(-1, 4)[:, 0], minlength=3) / 1200
    assert np.all(np.abs(found - shares) < 4 * np.sqrt(shares * (1 - shares) / 1200))
    within = (positions - pairs.groups[films]) / np.diff(pairs.groups)[films]
    assert abs(within.mean() - 0.5) < 4 / np.sqrt(12 * 4800) * 2  # uniform in its film
    np.testing.assert_array_equal(order.positions(7, range(3, 9)), order.positions(7, range(12))[3:9])
    spec = data.StreamSpec(batch_size=8, seed=0, first_batch=5, group_size=4)
    with data.Stream(data.Split(pairs, None), spec, num_workers=0) as batches:
        whole = next(batches).examples
    with data.Stream(data.Split(pairs, None), spec._replace(shard=(1, 2)), num_workers=1) as batches:
        np.testing.assert_array_equal(next(batches).examples, whole[4:])


def test_groups_that_do_not_divide_a_batch_are_refused(clips, cached):
    train = load_clips(clips, cached[0], placement="stream")[0].train
    pairs = data.Split(FramePairs(train.examples, train.films, 0.1), None)
    for options in ({"group_size": 3}, {"group_size": 4, "distinct": True}):
        with pytest.raises(ValueError, match="groups of"):
            data.Stream(pairs, data.StreamSpec(batch_size=8, seed=0, **options))
