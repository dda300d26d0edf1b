"""The programs that the benchmark of the contrast methods compares, and the codes they are run on."""

from collections.abc import Callable
from functools import cache

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P

import mi_coding
from mi_coding.contrast.tiles import BLOCK_ON_CPU

AXIS, DEVICES, DIM = "devices", 8, 128
CPU_TILE = BLOCK_ON_CPU  # what the methods choose by default where there is only a CPU


@cache
def compiled(method: str, pairs: int, devices: int, symmetric: bool) -> jax.stages.Compiled:
    """(x, y) → CPC loss and accuracy, and the gradients of both codes, float32 on the CPU."""
    axis = None if devices == 1 else AXIS

    def loss(x, y):
        out = mi_coding.cpc(x, y, symmetric=symmetric, method=method, axis_name=axis, block_size=CPU_TILE)
        return out.loss, out.accuracy

    return with_gradients(loss, pairs, devices=devices, has_aux=True)


def dense_program(pairs: int, symmetric: bool) -> jax.stages.Compiled:
    """The same without this package: the straightforward program with all scores at once, and accuracy as well."""

    def loss(x, y):
        scores = jnp.matmul(x, y.T, precision="highest")
        losses = jax.nn.logsumexp(scores, axis=1) - jnp.diagonal(scores)
        if symmetric:
            losses = 0.5 * losses + 0.5 * (jax.nn.logsumexp(scores, axis=0) - jnp.diagonal(scores))
        return jnp.mean(losses), jnp.mean(jnp.argmax(scores, axis=1) == jnp.arange(pairs))

    return with_gradients(loss, pairs, has_aux=True)


def with_gradients(
    loss: Callable, pairs: int, dtype: jnp.dtype = jnp.float32, *, devices: int = 1, has_aux: bool = False
) -> jax.stages.Compiled:
    """Compiles value and gradients of loss(x, y): float32 for the CPU, other dtypes for the default device."""
    run = jax.value_and_grad(loss, (0, 1), has_aux=has_aux)
    if devices > 1:
        run = jax.shard_map(run, mesh=cpu_mesh(), in_specs=(P(AXIS), P(AXIS)), out_specs=(P(), P(AXIS)))
    shape = jax.ShapeDtypeStruct((pairs, DIM), dtype)
    with jax.default_device(jax.devices("cpu")[0] if dtype == jnp.float32 else None):
        return jax.jit(run).lower(shape, shape).compile()


def codes(pairs: int, dtype: jnp.dtype = jnp.float32) -> tuple[jax.Array, jax.Array]:
    """Two arrays [pairs, DIM] that share enough to give a loss between zero and its ceiling."""
    with jax.default_device(jax.devices("cpu")[0] if dtype == jnp.float32 else None):
        x, noise = (0.3 * jax.random.normal(jax.random.key(seed), (pairs, DIM)) for seed in (0, 1))
        return x.astype(dtype), (x + noise).astype(dtype)


def cpu_mesh() -> jax.sharding.Mesh:
    """Virtual devices that share the cores of the CPU."""
    kinds = (jax.sharding.AxisType.Auto,)
    return jax.make_mesh((DEVICES,), (AXIS,), axis_types=kinds, devices=jax.devices("cpu")[:DEVICES])
