"""The gradient of a global loss: the one place that owns the rule."""

from collections.abc import Callable
from typing import Any

import jax
from jax import lax

from mi_coding.varying import varies


def mean_gradient(loss_fn: Callable, axis_name: str) -> Callable:
    """The gradient of a global loss with respect to replicated parameters, by one exchange.

    `loss_fn(params, …) → (loss, aux)` must return the loss of the global batch, the same on every device. Under pmap
    its gradient on one device is that device's share times the number of devices, so that the mean over devices is
    correct. Under shard_map, which knows what is the same on every device, the gradient of parameters that are is
    the sum of all shares already: a mean of that would be a second exchange of the same numbers. A sum under pmap is
    too large by the number of devices, and averaging only the loss or only the gradient is wrong.
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
    """The same replicated parameters, whose gradient is added up over devices here: once, and in their own precision.

    shard_map adds it up where parameters first meet data. For those of an encoder that may be after a cast to bfloat16,
    of which few digits would be left, and in a loop over parts of the batch. Typed as different on each device
    beforehand, they meet data as they are. Without an axis, and under pmap, nothing changes.
    """
    if axis_name is None:
        return params
    with jax.named_scope("gradients"):
        return jax.tree.map(lambda p: lax.pcast(p, axis_name, to="varying"), params)
