"""Means over the cells of a grid: features that keep, at most coarsely, where things are."""

import jax
import jax.numpy as jnp

MEANING = "features are means over grid × grid cells; 1 does not see where things are"
"""Of the option `encoder.grid`."""


def mean_over_cells(x: jax.Array, grid: int) -> jax.Array:
    """float32[b, grid · grid · C] of float[b, H, W, C]; cells overlap by a place where they do not divide evenly.

    A grid that is finer than the places has one cell for each.

    >>> x = jnp.arange(4.0).reshape(1, 2, 2, 1)
    >>> mean_over_cells(x, 1).tolist(), mean_over_cells(x, 2).tolist(), mean_over_cells(x, 3).tolist()
    ([[1.5]], [[0.0, 1.0, 2.0, 3.0]], [[0.0, 1.0, 2.0, 3.0]])
    """
    if grid == 1:
        return jnp.mean(x, axis=(1, 2), dtype=jnp.float32)
    x = x.astype(jnp.float32)
    if x.shape[1] > grid:
        x = jnp.einsum("gh,bhwc->bgwc", _cells(x.shape[1], grid), x)
    if x.shape[2] > grid:
        x = jnp.einsum("kw,bgwc->bgkc", _cells(x.shape[2], grid), x)
    return x.reshape(x.shape[0], -1)


def _cells(side: int, cells: int) -> jax.Array:
    """float32[cells, side]: row i is the mean over the places from floor(i side/cells) to ceil((i+1) side/cells)."""
    place, cell = jnp.arange(side)[None, :], jnp.arange(cells)[:, None]
    inside = (place >= cell * side // cells) & (place < -(-(cell + 1) * side // cells))
    return inside / inside.sum(1, keepdims=True)
