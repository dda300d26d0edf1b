"""CPC of sequences as an `Experiment`: an encoder of steps, a causal context, and a critic for each step ahead."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from mi_coding.critics import AheadCritic
from mi_coding.encoders import SequenceEncoder
from mi_coding.objectives.ahead import pair_ahead
from mi_coding.objectives.cpc import CPCOutput
from mi_coding.training.devices import Spmd
from mi_coding.training.experiment import Codes, Experiment
from mi_coding.training.memory import loss_bytes
from mi_coding.training.online_probe import init_probe, online_probe, probe_logits, with_label


def sequence(
    encoder: SequenceEncoder,
    critic: AheadCritic,
    objective: Callable[..., CPCOutput],
    heldout_objective: Callable[..., CPCOutput],
    *,
    num_steps: int,
    num_ahead: int,
    num_times: int = 0,
    feature: str = "last",
    sample_pairs: Callable,
    optimizer: optax.GradientTransformation,
    batch_size: int,
    code_dim: int,
    context_dim: int,
    num_classes: int = 0,
    average_decay: float = 0.0,
) -> tuple[Experiment, Codes]:
    """Joins the parts of an experiment on sequences.

    Args:
        encoder: makes contexts and codes of the steps of a batch of sequences.
        critic: with parameters of its own for each of K steps ahead.
        objective: (queries float[K, b, n, D], keys float[b, n, D], key=…, axis_name=…) → `CPCOutput` of float[K]; its
            mean over K is minimised.
        heldout_objective: (queries, keys) → `CPCOutput` of float[K], with all distractors of one device's batch.
        num_steps: T, of a sequence.
        num_ahead: K.
        num_times: target steps that a training step draws at random, the same of every sequence; 0 takes all.
        feature: a key of `FEATURES`, what a sequence is known by.
        sample_pairs, optimizer, batch_size, average_decay: see `Experiment`; x are sequences, y is ().
        code_dim, context_dim: D and H.
        num_classes: K of an online probe, see `contrastive`; 0 for none.
    Returns:
        What the loop trains, and what evaluation reads from the parameters it leaves.
    """

    def init(key: jax.Array, x: jax.Array, y: Any) -> tuple[Any, Any]:
        del y  # the steps that are predicted are in x
        encoder_key, critic_key = jax.random.split(key)
        params = {"encoder": encoder.init(encoder_key, with_label(x)[0])}
        params["critic"] = critic.init(critic_key, context_dim, code_dim)
        return params | ({"probe": init_probe(context_dim, num_classes)} if num_classes else {}), {}

    def loss(params: Any, stats: Any, key: jax.Array, x: jax.Array, y: Any, axis_name: str | None):
        draw_key, time_key = jax.random.split(key)
        steps, labels = with_label(x)
        contexts, codes = encoder.apply(params["encoder"], steps)
        queries, targets = predict(params, contexts, codes)
        if num_times:
            times = jax.random.permutation(time_key, targets.shape[1])[:num_times]
            queries, targets = queries[:, :, times], targets[:, times]
        out = objective(queries, targets, key=draw_key, axis_name=axis_name)
        metrics = {name: jnp.mean(getattr(out, name)) for name in ("loss", "mi_lower_bound", "accuracy")}
        metrics |= {f"loss_ahead_{k}": value for k, value in enumerate(out.loss, start=1)}
        if not num_classes:
            return metrics["loss"], (metrics, stats)
        probe_loss, accuracy = online_probe(params["probe"], FEATURES[feature](contexts), labels, axis_name)
        return metrics["loss"] + probe_loss, (metrics | {"online_probe_accuracy": accuracy}, stats)

    def predict(params: Any, contexts: jax.Array, codes: jax.Array) -> tuple[jax.Array, jax.Array]:
        contexts, targets = pair_ahead(contexts, codes, num_ahead)
        return critic.apply(params["critic"], contexts), targets

    def features(params: Any, stats: Any, x: jax.Array) -> jax.Array:
        return FEATURES[feature](encoder.apply(params["encoder"], x)[0])

    def contrast(params: Any, contexts: jax.Array, codes: jax.Array) -> CPCOutput:
        return heldout_objective(*predict(params, contexts, codes))

    def loss_memory(spmd: Spmd) -> int | None:
        shard = batch_size // spmd.num_devices, num_times or num_steps - num_ahead, code_dim
        return loss_bytes(objective, (num_ahead, *shard), shard, spmd)

    return Experiment(sample_pairs, init, loss, optimizer, batch_size, loss_memory, average_decay), Codes(
        features=features,
        codes=features,
        train_codes=features,
        pairs=lambda params, stats, x, y: encoder.apply(params["encoder"], x),
        contrast=contrast,
        online_logits=(lambda params, stats, x: probe_logits(params["probe"], features(params, stats, x)))
        if num_classes
        else None,
    )


FEATURES: dict[str, Callable[[jax.Array], jax.Array]] = {
    "last": lambda contexts: contexts[:, -1],
    "mean": lambda contexts: jnp.mean(contexts, axis=1),
}
"""Names of `config.encoder.feature`: contexts float32[b, T, H] → what the whole sequence is known by, float32[b, H]."""
