"""CPC and its relatives as an `Experiment`: an encoder for both halves of a pair or one for each, critic, objective."""

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
from mi_coding.training.online_probe import init_probe, online_probe, probe_logits, with_label


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
    num_classes: int = 0,
    average_decay: float = 0.0,
    separate: bool = False,
) -> tuple[Experiment, Codes]:
    """Joins the parts of a contrastive experiment.

    Args:
        encoder: codes both x and y, in one batch, or each with parameters of its own.
        critic: makes queries and keys of the codes.
        objective: (queries, keys, key=…, axis_name=…) → `CPCOutput`, what is minimised; the key is for its draws.
        heldout_objective: (queries, keys) → `CPCOutput`, the same with all distractors of one device's batch.
        sample_pairs, optimizer, batch_size, average_decay: see `Experiment`.
        code_dim: D, the dimension of the encoder's codes.
        microbatch_size: pairs that a device encodes at a time, see `encode_in_chunks`; None encodes all at once.
        num_classes: K of an online probe: a linear classifier that learns beside the encoder, params["probe"], and
            whose gradient never reaches it. x and y are then (images, labels), see `pairs.labelled`. 0 for none.
        separate: x and y, which may have different shapes, have an encoder each, of one architecture. Its params and
            stats are then {"x": …, "y": …}, and the online probe reads the features of x.
    Returns:
        What the loop trains, and what evaluation reads from the parameters it leaves.
    """

    def init(key: jax.Array, x: Any, y: Any) -> tuple[Any, Any]:
        (images, _), (images_y, _) = with_label(x), with_label(y)
        encoder_key, critic_key = jax.random.split(key)
        params, stats = encoder.init(encoder_key, images)
        if separate:
            params_y, stats_y = encoder.init(jax.random.fold_in(encoder_key, 1), images_y)
            params, stats = {"x": params, "y": params_y}, {"x": stats, "y": stats_y}
        params = {"encoder": params, "critic": critic.init(critic_key, code_dim)}
        if num_classes:
            feature_dim = jax.eval_shape(lambda: apply(params, stats, images)[0]).shape[1]
            params["probe"] = init_probe(feature_dim, num_classes)
        return params, stats

    def loss(params: Any, stats: Any, key: jax.Array, x: Any, y: Any, axis_name: str | None):
        (images_x, labels), (images_y, _) = with_label(x), with_label(y)
        both = (separately if separate else jointly)(partial(train_outputs, axis_name=axis_name))
        encode = encode_in_chunks(both, microbatch_size)
        (features_x, z_x), (features_y, z_y), stats = encode(params["encoder"], stats, images_x, images_y)
        out = objective(*critic.apply(params["critic"], z_x, z_y), key=key, axis_name=axis_name)
        metrics = {"loss": out.loss, "mi_lower_bound": out.mi_lower_bound, "accuracy": out.accuracy}
        if not num_classes:
            return out.loss, (metrics, stats)
        features = features_x
        if not separate:
            features, labels = jnp.concatenate([features_x, features_y]), jnp.concatenate([labels, labels])
        probe_loss, accuracy = online_probe(params["probe"], features, labels, axis_name)
        return out.loss + probe_loss, (metrics | {"online_probe_accuracy": accuracy}, stats)

    def train_outputs(params: Any, stats: Any, images: jax.Array, axis_name: str | None = None) -> tuple[Any, Any]:
        return encoder.apply(params, stats, images, True, axis_name)

    def of(half: str, params: Any, stats: Any) -> tuple[Any, Any]:
        return (params["encoder"][half], stats[half]) if separate else (params["encoder"], stats)

    def apply(params: Any, stats: Any, images: jax.Array, half: str = "x") -> tuple[jax.Array, jax.Array]:
        return encoder.apply(*of(half, params, stats), images, False)[0]

    def code_pairs(params: Any, stats: Any, x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
        if separate:
            return apply(params, stats, x)[1], apply(params, stats, y, "y")[1]
        return tuple(jnp.split(apply(params, stats, jnp.concatenate([x, y]))[1], 2))

    def contrast(params: Any, z_x: jax.Array, z_y: jax.Array) -> CPCOutput:
        return heldout_objective(*critic.apply(params["critic"], z_x, z_y))

    def loss_memory(spmd: Spmd) -> int | None:
        shard = (batch_size // spmd.num_devices, code_dim)
        return loss_bytes(objective, shard, shard, spmd)

    return Experiment(sample_pairs, init, loss, optimizer, batch_size, loss_memory, average_decay), Codes(
        features=lambda params, stats, x: apply(params, stats, x)[0],
        codes=lambda params, stats, x: apply(params, stats, x)[1],
        train_codes=lambda params, stats, x: train_outputs(*of("x", params, stats), x)[0][1],
        pairs=code_pairs,
        contrast=contrast,
        online_logits=(lambda params, stats, x: probe_logits(params["probe"], apply(params, stats, x)[0]))
        if num_classes
        else None,
        features_y=(lambda params, stats, y: apply(params, stats, y, "y")[0]) if separate else None,
        codes_y=(lambda params, stats, y: apply(params, stats, y, "y")[1]) if separate else None,
    )


def jointly(outputs: Callable[[Any, Any, jax.Array], tuple[Any, Any]]) -> Callable:
    """Both halves in one batch: (params, stats, x, y) → (outputs of x, outputs of y), stats."""

    def both(params: Any, stats: Any, x: jax.Array, y: jax.Array) -> tuple[tuple[Any, Any], Any]:
        joined, stats = outputs(params, stats, jnp.concatenate([x, y]))
        of_x, of_y = (jax.tree.map(lambda leaf, half=half: jnp.split(leaf, 2)[half], joined) for half in (0, 1))
        return (of_x, of_y), stats

    return both


def separately(outputs: Callable[[Any, Any, jax.Array], tuple[Any, Any]]) -> Callable:
    """Each half with params and stats of its own: (params, stats, x, y) → (outputs of x, outputs of y), stats."""

    def both(params: Any, stats: Any, x: jax.Array, y: jax.Array) -> tuple[tuple[Any, Any], Any]:
        of_x, stats_x = outputs(params["x"], stats["x"], x)
        of_y, stats_y = outputs(params["y"], stats["y"], y)
        return (of_x, of_y), {"x": stats_x, "y": stats_y}

    return both


def encode_in_chunks(both: Callable[..., tuple[tuple[Any, Any], Any]], chunk_size: int | None) -> Callable:
    """Encodes both halves of pairs a few at a time, in the memory of a few, for one exact loss over all of them.

    The forward pass keeps only the codes of a chunk; the backward pass encodes it once more, with the very same
    pairs, and back-propagates. So the number of distractors does not shrink with the chunk, and the gradient is that
    of all pairs at once. An encoder with batch norm normalises over a chunk (of every device, those that are encoded at
    the same time), alike in both passes, and its running statistics move by the mean over the chunks.

    Args:
        both: from `jointly` or `separately`; outputs are codes float[m, D], or a tree such as (features, codes).
        chunk_size: pairs at a time, a divisor of their number; None for all at once.
    Returns:
        (params, stats, x float[b, …], y float[b, …]) → outputs of x, outputs of y, stats.
    Source: gradient caching, arXiv:2101.06983, here as rematerialisation of a loop over chunks.
    """

    def encode(params: Any, stats: Any, x: jax.Array, y: jax.Array) -> tuple[Any, Any, Any]:
        if chunk_size is None or chunk_size == x.shape[0]:
            halves, stats = both(params, stats, x, y)
            return *halves, stats
        chunks = tuple(part.reshape(-1, chunk_size, *part.shape[1:]) for part in (x, y))
        one_chunk = jax.checkpoint(lambda pairs: both(params, stats, *pairs))
        halves, stats_of_chunks = jax.lax.map(one_chunk, chunks)
        joined = jax.tree.map(lambda z: z.reshape(x.shape[0], -1), halves)
        return *joined, jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), stats_of_chunks)

    return encode
