"""Means and covariances of codes over the global batch."""

import jax
import jax.numpy as jnp
from jax import lax


def global_mean(values: jax.Array, axis_name: str | None) -> jax.Array:
    """The mean of all values on all devices, which have equally many."""
    return _over_devices(jnp.mean(values), axis_name)


def batch_size(z: jax.Array, axis_name: str | None) -> int:
    """B, codes on all devices."""
    return z.shape[0] * (1 if axis_name is None else lax.axis_size(axis_name))


def centred(z: jax.Array, axis_name: str | None) -> jax.Array:
    """float[b, D], at least float32: codes less the mean of the global batch.

    >>> centred(jnp.array([[1.0], [3.0]]), None).tolist()
    [[-1.0], [1.0]]
    """
    z = z.astype(jnp.promote_types(z.dtype, jnp.float32))
    return z - _over_devices(jnp.mean(z, axis=0), axis_name)


def mean_product(x: jax.Array, y: jax.Array, axis_name: str | None) -> jax.Array:
    """float[D, E]: the mean of x yᵀ over the global batch, at the highest precision; of centred codes, a covariance."""
    return _over_devices(jnp.matmul(x.T, y, precision=lax.Precision.HIGHEST) / x.shape[0], axis_name)


def mean_square(x: jax.Array, axis_name: str | None) -> jax.Array:
    """float[D]: the mean of x² over the global batch; of centred codes, their variance."""
    return _over_devices(jnp.mean(x * x, axis=0), axis_name)


def check_pairs(z_x: jax.Array, z_y: jax.Array, axis_name: str | None) -> None:
    """Raises ValueError for codes that `check_codes` refuses, or of fewer than two pairs."""
    check_codes(z_x, z_y)
    if batch_size(z_x, axis_name) < 2:
        raise ValueError("a single pair has no variance: expected at least two pairs")


def check_codes(z_x: jax.Array, z_y: jax.Array) -> None:
    """Raises ValueError for codes that are not two float matrices of one shape."""
    if z_x.ndim != 2 or z_x.shape != z_y.shape:
        raise ValueError(f"codes of shapes {z_x.shape} and {z_y.shape}: expected two arrays of one shape [b, D]")
    for z in (z_x, z_y):
        if not jnp.issubdtype(z.dtype, jnp.floating):
            raise ValueError(f"codes of dtype {z.dtype}: expected a float dtype; cast them first")


def _over_devices(mean: jax.Array, axis_name: str | None) -> jax.Array:
    return mean if axis_name is None else lax.pmean(mean, axis_name)
