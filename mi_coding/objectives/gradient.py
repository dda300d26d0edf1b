"""The gradient of a global loss: the one place that owns the rule."""

from collections.abc import Callable
from typing import Any

import jax


def mean_gradient(loss_fn: Callable, axis_name: str) -> Callable:
    """The gradient of a global loss with respect to replicated parameters.

    `loss_fn(params, …) → (loss, aux)` must return the loss of the global batch, the same on every device. Its
    gradient on one device is that device's share times the number of devices, under pmap and under shard_map alike,
    so the mean over devices is correct. A sum is too large by their number, and averaging only the loss or only the
    gradient is wrong in one of the two.
    """
    gradient = jax.value_and_grad(loss_fn, has_aux=True)

    def value_and_mean_gradient(params: Any, *arguments: Any) -> tuple[tuple[jax.Array, Any], Any]:
        value, gradients = gradient(params, *arguments)
        with jax.named_scope("gradients"):
            return value, jax.lax.pmean(gradients, axis_name)

    return value_and_mean_gradient
