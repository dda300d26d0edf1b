"""Codes of many examples, their nearest neighbours, and maps of them."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain, pairwise

import jax
import jax.numpy as jnp
import numpy as np
from threadpoolctl import threadpool_limits

FEWEST_ON_MAP = 4  # codes
_ALIKE = 1e-5  # difference of directions in any component below which codes are equal, up to the rounding of float32
LONGEST = 1e15  # component of a code above which float32 may not hold its squares
_BESIDE = 3  # codes with a place on a map, between which another is placed
COSINES_AT_ONCE = 2**26  # cosines of `nearest` in memory at a time: 256 MiB


def encode(encoder: Callable[[jax.Array], jax.Array], examples: np.ndarray | jax.Array, *, batch_size: int = 512):
    """float32[n, D]: the outputs of `encoder`, see `encode_each`, for n ≥ 1 examples, a batch at a time.

    Its parameters are best passed as an argument to the jitted function: one program then serves all of them. The
    examples may be anything that has a length and slices; NumPy arrays are sent to the device a batch at a time.

    >>> encode(lambda x: 2 * x, np.arange(3.0, dtype=np.float32)[:, None], batch_size=2).tolist()
    [[0.0], [2.0], [4.0]]
    """
    parts = (examples[start : start + batch_size] for start in range(0, len(examples), batch_size))
    return np.concatenate(list(encode_each(encoder, parts, batch_size=batch_size)))


def encode_each(
    encoder: Callable[[jax.Array], jax.Array], parts: Iterable[np.ndarray | jax.Array], *, batch_size: int
) -> Iterator[np.ndarray]:
    """The codes of each part of the examples, in batches of one shape.

    The device holds at most two batches: one is read and sent while the one before is encoded. `encoder` is a jitted
    function of a batch, one row for each example; a part of fewer than `batch_size` examples is padded with zeros.

    >>> [z.tolist() for z in encode_each(lambda x: 2 * x, [np.ones(2), np.ones(1)], batch_size=2)]
    [[2.0, 2.0], [2.0]]
    """
    started = ((encoder(filled(part, batch_size)), len(part)) for part in parts)
    for (codes, count), _ in pairwise(chain(started, [None])):  # starts the next one before waiting for one
        yield np.asarray(codes)[:count]


def nearest(queries: np.ndarray, codes: np.ndarray, *, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The `count` codes nearest to each query by cosine: their positions int32[q, count], cosines float32[q, count].

    The nearest comes first, and equals are in the order of `codes`; all codes, if there are fewer than `count`.

    >>> positions, cosines = nearest(np.array([[1.0, 0.1]]), np.array([[0.0, 1.0], [3.0, 0.0]]), count=2)
    >>> positions.tolist()
    [[1, 0]]
    """
    at_once = min(len(queries), max(1, COSINES_AT_ONCE // len(codes)))
    directions, known = unit(queries), jnp.asarray(unit(codes))
    blocks = (filled(directions[i : i + at_once], at_once) for i in range(0, len(queries), at_once))
    parts = [jax.device_get(_nearest(block, known, min(count, len(codes)))) for block in blocks]
    return tuple(np.concatenate(part)[: len(queries)] for part in zip(*parts, strict=True))


def why_they_tell_nothing(codes: np.ndarray) -> str:
    """Why codes float[n, D] carry no information about their examples, in a few words; "" where they may.

    >>> why_they_tell_nothing(np.eye(5)), why_they_tell_nothing(np.ones((5, 2)))
    ('', 'the 5 codes are all alike')
    >>> why_they_tell_nothing(np.array([[np.nan, 1.0], [1.0, 0.0]]))
    '1 of 2 codes is not finite'
    """
    finite = np.isfinite(codes).all(axis=1)
    if missing := int(np.sum(~finite)):
        return f"{missing:,} of {len(codes):,} codes {'is' if missing == 1 else 'are'} not finite"
    if len(codes) > 1 and np.ptp(unit(codes), axis=0).max(initial=0) < _ALIKE:
        return f"the {len(codes):,} codes are all alike"
    return ""


def why_no_map(codes: np.ndarray) -> str:
    """Why `map_codes` cannot lay out these codes float[n, D], in a few words; "" where it can.

    >>> why_no_map(np.eye(3)), why_no_map(np.eye(4))
    ('3 codes are too few; a map needs 4', '')
    """
    if len(codes) < FEWEST_ON_MAP:
        return f"{len(codes)} codes are too few; a map needs {FEWEST_ON_MAP}"
    return why_they_tell_nothing(codes)


def map_codes(codes: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """float32[n, 2]: a map on which codes with a large cosine lie close together (t-SNE, JMLR 9:2579, 2008).

    Distances between distant groups, and the axes, have no meaning. 2,000 codes take 5 s on one core; of more, pass a
    sample.

    >>> map_codes(np.eye(5)).shape
    (5, 2)

    Raises:
        ValueError: for fewer than four codes, and for codes that are all alike or not finite, on which t-SNE can end
            the process.
    """
    if reason := why_no_map(codes):
        raise ValueError(reason)
    from sklearn.manifold import TSNE  # two seconds to import, which the first step need not wait for

    perplexity = min(30, (len(codes) - 1) / 3)
    codes = unit(codes) if np.abs(codes).max() > LONGEST else codes  # t-SNE starts from PCA, which squares them
    codes = np.pad(codes, [(0, 0), (0, max(0, 2 - codes.shape[1]))])  # and needs at least two numbers
    with threadpool_limits(1):  # on a busy machine, threads would mostly wait for each other
        return TSNE(metric="cosine", init="pca", perplexity=perplexity, random_state=seed).fit_transform(codes)


def map_many(codes: np.ndarray, *, most: int = 2000, seed: int = 0) -> np.ndarray:
    """float32[n, 2]: a map of any number of codes: t-SNE of some, between which the others are placed.

    Of more than `most` codes, that many, evenly spaced, are laid out as by `map_codes`; every other code is placed at
    the mean position of those three of them with which it has the largest cosines.

    >>> map_many(np.random.default_rng(0).normal(size=(50, 3)), most=20).shape
    (50, 2)

    Raises:
        ValueError: see `map_codes`.
    """
    chosen = np.unique(np.linspace(0, len(codes) - 1, min(most, len(codes))).astype(int))
    places = map_codes(codes[chosen], seed=seed)
    if len(chosen) == len(codes):
        return places
    near, _ = nearest(codes, codes[chosen], count=_BESIDE)
    found = places[near].mean(axis=1)
    found[chosen] = places
    return found


def unit(codes: np.ndarray) -> np.ndarray:
    """float32[n, D]: codes scaled to length 1; a code of zeros stays zero.

    >>> unit(np.array([[0.0, 5.0], [0.0, 0.0]])).tolist()
    [[0.0, 1.0], [0.0, 0.0]]
    """
    codes = np.asarray(codes)
    if np.abs(codes).max(initial=0) > LONGEST:
        codes = codes.astype(np.float64)
    return (codes / np.maximum(np.linalg.norm(codes, axis=1, keepdims=True), 1e-12)).astype(np.float32)


@partial(jax.jit, static_argnums=2)
def _nearest(queries: jax.Array, codes: jax.Array, count: int) -> tuple[jax.Array, jax.Array]:
    cosines, positions = jax.lax.top_k(jnp.matmul(queries, codes.T, precision="highest"), count)
    return positions, cosines


def filled(part: np.ndarray | jax.Array, size: int) -> np.ndarray | jax.Array:
    """A part padded with zeros to a batch of `size`; one that lies on a device stays there."""
    pad = jnp.pad if isinstance(part, jax.Array) else np.pad
    missing = size - len(part)
    return pad(part, [(0, missing)] + [(0, 0)] * (np.ndim(part) - 1)) if missing else part
