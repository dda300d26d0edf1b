"""VICReg: codes of a pair are alike, every dimension varies, and no two dimensions vary together."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from mi_coding.objectives.moments import batch_size, centred, check_pairs, mean_product, mean_square


class VICRegOutput(NamedTuple):
    """The loss and its three terms before their weights; under a mapped axis those of the global batch.

    Attributes:
        loss: float32[], their weighted sum.
        invariance: float32[], mean squared difference of the two codes, over pairs and dimensions.
        variance: float32[], by how much standard deviations fall short of 1, a mean over dimensions and halves.
        covariance: float32[], squared covariances of different dimensions over D, a sum over halves.
    """

    loss: jax.Array
    invariance: jax.Array
    variance: jax.Array
    covariance: jax.Array


def vicreg(
    z_x: jax.Array,
    z_y: jax.Array,
    *,
    invariance_weight: float = 25.0,
    variance_weight: float = 25.0,
    covariance_weight: float = 1.0,
    axis_name: str | None = None,
) -> VICRegOutput:
    """The loss of variance, invariance and covariance of a batch of pairs of codes; no code is compared with another's.

    >>> z = jnp.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])  # varies, and not together
    >>> print(f"{vicreg(z, z).loss:.3f}, {vicreg(0 * z, 0 * z).loss:.2f}")  # and codes that have collapsed
    0.000, 24.75

    Args:
        z_x, z_y: float[b, D], one device's shard; statistics are those of the global batch.
        invariance_weight, variance_weight, covariance_weight: of the terms.
        axis_name: the mapped axis over devices, or None for one device.
    Raises:
        ValueError: for codes that are not two float matrices of the same shape, or a single pair.
    Source: arXiv:2105.04906; weights, means and the 0.0001 below the root are those of its published code.
    """
    check_pairs(z_x, z_y, axis_name)
    count, dimensions = batch_size(z_x, axis_name), z_x.shape[1]
    halves = [centred(z, axis_name) for z in (z_x, z_y)]
    difference = z_x.astype(halves[0].dtype) - z_y.astype(halves[1].dtype)
    invariance = jnp.mean(mean_square(difference, axis_name))
    variance = covariance = 0.0
    for z in halves:
        deviation = jnp.sqrt(mean_square(z, axis_name) * count / (count - 1) + 1e-4)
        variance += jnp.mean(jax.nn.relu(1 - deviation)) / 2
        together = mean_product(z, z, axis_name) * count / (count - 1)
        covariance += (jnp.sum(together**2) - jnp.sum(jnp.diagonal(together) ** 2)) / dimensions
    loss = invariance_weight * invariance + variance_weight * variance + covariance_weight * covariance
    return VICRegOutput(loss, invariance, variance, covariance)
