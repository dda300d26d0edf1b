"""All the loop knows of an experiment: how pairs are drawn, how parameters begin, and what is minimised."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax


class Experiment(NamedTuple):
    """One experiment; a different one passes other functions here and needs no second loop.

    Attributes:
        sample_pairs: (key, data, rows int32[b]) → x, y: the pairs numbered `rows` of the global batch.
        init: (key, x, y) → params, stats.
        loss: (params, stats, key, x, y, axis_name) → loss, (metrics, stats); the loss and the metrics are those of the
            global batch, the same on every device.
        optimizer: an optax transformation over params.
        batch_size: B, the global batch.
        average_decay: of the moving average of params and stats that `TrainState.average` keeps; 0 keeps none.
    """

    sample_pairs: Callable[[jax.Array, Any, jax.Array], tuple[jax.Array, jax.Array]]
    init: Callable[[jax.Array, jax.Array, jax.Array], tuple[Any, Any]]
    loss: Callable[..., tuple[jax.Array, tuple[dict[str, jax.Array], Any]]]
    optimizer: optax.GradientTransformation
    batch_size: int
    average_decay: float = 0.0
