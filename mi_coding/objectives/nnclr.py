"""Nearest neighbours as views: the code of an image is replaced by the nearest code of a memory of other images."""

import jax
import jax.numpy as jnp
from jax import lax

from mi_coding.objectives.moments import check_codes


def nearest_in(memory: jax.Array, codes: jax.Array) -> jax.Array:
    """float32[b, D]: for each code, the code in the memory with the largest cosine; no gradient passes.

    >>> nearest_in(jnp.eye(2), jnp.array([[3.0, 1.0], [0.0, 2.0]])).tolist()
    [[1.0, 0.0], [0.0, 1.0]]

    Args:
        memory: float32[K, D], of length one.
        codes: float[b, D].
    Raises:
        ValueError: for another D.
    """
    check_codes(codes[:1], memory[:1])
    cosines = jnp.matmul(codes.astype(memory.dtype), memory.T, precision=lax.Precision.HIGHEST)
    return lax.stop_gradient(memory[jnp.argmax(cosines, axis=1)])


def remember(memory: jax.Array, codes: jax.Array, axis_name: str | None = None) -> jax.Array:
    """float32[K, D]: the codes of the global batch, followed by the memory as far as there is room.

    The order is that of the global batch, and the result the same on every device.

    >>> remember(jnp.zeros((3, 1)), jnp.array([[1.0], [2.0]])).ravel().tolist()
    [1.0, 2.0, 0.0]

    Args:
        memory: float32[K, D], alike on every device.
        codes: float[b, D], one device's shard.
        axis_name: the mapped axis over devices, or None for one.
    """
    codes = lax.stop_gradient(codes.astype(memory.dtype))
    if axis_name is not None:
        # A sum in which each device fills its own place: unlike an all_gather, it is typed as alike on every device.
        places = jnp.zeros((lax.axis_size(axis_name), *codes.shape), codes.dtype)
        codes = lax.psum(places.at[lax.axis_index(axis_name)].set(codes), axis_name).reshape(-1, codes.shape[1])
    return jnp.concatenate([codes, memory])[: len(memory)]
