"""An encoder as two pure functions: features for the probe, and the code that the critic scores."""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax

from mi_coding.encoders.convnet import ConvNet
from mi_coding.encoders.head import ProjectionHead

ENCODERS: dict[str, Callable[..., nn.Module]] = {"convnet": ConvNet}


class Encoder(NamedTuple):
    """An encoder with its projection head.

    Attributes:
        init: (key, x float32[b, H, W, C]) → params, stats. `stats` is what is neither trained nor constant, such as
            running means; empty for a network without any.
        apply: (params, stats, x, train: bool) → (features float32[b, F], codes float32[b, D]), stats. Probes read the
            features, before the head; the critic scores the codes.
    """

    init: Callable[[jax.Array, jax.Array], tuple[Any, Any]]
    apply: Callable[[Any, Any, jax.Array, bool], tuple[tuple[jax.Array, jax.Array], Any]]


class _WithHead(nn.Module):
    backbone: nn.Module
    head: nn.Module

    def __call__(self, x: jax.Array, train: bool) -> tuple[jax.Array, jax.Array]:
        features = self.backbone(x, train)
        return features, self.head(features)


def build(name: str, *, head_width: int, code_dim: int, **options) -> Encoder:
    """An encoder of the named family, with a projection head of one hidden layer.

    >>> encoder = build("convnet", widths=(8, 8, 8), feature_dim=32, head_width=16, code_dim=4)
    >>> params, stats = encoder.init(jax.random.key(0), jnp.zeros((1, 16, 16, 1)))
    >>> (features, codes), stats = encoder.apply(params, stats, jnp.zeros((5, 16, 16, 1)), False)
    >>> features.shape, codes.shape
    ((5, 32), (5, 4))

    Args:
        name: a key of `ENCODERS`.
        head_width: width of the head's hidden layer.
        code_dim: D, the dimension of a code.
        options: arguments of the family, see its class.
    Raises:
        ValueError: for an unknown name.
    """
    if name not in ENCODERS:
        raise ValueError(f"encoder {name!r} is unknown; expected one of {', '.join(ENCODERS)}")
    module = _WithHead(ENCODERS[name](**options), ProjectionHead(head_width, code_dim))

    def init(key: jax.Array, x: jax.Array) -> tuple[Any, Any]:
        variables = dict(module.init(key, x, False))
        return variables.pop("params"), variables

    def apply(params: Any, stats: Any, x: jax.Array, train: bool) -> tuple[tuple[jax.Array, jax.Array], Any]:
        if not (train and stats):
            return module.apply({"params": params, **stats}, x, train), stats
        return module.apply({"params": params, **stats}, x, train, mutable=list(stats))

    return Encoder(init, apply)
