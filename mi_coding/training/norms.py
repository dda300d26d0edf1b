"""Norms of many arrays at once: on a GPU every reduction is a kernel or two, and a network has a hundred arrays."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

ROW = 1024
"""Length of the rows that are summed first; each row is part of one array."""


def leaf_norms(tree: Any) -> jax.Array:
    """float[n]: the Euclidean norm of each of the n arrays of a tree, in the order of `jax.tree.leaves`.

    The dtype is float32, or float64 where an array has it.

    >>> leaf_norms({"a": jnp.array([3.0, 4.0]), "b": jnp.zeros((2, 2))}).tolist()
    [5.0, 0.0]
    """
    leaves = jax.tree.leaves(tree)
    return lax.platform_dependent(*leaves, cuda=_together, default=_one_by_one) if leaves else jnp.zeros(0)


def global_norm(tree: Any) -> jax.Array:
    """float[]: the Euclidean norm of all arrays of a tree together, in the dtype of `leaf_norms`.

    >>> float(global_norm({"a": jnp.array([3.0]), "b": jnp.array([[4.0]])}))
    5.0
    """

    def of_all(*leaves: jax.Array) -> jax.Array:
        return jnp.sqrt(jnp.sum(jnp.square(_together(*leaves))))

    leaves = jax.tree.leaves(tree)
    return lax.platform_dependent(*leaves, cuda=of_all, default=lambda *leaves: optax.global_norm(_widened(leaves)))


def _widened(leaves: Sequence[jax.Array]) -> list[jax.Array]:
    """The arrays in one dtype that holds each of them, at least float32."""
    dtype = jnp.result_type(jnp.float32, *leaves)
    return [leaf.astype(dtype) for leaf in leaves]


def _one_by_one(*leaves: jax.Array) -> jax.Array:
    return jnp.stack([optax.safe_norm(leaf, 0.0) for leaf in _widened(leaves)])


def _together(*leaves: jax.Array) -> jax.Array:
    """By rows, each of one array: one kernel lays them out, one sums each row, one adds the row sums of each array."""
    rows = [math.ceil(leaf.size / ROW) for leaf in leaves]
    padded = [
        jnp.pad(leaf.ravel(), (0, count * ROW - leaf.size)) for leaf, count in zip(_widened(leaves), rows, strict=True)
    ]
    sums = jnp.sum(jnp.square(jnp.concatenate(padded).reshape(-1, ROW)), axis=1)
    owner = np.repeat(np.arange(len(leaves)), rows)
    # By comparison, not by a scatter, which adds in any order, so that a run would not be reproducible.
    return jnp.sqrt(jnp.sum(jnp.where(owner == np.arange(len(leaves))[:, None], sums, 0.0), axis=1))
