"""The gradient of a global loss: the one place that owns the rule."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import groupby
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from mi_coding.varying import varies


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


def as_shares(params: Any, axis_name: str | None) -> Any:
    """The same replicated parameters, whose gradient is summed over devices here: once, and in their own precision.

    shard_map sums it where parameters first meet data. For those of an encoder that may be after a cast to bfloat16,
    which would leave few digits, and in a loop over parts of the batch. Typed as different on each device
    beforehand, they meet data as they are. Without an axis, and under pmap, nothing changes.
    """
    leaves, structure = jax.tree.flatten(params)
    if not leaves or axis_name is None or not varies(lax.axis_index(axis_name)):
        return params
    with jax.named_scope("gradients"):
        shares = lax.platform_dependent(*leaves, cuda=partial(_in_groups, axis_name), default=partial(_each, axis_name))
    return jax.tree.unflatten(structure, shares)


def _each(axis_name: str, *leaves: jax.Array) -> list[jax.Array]:
    return [lax.pcast(leaf, axis_name, to="varying") for leaf in leaves]


def _in_groups(axis_name: str, *leaves: jax.Array) -> list[jax.Array]:
    """Neighbouring arrays of one dtype as parts of one array, whose gradient is one array, too.

    The compiler for GPUs sums many arrays as one in any case, but only after it has fused everything else: what reads
    their sums would need one more kernel for each array, only to copy. Large networks have several groups, the first of
    which need not wait for the last.
    """
    shares: list[jax.Array] = []
    for group in _groups(leaves):
        whole = lax.pcast(jnp.concatenate([leaf.ravel() for leaf in group]), axis_name, to="varying")
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
