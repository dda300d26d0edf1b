"""CPC and its relatives as an `Experiment`: one encoder for both halves of a pair, a critic, an objective."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from mi_coding.critics import Critic
from mi_coding.encoders import Encoder
from mi_coding.objectives.cpc import CPCOutput
from mi_coding.training.experiment import Codes, Experiment


def contrastive(
    encoder: Encoder,
    critic: Critic,
    objective: Callable[..., CPCOutput],
    heldout_objective: Callable[..., CPCOutput],
    *,
    sample_pairs: Callable,
    optimizer: optax.GradientTransformation,
    batch_size: int,
) -> tuple[Experiment, Codes]:
    """Joins the parts of a contrastive experiment.

    Args:
        encoder: codes both x and y, in one batch.
        critic: makes queries and keys of the codes.
        objective: (queries, keys, axis_name=…) → `CPCOutput`, what is minimised.
        heldout_objective: (queries, keys) → `CPCOutput`, the same with all distractors of one device's batch.
        sample_pairs, optimizer, batch_size: see `Experiment`.
    Returns:
        What the loop trains, and what evaluation reads from the parameters it leaves.
    """

    def init(key: jax.Array, x: jax.Array, y: jax.Array) -> tuple[Any, Any]:
        del y  # the same encoder and the same shapes
        encoder_key, critic_key = jax.random.split(key)
        params, stats = encoder.init(encoder_key, x)
        (_, codes), _ = jax.eval_shape(lambda: encoder.apply(params, stats, x, False))
        return {"encoder": params, "critic": critic.init(critic_key, codes.shape[-1])}, stats

    def loss(params: Any, stats: Any, key: jax.Array, x: jax.Array, y: jax.Array, axis_name: str | None):
        del key  # nothing random happens between a pair and its loss
        (_, codes), stats = encoder.apply(params["encoder"], stats, jnp.concatenate([x, y]), True)
        out = objective(*critic.apply(params["critic"], *jnp.split(codes, 2)), axis_name=axis_name)
        metrics = {"loss": out.loss, "mi_lower_bound": out.mi_lower_bound, "accuracy": out.accuracy}
        return out.loss, (metrics, stats)

    def apply(params: Any, stats: Any, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        return encoder.apply(params["encoder"], stats, x, False)[0]

    def contrast(params: Any, stats: Any, x: jax.Array, y: jax.Array) -> CPCOutput:
        z_x, z_y = jnp.split(apply(params, stats, jnp.concatenate([x, y]))[1], 2)
        return heldout_objective(*critic.apply(params["critic"], z_x, z_y))

    return Experiment(sample_pairs, init, loss, optimizer, batch_size), Codes(
        features=lambda params, stats, x: apply(params, stats, x)[0],
        codes=lambda params, stats, x: apply(params, stats, x)[1],
        train_codes=lambda params, stats, x: encoder.apply(params["encoder"], stats, x, True)[0][1],
        contrast=contrast,
    )
