"""Given pairs: rows of two arrays that belong together, such as two recordings of one moment."""

import jax
import jax.numpy as jnp

from mi_coding.pairs.sampling import PairKind


def given() -> PairKind:
    """Pairs as they come: an example is (x, y), and nothing is changed; their view is x.

    >>> x, y = given().pair(jax.random.key(0), (jnp.full(3, 255, jnp.uint8), jnp.array([0.5, -2.0])))
    >>> x.tolist(), y.tolist()
    ([1.0, 1.0, 1.0], [0.5, -2.0])
    """

    def pair(key: jax.Array, example: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        del key  # nothing is left to chance
        x, y = example
        return as_numbers(x), as_numbers(y)

    return PairKind(pair, view=lambda key, example: pair(key, example)[0])


def as_numbers(x: jax.Array) -> jax.Array:
    """float32 of the same shape: bytes are divided by 255, floats stay what they are.

    >>> as_numbers(jnp.array([51], jnp.uint8)).item() == jnp.float32(0.2)
    Array(True, dtype=bool)
    """
    return x.astype(jnp.float32) / 255 if x.dtype == jnp.uint8 else x.astype(jnp.float32)
