"""CPC and its relatives as an `Experiment`: one encoder for both halves of a pair, a critic, an objective."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from mi_coding.critics import Critic
from mi_coding.encoders import Encoder
from mi_coding.objectives.cpc import CPCOutput
from mi_coding.training.devices import Spmd
from mi_coding.training.experiment import Codes, Experiment
from mi_coding.training.memory import loss_bytes


def contrastive(
    encoder: Encoder,
    critic: Critic,
    objective: Callable[..., CPCOutput],
    heldout_objective: Callable[..., CPCOutput],
    *,
    sample_pairs: Callable,
    optimizer: optax.GradientTransformation,
    batch_size: int,
    code_dim: int,
    microbatch_size: int | None = None,
) -> tuple[Experiment, Codes]:
    """Joins the parts of a contrastive experiment.

    Args:
        encoder: codes both x and y, in one batch.
        critic: makes queries and keys of the codes.
        objective: (queries, keys, key=…, axis_name=…) → `CPCOutput`, what is minimised; the key is for its draws.
        heldout_objective: (queries, keys) → `CPCOutput`, the same with all distractors of one device's batch.
        sample_pairs, optimizer, batch_size: see `Experiment`.
        code_dim: D, the dimension of the encoder's codes.
        microbatch_size: pairs that a device encodes at a time, see `encode_in_chunks`; None encodes all at once.
    Returns:
        What the loop trains, and what evaluation reads from the parameters it leaves.
    """

    def init(key: jax.Array, x: jax.Array, y: jax.Array) -> tuple[Any, Any]:
        del y  # the same encoder and the same shapes
        encoder_key, critic_key = jax.random.split(key)
        params, stats = encoder.init(encoder_key, x)
        return {"encoder": params, "critic": critic.init(critic_key, code_dim)}, stats

    def loss(params: Any, stats: Any, key: jax.Array, x: jax.Array, y: jax.Array, axis_name: str | None):
        encode = encode_in_chunks(partial(train_codes, axis_name=axis_name), microbatch_size)
        z_x, z_y, stats = encode(params["encoder"], stats, x, y)
        out = objective(*critic.apply(params["critic"], z_x, z_y), key=key, axis_name=axis_name)
        metrics = {"loss": out.loss, "mi_lower_bound": out.mi_lower_bound, "accuracy": out.accuracy}
        return out.loss, (metrics, stats)

    def train_codes(params: Any, stats: Any, x: jax.Array, axis_name: str | None = None) -> tuple[jax.Array, Any]:
        (_, codes), stats = encoder.apply(params, stats, x, True, axis_name)
        return codes, stats

    def apply(params: Any, stats: Any, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        return encoder.apply(params["encoder"], stats, x, False)[0]

    def contrast(params: Any, stats: Any, x: jax.Array, y: jax.Array) -> CPCOutput:
        z_x, z_y = jnp.split(apply(params, stats, jnp.concatenate([x, y]))[1], 2)
        return heldout_objective(*critic.apply(params["critic"], z_x, z_y))

    def loss_memory(spmd: Spmd) -> int | None:
        return loss_bytes(objective, batch_size=batch_size, code_dim=code_dim, spmd=spmd)

    return Experiment(sample_pairs, init, loss, optimizer, batch_size, loss_memory), Codes(
        features=lambda params, stats, x: apply(params, stats, x)[0],
        codes=lambda params, stats, x: apply(params, stats, x)[1],
        train_codes=lambda params, stats, x: train_codes(params["encoder"], stats, x)[0],
        contrast=contrast,
    )


def encode_in_chunks(codes: Callable[[Any, Any, jax.Array], tuple[jax.Array, Any]], chunk_size: int | None) -> Callable:
    """Encodes both halves of pairs a few at a time, in the memory of a few, for one exact loss over all of them.

    The forward pass keeps only the codes of a chunk; the backward pass encodes it once more, with the very same
    pairs, and back-propagates. So the number of distractors does not shrink with the chunk, and the gradient is that
    of all pairs at once. An encoder with batch norm normalises over a chunk (of every device, those that are encoded at
    the same time), alike in both passes, and its running statistics move by the mean over the chunks.

    Args:
        codes: (params, stats, x float[m, …]) → codes float[m, D], stats.
        chunk_size: pairs at a time, a divisor of their number; None for all at once.
    Returns:
        (params, stats, x float[b, …], y float[b, …]) → z_x, z_y float[b, D], stats.
    Source: gradient caching, arXiv:2101.06983, here as rematerialisation of a loop over chunks.
    """

    def encode(params: Any, stats: Any, x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array, Any]:
        if chunk_size is None or chunk_size == x.shape[0]:
            both, stats = codes(params, stats, jnp.concatenate([x, y]))
            return *jnp.split(both, 2), stats
        chunks = [part.reshape(-1, chunk_size, *part.shape[1:]) for part in (x, y)]
        one_chunk = jax.checkpoint(lambda pairs: codes(params, stats, jnp.concatenate(pairs)))
        both, stats_of_chunks = jax.lax.map(one_chunk, tuple(chunks))
        halves = (half.reshape(x.shape[0], -1) for half in jnp.split(both, 2, axis=1))
        return *halves, jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), stats_of_chunks)

    return encode
