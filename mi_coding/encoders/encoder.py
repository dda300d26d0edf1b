"""Encoders as pure functions: of examples, and of sequences with a context that has seen no later step."""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from mi_coding.encoders.base import INTERMEDIATES, PLACES, Backbone
from mi_coding.encoders.convnet import ConvNet
from mi_coding.encoders.head import NoHead, ProjectionHead
from mi_coding.encoders.mlp import MLP
from mi_coding.encoders.resnet import ResNet18, ResNet34, ResNet50
from mi_coding.encoders.resnet9 import ResNet9
from mi_coding.encoders.signal import SignalNet
from mi_coding.encoders.vit import ViTBase, ViTSmall, ViTTiny
from mi_coding.errors import InputError

ENCODERS: dict[str, type[Backbone]] = {
    "convnet": ConvNet,
    "mlp": MLP,
    "signal": SignalNet,
    "resnet9": ResNet9,
    "resnet18": ResNet18,
    "resnet34": ResNet34,
    "resnet50": ResNet50,
    "vit_tiny": ViTTiny,
    "vit_small": ViTSmall,
    "vit_base": ViTBase,
}
"""Names of `config.encoder.name`."""


class Encoder(NamedTuple):
    """An encoder with its projection head.

    Attributes:
        init: (key, x float32[b, H, W, C], or float32[b, …] for an "mlp") → params, stats. `stats` is what is neither
            trained nor constant, such as running means; empty for a network without any.
        apply: (params, stats, x, train: bool, axis_name=None) → (features float32[b, F], codes float32[b, D]), stats.
            Probes read the features, before the head; the critic scores the codes. While training, statistics of the
            batch are taken over the mapped axis called `axis_name`, so that they are those of the global batch, and
            the returned stats are the same on every device; None takes those of `x` alone. Without training, the
            stats are used and returned as they are, and no axis is needed.
        places: (params, stats, x) → float32[b, h, w, C], or [b, steps, C] of signals: the features of each place
            before they are pooled, without training. InputError for a network that has no places.
    """

    init: Callable[[jax.Array, jax.Array], tuple[Any, Any]]
    apply: Callable[..., tuple[tuple[jax.Array, jax.Array], Any]]
    places: Callable[[Any, Any, jax.Array], jax.Array]


class _WithHead(nn.Module):
    backbone: nn.Module
    head: nn.Module

    def __call__(self, x: jax.Array, train: bool, axis_name: str | None = None) -> tuple[jax.Array, jax.Array]:
        features = self.backbone(x, train, axis_name)
        return features, self.head(features, train, axis_name)


def build(backbone: Backbone, head: ProjectionHead | NoHead) -> Encoder:
    """An encoder with a projection head, as pure functions.

    >>> encoder = build(ConvNet(widths=(8, 8, 8), feature_dim=32), ProjectionHead(width=16, code_dim=4))
    >>> params, stats = encoder.init(jax.random.key(0), jnp.zeros((1, 16, 16, 1)))
    >>> (features, codes), stats = encoder.apply(params, stats, jnp.zeros((5, 16, 16, 1)), False)
    >>> features.shape, codes.shape
    ((5, 32), (5, 4))
    """
    module = _WithHead(backbone, head)

    def init(key: jax.Array, x: jax.Array) -> tuple[Any, Any]:
        # From the shape alone: a forward pass would compile every layer of a deep network for a result nobody wants.
        variables = dict(module.lazy_init(key, jax.ShapeDtypeStruct(x.shape, x.dtype), False))
        return variables.pop("params"), variables

    def apply(
        params: Any, stats: Any, x: jax.Array, train: bool, axis_name: str | None = None
    ) -> tuple[tuple[jax.Array, jax.Array], Any]:
        with jax.named_scope("encoder"):
            if not (train and stats):
                return module.apply({"params": params, **stats}, x, train), stats
            return module.apply({"params": params, **stats}, x, train, axis_name, mutable=list(stats))

    def places(params: Any, stats: Any, x: jax.Array) -> jax.Array:
        _, kept = module.apply({"params": params, **stats}, x, False, mutable=[INTERMEDIATES])
        if not kept:
            raise InputError(f"an encoder of {backbone.takes} has no layer 'places'; expected features or codes")
        return kept[INTERMEDIATES]["backbone"][PLACES][0].astype(jnp.float32)

    return Encoder(init, apply, places)


class SequenceEncoder(NamedTuple):
    """An encoder of sequences as two pure functions; it has no statistics.

    Attributes:
        init: (key, x float32[b, T, …]) → params.
        apply: (params, x float32[b, T, …]) → contexts float32[b, T, H], codes float32[b, T, D]. codes[:, t] depends on
            step t alone; contexts[:, t] depends on steps 0 … t, and no later step changes a bit of it.
    """

    init: Callable[[jax.Array, jax.Array], Any]
    apply: Callable[[Any, jax.Array], tuple[jax.Array, jax.Array]]


class _CodesAndContexts(nn.Module):
    step: nn.Module
    code_dim: int
    context_dim: int

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        features = self.step(x.reshape(-1, *x.shape[2:]), False)
        codes = nn.Dense(self.code_dim)(features).reshape(*x.shape[:2], self.code_dim)
        # Made from the codes, so that it varies over devices as they do: a scan needs a carry of one constant type.
        nothing_seen = jnp.zeros_like(codes, shape=(x.shape[0], self.context_dim))
        return nn.RNN(nn.GRUCell(self.context_dim))(codes, initial_carry=nothing_seen), codes


def build_sequence(step: Backbone, *, code_dim: int, context_dim: int) -> SequenceEncoder:
    """An encoder of each step, and a gated recurrent unit that reads their codes from the first to the last.

    >>> encoder = build_sequence(MLP(widths=(8,), feature_dim=8), code_dim=4, context_dim=6)
    >>> params = encoder.init(jax.random.key(0), jnp.zeros((1, 10, 3)))
    >>> contexts, codes = encoder.apply(params, jnp.zeros((5, 10, 3)))
    >>> contexts.shape, codes.shape
    ((5, 10, 6), (5, 10, 4))

    Args:
        step: encodes each step alone (`Backbone.encodes_each_alone`).
        code_dim: D, the dimension of the code of a step.
        context_dim: H, the dimension of a context.
    Source: arXiv:1807.03748 section 2.2, z_t = g_enc(x_t) and c_t = g_ar(z_≤t); the unit, arXiv:1406.1078.
    """
    module = _CodesAndContexts(step, code_dim, context_dim)

    def init(key: jax.Array, x: jax.Array) -> Any:
        return module.lazy_init(key, jax.ShapeDtypeStruct(x.shape, x.dtype))["params"]

    def apply(params: Any, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        with jax.named_scope("encoder"):
            return module.apply({"params": params}, x)

    return SequenceEncoder(init, apply)
