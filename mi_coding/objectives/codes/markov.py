"""Markov models: a symbol depends on the few before it, and, in a conditional model, on its own place in z′.

Cross-entropies and their gradients are exact: a symbol with those it depends on is a window of o + 1 symbols (and one
of z′), whose law over a batch is enumerated, K^(o+1) windows per place, however many codes there are.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from mi_coding.objectives.codes.encoded import check_listable, check_size, over_devices
from mi_coding.objectives.codes.model import CodeModel

AGREEMENT = 1.0
"""Log-odds with which a conditional model begins: a symbol is expected to equal that of the other half.

It breaks the symmetry: if all values were equally likely, an encoder that knows nothing would have no gradient."""

MOST_WINDOWS = 4096
"""The most windows per place that are enumerated."""


def independent(num_symbols: int, num_values: int, *, conditional: bool = False) -> CodeModel:
    """Each symbol for itself: P(z) = Π P_m(z_m), or Π P_m(z_m | z′_m).

    >>> prior = independent(3, 2)
    >>> print(f"{prior.cross_entropy(prior.init(jax.random.key(0)), jnp.log(jnp.full((5, 3, 2), 0.5))):.4f}")  # 3 ln 2
    2.0794

    Raises:
        ValueError: for M < 1 or K < 2.
    """
    return markov(num_symbols, num_values, order=0, conditional=conditional)


def markov(num_symbols: int, num_values: int, *, order: int, conditional: bool = False) -> CodeModel:
    """P(z) = Π P_m(z_m | z_{m−o} … z_{m−1}), or conditioned on z′_m as well; a table for every place.

    >>> chain = markov(4, 3, order=1)
    >>> chain.init(jax.random.key(0)).shape  # a place, the symbol before, the symbol itself
    (4, 3, 3)

    Args:
        num_symbols: M.
        num_values: K.
        order: o ≥ 0, preceding symbols that a symbol depends on. Before the first, these are zeros.
        conditional: whether it is P(z|z′).
    Raises:
        ValueError: for M < 1, K < 2, o < 0, or more than `MOST_WINDOWS` windows.
    """
    check_size(num_symbols, num_values)
    if order < 0:
        raise ValueError(f"order={order}: a symbol depends on at least 0 symbols before it")
    width = order + 1 + conditional
    check_listable(num_values**width, f"windows of {width} symbols with {num_values} values", MOST_WINDOWS)
    return CodeModel(
        num_symbols,
        num_values,
        conditional,
        init=partial(_init, num_symbols, num_values, order, conditional),
        next_log_probs=partial(_next_log_probs, order, num_values),
        refit=partial(_refit, order),
        blend=_blend,
        cross_entropy=partial(_cross_entropy, order),
    )


def _init(num_symbols: int, num_values: int, order: int, conditional: bool, key: jax.Array) -> jax.Array:
    del key  # a uniform prior, and agreement
    own = AGREEMENT * jnp.eye(num_values) if conditional else jnp.zeros((1, num_values))
    logits = jnp.broadcast_to(own[:, None], (len(own), num_values**order, num_values))
    logits -= jax.nn.logsumexp(logits)  # of windows, as `_refit` leaves them
    return jnp.tile(logits.reshape(-1, num_values), (num_symbols, 1, 1))


def _next_log_probs(order: int, num_values: int, params: jax.Array, z: jax.Array, given: jax.Array | None) -> jax.Array:
    past = jnp.zeros_like(z) if given is None else given
    padded = jnp.pad(z, ((0, 0), (order, 0)))
    for back in range(order):
        past = past * num_values + padded[:, back : back + z.shape[1]]
    return jax.nn.log_softmax(params)[jnp.arange(z.shape[1]), past]


def _refit(
    order: int,
    params: jax.Array,
    code: jax.Array,
    given: jax.Array | None = None,
    axis_name: str | None = None,
    key: Any = None,
    rows: Any = None,
) -> jax.Array:
    """The logarithms of the frequencies of windows in a batch: no table codes it in fewer nats. Nothing is drawn."""
    del params, key, rows
    windows = over_devices(_windows(order, code, given), axis_name)
    return jax.lax.stop_gradient(jnp.log(windows + _UNSEEN))


def _blend(old: jax.Array, new: jax.Array, kept: jax.Array) -> jax.Array:
    """Frequencies between the two: from those in several batches, the frequencies in all of them together."""
    return jnp.logaddexp(old + jnp.log(kept), new + jnp.log1p(-kept))


def _cross_entropy(
    order: int,
    params: jax.Array,
    code: jax.Array,
    given: jax.Array | None = None,
    key: Any = None,
    rows: Any = None,
    code_gradient: bool = True,
) -> jax.Array:
    """Exact, gradients too; nothing is drawn."""
    del key, rows, code_gradient
    return -jnp.sum(_windows(order, code, given) * jax.nn.log_softmax(params))


def _windows(order: int, code: jax.Array, given: jax.Array | None) -> jax.Array:
    """float[M, past, K]: how often a symbol follows a past, on average over a batch."""
    q, size = jnp.exp(code), code.shape[1]
    nothing = jnp.zeros_like(q[:, :order]).at[..., 0].set(1)
    padded = jnp.concatenate([nothing, q], axis=1)
    past = jnp.ones_like(q[..., :1]) if given is None else jnp.exp(given)
    for back in range(order):
        past = (past[..., None] * padded[:, back : back + size, None]).reshape(*past.shape[:2], -1)
    return jnp.einsum("bma,bmk->mak", past, q, precision="highest") / len(q)


_UNSEEN = 1e-6  # frequency given to a window that no batch has seen
