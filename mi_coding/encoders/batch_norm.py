"""Batch norm over the global batch: the number of devices changes neither its output nor its running statistics."""

import flax.linen as nn
import jax.numpy as jnp


def batch_norm(train: bool, axis_name: str | None, *, dtype: str = "float32", **options) -> nn.BatchNorm:
    """A batch norm whose mean and variance are those of all examples and places on all devices.

    While training, the means of x and x² over one device's shard are averaged over the mapped axis; since every shard
    has equally many examples these are the moments of the global batch, the same on every device, and so are the
    running statistics: new = 0.9 · old + 0.1 · batch, with the variance divided by the count, not by the count − 1.
    The gradient flows through the average, so it includes how each example moves the statistics of all others. When
    not training, the running statistics are used, no axis is needed, and an example's output does not depend on its
    neighbours.

    >>> norm = batch_norm(True, None)
    >>> x = jnp.array([[1.0], [3.0]])
    >>> y, new = norm.apply(norm.init(jax.random.key(0), x), x, mutable=["batch_stats"])
    >>> [round(float(value), 3) for value in y[:, 0]]
    [-1.0, 1.0]
    >>> {name: round(float(value[0]), 3) for name, value in new["batch_stats"].items()}
    {'mean': 0.2, 'var': 1.0}

    Args:
        train: whether to use the statistics of the batch and to move the running ones.
        axis_name: the mapped axis over which the batch is spread; None for a batch on one device.
        dtype: of the output. Parameters, statistics and the arithmetic between them are float32 for every dtype.
        options: of `flax.linen.BatchNorm`, such as `scale_init` or `name`.
    Source: arXiv:1502.03167; over all devices as in SimCLR, arXiv:2002.05709, section 2.1.
    """
    return nn.BatchNorm(
        use_running_average=not train,
        momentum=0.9,
        epsilon=1e-5,
        dtype=jnp.dtype(dtype),
        axis_name=axis_name if train else None,
        **options,
    )
