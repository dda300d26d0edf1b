"""An encoder of sequences: a code for each step, and a context that has seen the steps up to it and none later."""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from mi_coding.encoders.base import Backbone


class SequenceEncoder(NamedTuple):
    """An encoder of sequences as two pure functions; it has no statistics.

    Attributes:
        init: (key, x float32[b, T, …]) → params.
        apply: (params, x float32[b, T, …]) → contexts float32[b, T, H], codes float32[b, T, D]. codes[:, t] is of step
            t alone; contexts[:, t] is of steps 0 … t, and no later step changes a bit of it.
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
        # Made of the codes, so that it varies over the devices as they do: a scan wants its carry to stay of one kind.
        nothing_seen = jnp.zeros_like(codes, shape=(x.shape[0], self.context_dim))
        return nn.RNN(nn.GRUCell(self.context_dim))(codes, initial_carry=nothing_seen), codes


def build_sequence(step: Backbone, *, code_dim: int, context_dim: int) -> SequenceEncoder:
    """An encoder of each step, and a gated recurrent unit that reads their codes from the first to the last.

    >>> from mi_coding.encoders import MLP
    >>> encoder = build_sequence(MLP(widths=(8,), feature_dim=8), code_dim=4, context_dim=6)
    >>> params = encoder.init(jax.random.key(0), jnp.zeros((1, 10, 3)))
    >>> contexts, codes = encoder.apply(params, jnp.zeros((5, 10, 3)))
    >>> contexts.shape, codes.shape
    ((5, 10, 6), (5, 10, 4))

    Args:
        step: encodes a step, each alone (`Backbone.encodes_each_alone`).
        code_dim: D, the dimension of the code of a step.
        context_dim: H, the dimension of a context.
    Source: arXiv:1807.03748 section 2.2, z_t = g_enc(x_t) and c_t = g_ar(z_≤t); the unit, arXiv:1406.1078.
    """
    module = _CodesAndContexts(step, code_dim, context_dim)

    def init(key: jax.Array, x: jax.Array) -> Any:
        return module.lazy_init(key, jax.ShapeDtypeStruct(x.shape, x.dtype))["params"]

    return SequenceEncoder(init, lambda params, x: module.apply({"params": params}, x))
