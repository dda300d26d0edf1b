"""The gradient of a global loss: the one place that owns the rule."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import groupby
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from mi_coding.varying import varies

ALL_REDUCE_DTYPES = ("float32", "bfloat16")
"""Names of `config.optimizer.all_reduce_dtype`."""


def mean_gradient(loss_fn: Callable, axis_name: str) -> Callable:
    """The gradient of a global loss with respect to replicated parameters, by one exchange between devices.

    `loss_fn(params, …) → (loss, aux)` must return the loss of the global batch, the same on every device. Under pmap
    its gradient on one device is that device's share times the number of devices, so that the mean over devices is
    correct. Under shard_map, which knows what is the same on every device, the gradient of replicated parameters
    is already the sum of all shares: a mean of that would exchange the same numbers a second time. A sum under pmap is
    too large by a factor of the number of devices, and averaging only the loss or only the gradient is wrong.
    """

    gradient = jax.value_and_grad(loss_fn, has_aux=True)

    def value_and_mean_gradient(params: Any, *arguments: Any) -> tuple[tuple[jax.Array, Any], Any]:
        value, gradients = gradient(params, *arguments)
        if varies(lax.axis_index(axis_name)):
            return value, gradients
        with jax.named_scope("gradients"):
            return value, lax.pmean(gradients, axis_name)

    return value_and_mean_gradient


def as_shares(params: Any, axis_name: str | None, all_reduce_dtype: str = "float32") -> Any:
    """The same replicated parameters, whose gradient is summed over devices here, by one all-reduce.

    shard_map sums it where parameters first meet data. For those of an encoder that may be after a cast to bfloat16,
    which would leave few digits, and in a loop over parts of the batch. Typed as different on each device
    beforehand, they meet data as they are. Without an axis, and under pmap, nothing changes.

    Args:
        params: of the encoder.
        axis_name: of the devices.
        all_reduce_dtype: in which float32 gradients are sent and summed; the optimiser receives float32 either way.
            "bfloat16" halves their bytes, and rounds what each device sends, and each sum on its way around the
            devices, to 8 bits: the error grows with the number of devices.
    """
    leaves, structure = jax.tree.flatten(params)
    if not leaves or axis_name is None or not varies(lax.axis_index(axis_name)):
        return params
    with jax.named_scope("gradients"):
        grouped, each = (partial(function, axis_name, all_reduce_dtype) for function in (_in_groups, _each))
        shares = lax.platform_dependent(*leaves, cuda=grouped, default=each)
    return jax.tree.unflatten(structure, shares)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _share(axis_name: str, all_reduce_dtype: str, leaf: jax.Array) -> jax.Array:
    """The same numbers, typed as different on each device."""
    return lax.pcast(leaf, axis_name, to="varying")


def _sum_of_shares(axis_name: str, all_reduce_dtype: str, _: None, share: jax.Array) -> tuple[jax.Array]:
    sent = share.astype(all_reduce_dtype) if share.dtype == jnp.float32 else share
    return (lax.psum(sent, axis_name).astype(share.dtype),)


_share.defvjp(lambda axis_name, dtype, leaf: (_share(axis_name, dtype, leaf), None), _sum_of_shares)


def _each(axis_name: str, all_reduce_dtype: str, *leaves: jax.Array) -> list[jax.Array]:
    return [_share(axis_name, all_reduce_dtype, leaf) for leaf in leaves]


def _in_groups(axis_name: str, all_reduce_dtype: str, *leaves: jax.Array) -> list[jax.Array]:
    """Neighbouring arrays of one dtype as parts of one array, whose gradient is one array, too.

    The compiler for GPUs sums many arrays as one in any case, but only after it has fused everything else: what reads
    their sums would need one more kernel for each array, only to copy. Large networks have several groups, the first of
    which need not wait for the last.
    """
    shares: list[jax.Array] = []
    for group in _groups(leaves):
        whole = _share(axis_name, all_reduce_dtype, jnp.concatenate([leaf.ravel() for leaf in group]))
        parts = lax.split(whole, [leaf.size for leaf in group])
        shares += [part.reshape(leaf.shape) for part, leaf in zip(parts, group, strict=True)]
    return shares


def _groups(leaves: Sequence[jax.Array]) -> list[list[jax.Array]]:
    """Consecutive arrays of one dtype, of `_GROUP` bytes or more where there are as many.

    >>> [len(group) for group in _groups([jnp.zeros(_GROUP // 8)] * 7 + [jnp.zeros(1, jnp.bfloat16)])]
    [2, 2, 3, 1]
    """
    groups: list[list[jax.Array]] = []
    for _, run in groupby(leaves, lambda leaf: leaf.dtype):
        of_run: list[list[jax.Array]] = [[]]
        for leaf in run:
            if _size(of_run[-1]) >= _GROUP:
                of_run.append([])
            of_run[-1].append(leaf)
        if len(of_run) > 1 and _size(of_run[-1]) < _GROUP:
            rest = of_run.pop()
            of_run[-1] += rest
        groups += of_run
    return groups


def _size(group: Iterable[jax.Array]) -> int:
    return sum(leaf.nbytes for leaf in group)


_GROUP = 32 * 2**20
"""Least bytes of a group. XLA combines collectives of up to 30 MiB with their neighbours, such as the statistics of a
batch norm, for which the backward pass waits."""
