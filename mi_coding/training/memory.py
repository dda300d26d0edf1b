"""Memory of a compiled program on one device, from the compiler's analysis, before anything runs."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from mi_coding.objectives.cpc import CPCOutput
from mi_coding.training.devices import AXIS, DataParallel


def bytes_needed(compiled: jax.stages.Compiled) -> int | None:
    """Bytes on one device for arguments, results and temporaries; None where the backend does not report them."""
    sizes = compiled.memory_analysis()
    if sizes is None:
        return None
    shared = sizes.alias_size_in_bytes  # results that reuse the memory of donated arguments
    return sizes.argument_size_in_bytes + sizes.output_size_in_bytes + sizes.temp_size_in_bytes - shared


def loss_bytes(
    objective: Callable[..., CPCOutput], queries: tuple[int, ...], keys: tuple[int, ...], parallel: DataParallel
) -> int | None:
    """Bytes on one device for the codes, the loss of all pairs and its gradient, without the encoder.

    Args:
        objective: (queries, keys, key=…, axis_name=…) → `CPCOutput`.
        queries, keys: the shapes of one device's shard.
    """

    def loss_and_gradient(codes: tuple[jax.Array, jax.Array], key: jax.Array) -> tuple[Any, dict]:
        def loss(codes: tuple[jax.Array, jax.Array]) -> jax.Array:
            return jnp.mean(objective(*codes, key=key, axis_name=AXIS).loss)

        own = jax.tree.map(lambda z: z + lax.axis_index(AXIS), codes)  # typed as different on each device
        gradients = jax.grad(loss)(own)
        return codes, {"sum": lax.psum(sum(jnp.sum(g) for g in gradients), AXIS)}

    arguments = parallel.replicate((jnp.zeros(queries), jnp.zeros(keys))), parallel.replicate(jax.random.key(0))
    return bytes_needed(parallel.parallel(loss_and_gradient).lower(*arguments).compile())


def describe_bytes(count: int | None) -> str:
    """A number of bytes in readable form.

    >>> describe_bytes(3 * 2**20), describe_bytes(None)
    ('3.0 MiB', 'unknown')
    """
    if count is None:
        return "unknown"
    power = min(3, max(0, count.bit_length() - 1) // 10)
    return f"{count / 2 ** (10 * power):.1f} {('B', 'KiB', 'MiB', 'GiB')[power]}"
