"""A linear classifier that learns beside an encoder and never moves it: no gradient reaches the features it reads."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax

from mi_coding.methods.base import Method, with_own_rate
from mi_coding.options import NotNegative, option


@dataclass(frozen=True, eq=False)
class OnlineProbe(Method):
    """Methods with an online probe, where training examples have labels; its parameters are params["probe"]."""

    probe_learning_rate: NotNegative = option(
        "optimizer.probe_learning_rate", 1e-3, "of a linear probe that sends no gradient to the encoder; 0 for no probe"
    )

    def optimizer(self, base: optax.GradientTransformation) -> optax.GradientTransformation:
        return with_own_rate(base, "probe", self.probe_learning_rate) if self.has_probe else base

    def probe_logits(self, params: Any, stats: Any, x: jax.Array) -> jax.Array:
        return probe_logits(params["probe"], self.encode(params, stats, x).features)


def init_probe(feature_dim: int, num_classes: int) -> dict[str, jax.Array]:
    """Parameters of an untrained classifier, as params["probe"]."""
    return {"kernel": jnp.zeros((feature_dim, num_classes)), "bias": jnp.zeros(num_classes)}


def probe_logits(probe: dict[str, jax.Array], features: jax.Array) -> jax.Array:
    """float32[n, K] of features float32[n, F]."""
    return features @ probe["kernel"] + probe["bias"]


def online_probe(
    probe: dict[str, jax.Array], features: jax.Array, labels: jax.Array, axis_name: str | None
) -> tuple[jax.Array, jax.Array]:
    """Cross-entropy of the global batch and the fraction of labels it gets right; features get no gradient."""
    return mean_cross_entropy(probe_logits(probe, jax.lax.stop_gradient(features)), labels, axis_name)


def mean_cross_entropy(logits: jax.Array, labels: jax.Array, axis_name: str | None) -> tuple[jax.Array, jax.Array]:
    """Cross-entropy of the global batch, in nats, and the fraction of labels whose logit is the largest.

    Labels of −1 are hidden: they count for neither.
    """
    known = labels >= 0
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.maximum(labels, 0))
    right = jnp.argmax(logits, axis=1) == labels
    means = [jnp.mean(values, dtype=jnp.float32) for values in (jnp.where(known, losses, 0), right, known)]
    loss, accuracy, share = jax.lax.pmean(means, axis_name) if axis_name else means
    share = jnp.where(share > 0, share, 1)  # with no known label, both are 0
    return loss / share, accuracy / share


def with_label(half: Any) -> tuple[Any, jax.Array | None]:
    """A half of a pair and its label, where it comes with one; see `pairs.labelled`."""
    return half if isinstance(half, tuple) else (half, None)
