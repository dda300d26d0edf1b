"""Mutual information of codes as if they were jointly Gaussian, from their canonical correlations."""

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.special import digamma

from mi_coding.objectives.moments import batch_size, centred, check_pairs, mean_product, mean_square


def gaussian_information(
    z_x: jax.Array, z_y: jax.Array, *, shrinkage: float = 0.0, axis_name: str | None = None
) -> jax.Array:
    """−½ ln det(1 − C Cᵀ) in nats, C the whitened cross-covariance of the codes over the global batch: deep CCA.

    It is I(z_x; z_y) of jointly Gaussian codes, −½ Σ ln(1 − ρ²) over the canonical correlations ρ, has no ceiling ln N,
    and does not change when either code goes through an invertible linear map (but for the shrinkage). For codes that
    are not Gaussian it is the information of the Gaussian law with their covariances, not a bound.

    What a finite batch adds, D²/2B nats on average, is subtracted: its exact mean for Gaussian codes, if nothing is
    shrunk. With a shrinkage a the correlation matrices are R + a · 1; the result is then at most D/2 · ln(1/a) or so.

    >>> x, noise = jax.random.normal(jax.random.key(0), (2, 4000, 3))
    >>> y = 0.8 * x + 0.6 * noise  # three times −½ ln(1 − 0.8²) = 1.532 nats
    >>> print(f"{gaussian_information(x, y):.2f}, of independent codes {abs(gaussian_information(x, noise)):.2f}")
    1.53, of independent codes 0.00

    Args:
        z_x, z_y: float[b, D], one device's shard.
        shrinkage: a ≥ 0, added to the diagonal of the correlation matrix of each half.
        axis_name: the mapped axis over devices, or None for one device.
    Returns:
        float32[], of the global batch (float64 for float64 codes).
    Raises:
        ValueError: for codes that are not two float matrices of the same shape, a shrinkage < 0, or without one a batch
            of fewer than 2D + 2 pairs, whose covariance has no inverse.
    Source: deep CCA, Andrew et al. 2013; as information, CorInfoMax arXiv:2209.07999; the mean of ln det of a Wishart
        matrix, Muirhead 1982, theorem 3.2.15.
    """
    check_pairs(z_x, z_y, axis_name)
    count, dimensions = batch_size(z_x, axis_name), z_x.shape[1]
    if not isinstance(shrinkage, jax.core.Tracer) and not shrinkage >= 0:
        raise ValueError(f"shrinkage={shrinkage}: expected a number ≥ 0")
    if not shrinkage and count < 2 * dimensions + 2:
        raise ValueError(
            f"{count} pairs of codes of {dimensions} numbers: expected at least {2 * dimensions + 2} pairs, or a "
            "shrinkage > 0"
        )
    x, y = (_standardised(z, axis_name) for z in (z_x, z_y))
    own = jnp.eye(dimensions, dtype=x.dtype)
    of_x, of_y = (mean_product(z, z, axis_name) + shrinkage * own for z in (x, y))
    cross = mean_product(x, y, axis_name)
    # det of the joint matrix is det(of_x) · det(of_y − crossᵀ of_x⁻¹ cross)
    inner = jax.scipy.linalg.solve_triangular(jnp.linalg.cholesky(of_x), cross, lower=True)
    left = of_y - jnp.matmul(inner.T, inner, precision=lax.Precision.HIGHEST)
    information = (_log_det(of_y) - _log_det(left)) / 2
    return information if shrinkage else information - _mean_of_independent(count - 1, dimensions, x.dtype)


def _standardised(z: jax.Array, axis_name: str | None) -> jax.Array:
    rounding = (8 * jnp.finfo(z.dtype).eps) ** 2 * mean_square(z, axis_name)  # a mean of equal codes is not exact
    z = centred(z, axis_name)
    variance = mean_square(z, axis_name)
    varies = variance > rounding
    return z * jnp.where(varies, lax.rsqrt(jnp.where(varies, variance, 1)), 0)


def _log_det(matrix: jax.Array) -> jax.Array:
    return 2 * jnp.sum(jnp.log(jnp.diagonal(jnp.linalg.cholesky(matrix))))


def _mean_of_independent(freedom: int, dimensions: int, dtype: jnp.dtype) -> jax.Array:
    """What a batch of n degrees of freedom adds on average to the information of Gaussian codes.

    E ln det of a D × D Wishart matrix is ln det Σ + Σ_i ψ((n − i)/2), i < D, and constants that cancel.
    """
    half = lambda start: digamma((freedom - start - jnp.arange(dimensions, dtype=dtype)) / 2)  # noqa: E731
    return jnp.sum(half(0) - half(dimensions)) / 2
