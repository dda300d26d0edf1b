"""What `jax.shard_map` knows of a value: whether it may differ between the devices of a mesh axis."""

from typing import Any

import jax
import jax.numpy as jnp


def varies(x: jax.Array) -> bool:
    """Whether a value is typed as different on each device; never under pmap, which has no such types.

    >>> varies(jnp.ones(2)), varies(jnp.asarray(0.5))  # the second is weakly typed, and the same on every device
    (False, False)
    """
    return jax.typeof(x).strip_weak_type() != jax.typeof(jnp.zeros(x.shape, x.dtype))


def match(values: Any, reference: jax.Array) -> Any:
    """The same values, typed as varying over the same mesh axes as `reference` and as themselves.

    A loop must start with the types it ends with, and a custom gradient must return those of its arguments.
    `lax.pcast` does it too, but refuses a value that varies already.

    >>> match(jnp.arange(3), jnp.ones((2, 2))).tolist()
    [0, 1, 2]
    """
    return jax.tree.map(lambda x: jnp.where(False, reference.ravel()[0].astype(x.dtype), x), values)
