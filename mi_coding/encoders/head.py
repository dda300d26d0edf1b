"""The projection head: what the critic sees. Probes read the features before it (SimCLR, arXiv:2002.05709, 4.2)."""

from dataclasses import dataclass
from typing import Annotated

import flax.linen as nn
import jax
import jax.numpy as jnp

from mi_coding.encoders.activation import ACTIVATIONS, MEANING, Activation
from mi_coding.encoders.batch_norm import batch_norm
from mi_coding.options import OneOf, PositiveInt, option

MOST_LAYERS = 3
_LAYERS = range(1, MOST_LAYERS + 1)


@dataclass(frozen=True)
class HeadOptions:
    """Options of the projection head; its activation is an option of its own, mostly that of the encoder."""

    layers: Annotated[int, OneOf(_LAYERS)] = option("encoder.head_layers", 2, "dense layers of the head")
    batch_norm: bool = option("encoder.head_batch_norm", False, "batch norm on hidden layers of the head")
    width: PositiveInt = option("encoder.head_width", 256, "width of the hidden layers of the head")
    activation: Activation = option("encoder.activation", "relu", MEANING)

    def build(self, code_dim: int, *, spread: float = 0.0, group: int = 1) -> "ProjectionHead":
        """The head, see `ProjectionHead`."""
        return ProjectionHead(self.width, code_dim, self.layers, self.batch_norm, self.activation, spread, group)


class NoHead(nn.Module):
    """Codes that are the features themselves: float32[b, F] → float32[b, F]."""

    @nn.compact
    def __call__(self, features: jax.Array, train: bool, axis_name: str | None = None) -> jax.Array:
        return features


class ProjectionHead(nn.Module):
    """Dense layers with an activation between them, in float32: float32[b, F] → float32[b, code_dim].

    >>> head = ProjectionHead(width=16, code_dim=4, layers=3)
    >>> variables = head.init(jax.random.key(0), jnp.zeros((2, 8)), False)
    >>> [layer["kernel"].shape for layer in variables["params"].values()]
    [(8, 16), (16, 16), (16, 4)]

    Attributes:
        width: of the hidden layers.
        code_dim: D, the dimension of a code.
        layers: 1 is a linear map, 2 has one hidden layer (SimCLR), 3 has two (SimCLR v2, arXiv:2006.10029).
        batch_norm: normalise every hidden layer over the global batch, before its activation, as in SimCLR.
        activation: after every hidden layer, a key of `ACTIVATIONS`.
        spread: standard deviation that every dimension of a code has over the global batch, with mean zero; 0 fixes
            neither.
        group: with a spread, the mean of each run of this many consecutive dimensions is subtracted first, so that
            logits of the values of one symbol cannot all be the same function.
    Raises:
        ValueError: on construction, unless there are 1 to 3 layers.
    """

    width: int
    code_dim: int
    layers: int = 2
    batch_norm: bool = False
    activation: str = "relu"
    spread: float = 0.0
    group: int = 1

    def __post_init__(self) -> None:
        if self.layers not in _LAYERS:
            raise ValueError(f"a projection head cannot have {self.layers!r} layers; expected 1 to {MOST_LAYERS}")
        super().__post_init__()

    @nn.compact
    def __call__(self, features: jax.Array, train: bool, axis_name: str | None = None) -> jax.Array:
        for _ in range(self.layers - 1):
            features = nn.Dense(self.width, use_bias=not self.batch_norm)(features)
            if self.batch_norm:
                features = batch_norm(train, axis_name)(features)
            features = ACTIVATIONS[self.activation](features)
        code = nn.Dense(self.code_dim)(features)
        if not self.spread:
            return code
        if self.group > 1:
            values = code.reshape(code.shape[0], -1, self.group)
            code = (values - jnp.mean(values, axis=-1, keepdims=True)).reshape(code.shape)
        return self.spread * batch_norm(train, axis_name, use_scale=False, use_bias=False)(code)
