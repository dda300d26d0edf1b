"""Barlow Twins: the cross-correlation matrix of the two codes of a pair, over a batch, becomes the identity."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from mi_coding.objectives.moments import centred, check_pairs, mean_product, mean_square


class BarlowTwinsOutput(NamedTuple):
    """The loss, and the mean correlation of a dimension with itself in the other half; of the global batch.

    Attributes:
        loss: float32[], Σ_i (1 − C_ii)² + weight · Σ_{i≠j} C_ij².
        correlation: float32[], mean of C_ii, at most 1.
    """

    loss: jax.Array
    correlation: jax.Array


def barlow_twins(
    z_x: jax.Array, z_y: jax.Array, *, off_diagonal_weight: float = 5e-3, axis_name: str | None = None
) -> BarlowTwinsOutput:
    """The redundancy-reduction loss of a batch of pairs of codes.

    >>> z = jnp.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    >>> [round(float(value), 3) for value in barlow_twins(z, z)], round(float(barlow_twins(z, -z).loss), 3)
    ([0.0, 1.0], 8.0)

    Args:
        z_x, z_y: float[b, D], one device's shard; statistics are those of the global batch.
        off_diagonal_weight: λ of the paper.
        axis_name: the mapped axis over devices, or None for one device.
    Raises:
        ValueError: for codes that are not two float matrices of the same shape, or a single pair.
    Source: arXiv:2103.03230.
    """
    check_pairs(z_x, z_y, axis_name)
    x, y = (_standardised(z, axis_name) for z in (z_x, z_y))
    correlations = mean_product(x, y, axis_name)
    same = jnp.diagonal(correlations)
    others = jnp.sum(correlations**2) - jnp.sum(same**2)
    return BarlowTwinsOutput(jnp.sum((1 - same) ** 2) + off_diagonal_weight * others, jnp.mean(same))


def _standardised(z: jax.Array, axis_name: str | None) -> jax.Array:
    """Mean 0 and variance 1 over the global batch; a dimension that is constant stays near 0."""
    z = centred(z, axis_name)
    return z * lax.rsqrt(mean_square(z, axis_name) + 1e-5)
