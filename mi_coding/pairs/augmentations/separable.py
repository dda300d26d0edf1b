"""Linear maps that treat rows and columns apart, as two small matrix products."""

import jax
import jax.numpy as jnp


def separable(rows: jax.Array, image: jax.Array, columns: jax.Array) -> jax.Array:
    """rows @ image @ columnsᵀ for each channel.

    Matrix products are what every kind of device does best; reading pixel by pixel is what it does worst.

    >>> separable(jnp.eye(2), jnp.arange(4.0).reshape(2, 2, 1) / 4, jnp.array([[0.5, 0.5]])).ravel().tolist()
    [0.125, 0.625]

    Args:
        rows: float32[h, H]; its rows are weights that sum to at most one.
        image: float32[H, W, C] in [0, 1].
        columns: float32[w, W], as `rows`.
    Returns:
        float32[h, w, C] in [0, 1].
    """
    highest = jax.lax.Precision.HIGHEST  # by default a GPU rounds float32 to 11 bits, a TPU to 8
    # Weights sum to one but for rounding, which must not lead out of [0, 1].
    return jnp.clip(jnp.einsum("vh,hwc,uw->vuc", rows, image, columns, precision=highest), 0, 1)
