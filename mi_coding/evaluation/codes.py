"""Codes of many examples, and what lies near what."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits


def encode(encoder: Callable[[jax.Array], jax.Array], examples: np.ndarray | jax.Array, *, batch_size: int = 512):
    """float32[n, D]: what `encoder` makes of n examples, in batches of one shape so that it is compiled once.

    >>> encode(lambda x: 2 * x, np.arange(3.0, dtype=np.float32)[:, None], batch_size=2).tolist()
    [[0.0], [2.0], [4.0]]
    """
    encoder = jax.jit(encoder)
    count = len(examples)
    padding = [(0, -count % batch_size)] + [(0, 0)] * (np.ndim(examples) - 1)
    padded = jnp.pad(jnp.asarray(examples), padding)
    parts = [np.asarray(encoder(padded[i : i + batch_size])) for i in range(0, len(padded), batch_size)]
    return np.concatenate(parts)[:count]


def nearest(queries: np.ndarray, codes: np.ndarray, *, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The `count` codes nearest to each query by cosine: their positions int[q, count] and cosines float[q, count].

    >>> positions, cosines = nearest(np.array([[1.0, 0.1]]), np.array([[0.0, 1.0], [3.0, 0.0]]), count=2)
    >>> positions.tolist()
    [[1, 0]]
    """
    cosines = _unit(queries) @ _unit(codes).T
    positions = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
    return positions, np.take_along_axis(cosines, positions, axis=1)


def map_codes(codes: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """float32[n, 2]: a map on which codes with a large cosine lie close together (t-SNE, JMLR 9:2579, 2008).

    Distances between far groups, and axes, mean nothing.
    """
    perplexity = min(30, (len(codes) - 1) / 3)
    with threadpool_limits(1):  # a few hundred points: on a busy machine, threads would mostly wait for each other
        return TSNE(metric="cosine", init="pca", perplexity=perplexity, random_state=seed).fit_transform(codes)


def _unit(codes: np.ndarray) -> np.ndarray:
    return codes / np.maximum(np.linalg.norm(codes, axis=1, keepdims=True), 1e-12)
