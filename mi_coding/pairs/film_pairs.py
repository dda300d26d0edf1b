"""Pairs of frames of stored films: the frame that is shown at a random time, and the one shown a gap later.

Times rule, not counts of frames: how many frames lie between x and y follows from the times at which they are shown.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from mi_coding.pairs.sampling import PairFunctions, pairs_of_batch


class Films(NamedTuple):
    """Stretches of films, as they lie on a device: all their frames with their times.

    Attributes:
        frames: uint8[F, H, W, C], those of one stretch one after the other.
        times: float32[F], when each begins to be shown, in seconds since the first frame of its stretch.
        first: int32[n], the first frame of each stretch.
        count: int32[n], how many it has.
        seconds: float32[n], from the first frame of each stretch to the end of its last.
        film: int32[n], ascending, the film of each stretch.
        gap: float32[], seconds from x to y.
    """

    frames: jax.Array
    times: jax.Array
    first: jax.Array
    count: jax.Array
    seconds: jax.Array
    film: jax.Array
    gap: jax.Array


def sample_film_pairs(
    key: jax.Array, films: Films, rows: jax.Array, *, pairs: PairFunctions, group_size: int = 1
) -> tuple[Any, Any]:
    """The pairs numbered `rows` of the batch that `key` stands for.

    A moment is drawn uniformly among all that have a frame one gap later in the same film. In groups, that draw decides
    the film of the group, and each of its pairs has a moment of its own, independent and uniform in that film; so each
    pair alone is distributed as one without a group.

    Args:
        key: the key of the whole batch.
        films: all films; at least one stretch must be longer than the gap.
        rows: int32[b], positions in the global batch; rows g · group_size … (g + 1) · group_size − 1 are group g.
        pairs: how x and y are made of the example uint8[2, H, W, C].
        group_size: pairs of one film, side by side in the batch; 1 draws every pair by itself.
    Returns:
        x, y: float32[b, H, W, C].
    """
    moments_key, pair_key = jax.random.split(key)
    stretch, time = draw_moments(moments_key, films, rows, group_size=group_size)
    numbers = shown_at(films, stretch, jnp.stack([time, time + films.gap], axis=-1))
    return pairs_of_batch(pair_key, films.frames[numbers], rows, pairs=pairs)


def draw_moments(key: jax.Array, films: Films, rows: jax.Array, *, group_size: int = 1) -> tuple[jax.Array, jax.Array]:
    """int32[b], float32[b]: a stretch and a time in it for each row, see `sample_film_pairs`."""
    room = jnp.maximum(films.seconds - films.gap, 0)
    edges = jnp.concatenate([jnp.zeros(1), jnp.cumsum(room)])
    of_groups, of_rows = jax.random.split(key)

    def draw(row: jax.Array) -> tuple[jax.Array, jax.Array]:
        stretch = _between(jax.random.fold_in(of_groups, row // group_size), edges, edges[0], edges[-1])
        place_key, time_key = jax.random.split(jax.random.fold_in(of_rows, row))
        if group_size > 1:
            begin, end = (jnp.searchsorted(films.film, films.film[stretch], side=side) for side in ("left", "right"))
            stretch = _between(place_key, edges, edges[begin], edges[end])
        return stretch, jax.random.uniform(time_key) * room[stretch]

    return jax.vmap(draw)(rows)


def shown_at(films: Films, stretch: jax.Array, times: jax.Array) -> jax.Array:
    """int32[b, …]: numbers of the frames that are shown at some times in some stretches.

    >>> times = jnp.array([0.0, 0.5, 2.0])  # the middle frame is shown for a second and a half
    >>> one = [jnp.array([value]) for value in (0, 3, 2.5, 0)]
    >>> films = Films(jnp.zeros((3, 1, 1, 1), jnp.uint8), times, *one, gap=jnp.array(1.0))
    >>> shown_at(films, jnp.array([0]), jnp.array([[0.0, 0.49, 1.9, 2.0]])).tolist()
    [[0, 0, 1, 2]]

    Args:
        films: see `Films`.
        stretch: int32[b].
        times: float32[b, …], in seconds since the first frame of each stretch.
    """
    first, count = films.first[stretch], films.count[stretch]
    search = partial(_search, films.times)
    return jax.vmap(lambda f, n, t: jax.vmap(lambda one: search(f, n, one))(t))(first, count, times)


def _between(key: jax.Array, edges: jax.Array, low: jax.Array, high: jax.Array) -> jax.Array:
    """The stretch of a moment drawn uniformly between two edges; `high` itself is never drawn, rounded though it is."""
    moment = low + jax.random.uniform(key) * (high - low)
    return jnp.searchsorted(edges, jnp.minimum(moment, jnp.nextafter(high, low)), side="right") - 1


def _search(times: jax.Array, first: jax.Array, count: jax.Array, time: jax.Array) -> jax.Array:
    """Number of the last of some frames that begins to be shown not after a time; the first, if none does."""

    def halve(_: int, bounds: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = bounds  # the frame is one of low … high − 1
        middle = (low + high) // 2
        later = times[middle] > time
        return jnp.where(later, low, middle), jnp.where(later, middle, high)

    return jax.lax.fori_loop(0, max(1, times.shape[0]).bit_length(), halve, (first, first + count))[0]
