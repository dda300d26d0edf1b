"""Pairs of frames of stored films: a brute-force search finds the same frames, and every draw has the law it states."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi_coding.pairs import PairFunctions, pairs_of_batch
from mi_coding.pairs.film import Film, Films, draw_moments, sample_film_pairs, shown_at


def films_of(*times, gap, film=None):
    """Stretches given by their times, the end last; frame j of stretch k is filled with 16 · k + j."""
    count = np.array([len(stretch) - 1 for stretch in times])
    numbers = np.concatenate([16 * k + np.arange(n) for k, n in enumerate(count)]).astype(np.uint8)
    return Films(
        frames=jnp.asarray(np.tile(numbers[:, None, None, None], (1, 2, 3, 1))),
        times=jnp.asarray(np.concatenate([stretch[:-1] for stretch in times]), jnp.float32),
        first=jnp.asarray(np.cumsum(count) - count, jnp.int32),
        count=jnp.asarray(count, jnp.int32),
        seconds=jnp.asarray([stretch[-1] for stretch in times], jnp.float32),
        film=jnp.asarray(np.arange(len(times)) if film is None else film, jnp.int32),
        gap=jnp.float32(gap),
    )


IRREGULAR = ([0, 0.1, 0.15, 0.9, 1.0], [0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0], [0, 0.2])


@pytest.fixture(scope="module")
def drawn():
    """Films, and 6,000 moments of them in groups of one and of four."""
    films, rows = films_of(*IRREGULAR, gap=0.25), jnp.arange(6000)
    draw = jax.jit(draw_moments, static_argnames="group_size")
    return films, {size: jax.device_get(draw(jax.random.key(1), films, rows, group_size=size)) for size in (1, 4)}


def test_the_frame_shown_at_any_time_is_the_last_that_began():
    films = films_of(*IRREGULAR, gap=0.25)
    times = np.random.default_rng(0).uniform(0, 3, (3, 200)).astype(np.float32)
    found = shown_at(films, jnp.arange(3), jnp.asarray(times))
    for film in range(3):
        begins = np.float32(IRREGULAR[film][:-1])
        first = int(films.first[film])
        expected = [first + max(j for j, begin in enumerate(begins) if begin <= time) for time in times[film]]
        np.testing.assert_array_equal(found[film], expected)


def test_a_time_before_the_first_frame_shows_the_first():
    films = films_of([0.5, 1.0, 2.0], [0.5, 1.0, 2.0], gap=0.25)
    assert shown_at(films, jnp.array([1]), jnp.array([[0.1]])).tolist() == [[2]]


@pytest.mark.parametrize("size", [1, 4])
def test_moments_are_uniform_among_those_that_have_a_frame_a_gap_later(drawn, size):
    films, moments = drawn
    film, time = moments[size]
    room = np.maximum(np.asarray(films.seconds) - 0.25, 0)
    assert not np.any(film == 2)  # shorter than the gap
    assert np.all(time <= room[film])
    share = room / room.sum()
    draws = len(film) / size  # of independent films
    assert np.all(
        np.abs(np.bincount(film, minlength=3) / len(film) - share) <= 4 * np.sqrt(share * (1 - share) / draws)
    )
    for k in (0, 1):
        within = time[film == k] / room[k]
        assert abs(within.mean() - 1 / 2) < 4 / np.sqrt(12 * len(within))
        assert abs(within.var() - 1 / 12) < 4 / np.sqrt(180 * len(within))


def test_all_pairs_of_a_group_are_of_one_film_at_times_of_their_own(drawn):
    film, time = (values.reshape(-1, 4) for values in drawn[1][4])
    assert np.all(film == film[:, :1])
    assert len(np.unique(time)) > time.size - 10
    one, other = time[film[:, 0] == 1][:, :2].T
    assert abs(np.corrcoef(one, other)[0, 1]) < 4 / np.sqrt(len(one))


def test_a_group_has_moments_of_all_segments_of_its_film_by_length():
    films = films_of([0, 0.5, 1.25], [0, 0.2], [0, 1, 3.25], [0, 1, 2.25], gap=0.25, film=[0, 1, 1, 2])
    draw = jax.jit(draw_moments, static_argnames="group_size")
    stretch, _ = jax.device_get(draw(jax.random.key(4), films, jnp.arange(8000), group_size=2))
    film = np.asarray(films.film)[stretch].reshape(-1, 2)
    assert np.all(film[:, 0] == film[:, 1])
    split = films._replace(film=jnp.asarray([0, 0, 0, 0]))
    stretch = jax.device_get(draw(jax.random.key(5), split, jnp.arange(8000), group_size=8000))[0]
    shares = np.array([1, 0, 3, 2]) / 6
    found = np.bincount(stretch, minlength=4) / 8000
    assert np.all(np.abs(found - shares) <= 4 * np.sqrt(shares * (1 - shares) / 8000))


def test_a_pair_is_the_same_whichever_device_draws_it():
    films = films_of(*IRREGULAR, gap=0.25)
    draw = jax.jit(lambda rows: sample_film_pairs(jax.random.key(3), films, rows, pairs=Film(), group_size=4))
    everything, half = draw(jnp.arange(16)), draw(jnp.arange(8, 16))
    for whole, part in zip(everything, half, strict=True):
        np.testing.assert_array_equal(whole[8:], part)


@pytest.mark.parametrize("size", [1, 4])
def test_every_row_of_a_film_has_a_moment_and_a_key_of_its_own(size):
    films, rows, key = films_of(*IRREGULAR, gap=0.25), jnp.arange(8, 24), jax.random.key(6)
    shows_key = PairFunctions(pair=lambda key, example: (jax.random.key_data(key), example), view=None)
    keys, _ = sample_film_pairs(key, films, rows, pairs=shows_key, group_size=size)
    moments_key, pair_key = jax.random.split(key)
    alone = pairs_of_batch(pair_key, rows, rows, pairs=shows_key)[0]
    np.testing.assert_array_equal(keys, alone)
    assert len(np.unique(keys, axis=0)) == 16
    draw = jax.jit(partial(draw_moments, moments_key, films, group_size=size))
    stretch, time = draw(rows)
    assert len(np.unique(time)) == 16
    for i in range(0, 16, 5):
        (own_stretch,), (own_time,) = draw(rows[i : i + 1])
        assert (own_stretch, own_time) == (stretch[i], time[i])


def test_x_is_shown_at_the_moment_and_y_a_gap_later():
    films = films_of(*IRREGULAR, gap=0.25)
    key, rows = jax.random.key(5), jnp.arange(200)
    x, y = jax.jit(lambda: sample_film_pairs(key, films, rows, pairs=Film()))()
    assert x.shape == y.shape == (200, 2, 3, 1)
    film, time = jax.jit(draw_moments)(jax.random.split(key)[0], films, rows)
    for half, moment in ((x, time), (y, time + 0.25)):
        for k, shown, at in zip(film.tolist(), np.asarray(half), moment.tolist(), strict=True):
            frame = max(j for j, begin in enumerate(np.float32(IRREGULAR[k][:-1])) if begin <= at)
            np.testing.assert_allclose(shown * 255, 16 * k + frame, atol=1e-4)


def test_another_gap_needs_no_other_program():
    traced = []

    @jax.jit
    def draw(films):
        traced.append(films)
        return draw_moments(jax.random.key(0), films, jnp.arange(50))

    films = films_of(*IRREGULAR, gap=0.25)
    assert np.all(draw(films._replace(gap=jnp.float32(2.0)))[0] == 1)
    draw(films)
    assert len(traced) == 1
