"""An encoder as two pure functions: features for the probe, and the code that the critic scores."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax

from mi_coding.encoders.convnet import ConvNet
from mi_coding.encoders.head import ProjectionHead
from mi_coding.encoders.mlp import MLP
from mi_coding.encoders.resnet import ResNet

ENCODERS: dict[str, Callable[..., nn.Module]] = {
    "convnet": ConvNet,
    "mlp": MLP,
    "resnet18": partial(ResNet, 18),
    "resnet34": partial(ResNet, 34),
    "resnet50": partial(ResNet, 50),
}


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
    """

    init: Callable[[jax.Array, jax.Array], tuple[Any, Any]]
    apply: Callable[..., tuple[tuple[jax.Array, jax.Array], Any]]


class _WithHead(nn.Module):
    backbone: nn.Module
    head: nn.Module

    def __call__(self, x: jax.Array, train: bool, axis_name: str | None = None) -> tuple[jax.Array, jax.Array]:
        features = self.backbone(x, train, axis_name)
        return features, self.head(features, train, axis_name)


def build(
    name: str,
    *,
    head_width: int,
    code_dim: int,
    head_layers: int = 2,
    head_batch_norm: bool = False,
    head_activation: str = "relu",
    spread: float = 0.0,
    group: int = 1,
    **options,
) -> Encoder:
    """An encoder of the named family, with a projection head.

    >>> encoder = build("convnet", widths=(8, 8, 8), feature_dim=32, head_width=16, code_dim=4)
    >>> params, stats = encoder.init(jax.random.key(0), jnp.zeros((1, 16, 16, 1)))
    >>> (features, codes), stats = encoder.apply(params, stats, jnp.zeros((5, 16, 16, 1)), False)
    >>> features.shape, codes.shape
    ((5, 32), (5, 4))

    Args:
        name: a key of `ENCODERS`.
        head_width: width of the head's hidden layers.
        code_dim: D, the dimension of a code.
        head_layers: dense layers of the head, 1 to 3; all but the last are hidden.
        head_batch_norm: normalise the hidden layers over the global batch.
        head_activation: behind the hidden layers, a key of `ACTIVATIONS`.
        spread, group: how far codes spread over a batch, see `ProjectionHead`.
        options: arguments of the family, see its class.
    Raises:
        ValueError: for an unknown name, an unknown number of layers, or what the family refuses.
    """
    if name not in ENCODERS:
        raise ValueError(f"encoder {name!r} is unknown; expected one of {', '.join(ENCODERS)}")
    head = ProjectionHead(head_width, code_dim, head_layers, head_batch_norm, head_activation, spread, group)
    module = _WithHead(ENCODERS[name](**options), head)

    def init(key: jax.Array, x: jax.Array) -> tuple[Any, Any]:
        # From the shape alone: a forward pass would compile every layer of a deep network for a result nobody wants.
        variables = dict(module.lazy_init(key, jax.ShapeDtypeStruct(x.shape, x.dtype), False))
        return variables.pop("params"), variables

    def apply(
        params: Any, stats: Any, x: jax.Array, train: bool, axis_name: str | None = None
    ) -> tuple[tuple[jax.Array, jax.Array], Any]:
        if not (train and stats):
            return module.apply({"params": params, **stats}, x, train), stats
        return module.apply({"params": params, **stats}, x, train, axis_name, mutable=list(stats))

    return Encoder(init, apply)
