"""The state of training and the one function that changes it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from mi_coding.objectives.gradient import mean_gradient
from mi_coding.training.devices import AXIS
from mi_coding.training.experiment import Experiment
from mi_coding.training.norms import global_norm


class TrainState(NamedTuple):
    """All that a checkpoint holds.

    Attributes:
        step: int32[], steps taken.
        params, stats, opt_state: see `Experiment`.
        non_finite_at: int32[], the first step whose loss was infinite or NaN; 0 while there is none. It lives on the
            device, so that the step is known exactly without the host waiting for every loss.
        average: moving averages (params, stats), or () where the experiment keeps none.
    """

    step: jax.Array
    params: Any
    stats: Any
    opt_state: Any
    non_finite_at: jax.Array
    average: Any

    @property
    def variables(self) -> tuple[Any, Any]:
        """(params, stats) to export and to evaluate: the averages, if any are kept."""
        return self.average or (self.params, self.stats)


def init_state(experiment: Experiment, key: jax.Array, data: Any) -> TrainState:
    """The state before the first step; the same for every number of devices."""
    sample_key, init_key = jax.random.split(key)
    # Only their shapes matter: drawing pairs here would compile every operation of every augmentation by itself.
    pairs = jax.eval_shape(experiment.sample_pairs, sample_key, data, jnp.arange(2))
    x, y = jax.tree.map(lambda one: jnp.zeros(one.shape, one.dtype), pairs)
    params, stats = experiment.init(init_key, x, y)
    zero = jnp.zeros((), jnp.int32)
    average = jax.tree.map(jnp.copy, (params, stats)) if experiment.average_decay else ()
    return TrainState(zero, params, stats, experiment.optimizer.init(params), zero, average)


def make_step(experiment: Experiment, key: jax.Array, num_devices: int) -> Callable:
    """One step on one device's shard, to be run by `DataParallel.parallel`: (state, data) → (state, metrics).

    The key of a step is `key` folded with the number of the step, and the pairs are numbered over the global batch: a
    resumed run draws what an uninterrupted one would have, and eight devices draw what one would.

    Args:
        experiment: what to draw and what to minimise.
        key: random key of the whole run.
        num_devices: number of devices that share the batch; must divide it.
    """
    shard = experiment.batch_size // num_devices

    def step(state: TrainState, data: Any) -> tuple[TrainState, dict[str, jax.Array]]:
        pair_key, loss_key = jax.random.split(jax.random.fold_in(key, state.step))
        rows = lax.axis_index(AXIS) * shard + jnp.arange(shard)
        with jax.named_scope("pairs"):
            x, y = experiment.sample_pairs(pair_key, data, rows)

        def loss_fn(params: Any):
            with jax.named_scope("loss"):
                return experiment.loss(params, state.stats, loss_key, x, y, AXIS)

        (loss, (metrics, stats)), gradients = mean_gradient(loss_fn, AXIS)(state.params)
        with jax.named_scope("optimizer"):
            updates, opt_state = experiment.optimizer.update(gradients, state.opt_state, state.params)
            params, number = optax.apply_updates(state.params, updates), state.step + 1
            gradient_norm = global_norm(gradients)
        is_first_bad = ~jnp.isfinite(loss) & (state.non_finite_at == 0)
        new_state = TrainState(
            step=number,
            params=params,
            stats=stats,
            opt_state=opt_state,
            non_finite_at=jnp.where(is_first_bad, number, state.non_finite_at),
            average=_move_average(state.average, (params, stats), number, experiment.average_decay),
        )
        return new_state, metrics | {"gradient_norm": gradient_norm}

    return step


def repeat_step(step: Callable) -> Callable:
    """Many steps in one call, so that the host is needed only between calls: (state, data, count) → (state, metrics).

    The number of steps is an argument, so one compiled program serves every number; the metrics are those of the last.

    >>> count_up = repeat_step(lambda state, data: (state + data, {"loss": 1.0 * state}))
    >>> state, metrics = count_up(jnp.array(0), jnp.array(2), jnp.array(5))
    >>> int(state), float(metrics["loss"])
    (10, 8.0)
    """

    def steps(state: Any, data: Any, count: jax.Array) -> tuple[Any, dict[str, jax.Array]]:
        nothing_yet = jax.tree.map(lambda m: jnp.zeros(m.shape, m.dtype), jax.eval_shape(step, state, data)[1])
        return lax.fori_loop(0, count, lambda _, carry: step(carry[0], data), (state, nothing_yet))

    return steps


def _move_average(average: Any, current: Any, number: jax.Array, decay: float) -> Any:
    """Moves the average towards the current values, faster in the first steps, when it is mostly initial values."""
    if not average:
        return average
    decay = jnp.minimum(decay, (1 + number) / (10 + number))

    def move(old: jax.Array, new: jax.Array) -> jax.Array:
        counts = jnp.issubdtype(new.dtype, jnp.integer)  # the step counts of an inner optimiser are not averaged
        return new if counts else decay * old + (1 - decay) * new

    return jax.tree.map(move, average, current)
