"""Autoregressive models: every symbol depends on all before it, through a masked network.

The logits of a symbol are linear in the one-hot symbols before it, plus the output of one layer of hidden units,
each of which sees only symbols before the ones it feeds (MADE, arXiv:1502.03509). Cross-entropies under an encoder
are estimated: codes are drawn, and then each symbol takes each of its values while the others stay as drawn. That is
unbiased for the gradient, and far less noisy than a likelihood-ratio estimate (local expectation gradients,
arXiv:1503.01494). All K values of all M symbols cost one product with the weights, since a changed symbol changes the
network's input by one row.

A prior is refitted to each batch, as a table is. One that only follows by gradient steps is always a little behind, and
an encoder trained against it turns its codes away from what the prior expects instead of making them more informative:
64 binary symbols stayed noise, or agreed less the longer they were trained.
"""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular

from mi_coding.objectives.codes.encoded import check_size, over_devices, sample_codes
from mi_coding.objectives.codes.markov import AGREEMENT
from mi_coding.objectives.codes.model import CodeModel


class _Hidden(NamedTuple):
    """Weights of hidden units."""

    bias: jax.Array  # [H]
    own: jax.Array  # [M, K, H]
    given: jax.Array | None  # the same from z′
    out: jax.Array  # [H, M, K]


class _Params(NamedTuple):
    """Weights of one-hot symbols, of the code itself and of z′ (None without one), to logits and to hidden units."""

    mean: jax.Array  # [M, K]: how often a symbol has a value; set by `refit` and never by a gradient
    bias: jax.Array  # [M, K]
    own: jax.Array  # [M, K, M, K]: from symbol and value to the logits of symbol and value
    given: jax.Array | None  # the same from z′
    hidden: _Hidden | None  # None without hidden units: checkpoints take no empty array


def autoregressive(
    num_symbols: int, num_values: int, *, hidden: int = 0, conditional: bool = False, samples: int = 1
) -> CodeModel:
    """P(z) = Π P(z_m | z_1 … z_{m−1}), or conditioned on all of z′ as well.

    Without hidden units each symbol is a logistic regression on those before it: the inner minimisation over its
    parameters is convex. It sees every pairwise dependence; hidden units see more.

    >>> prior = autoregressive(3, 2, hidden=8)
    >>> params = prior.init(jax.random.key(0))
    >>> prior.next_log_probs(params, jnp.zeros((5, 3), jnp.int32), None).shape
    (5, 3, 2)

    Args:
        num_symbols: M.
        num_values: K.
        hidden: H ≥ 0, hidden units.
        conditional: whether it is P(z|z′).
        samples: codes drawn for each row of a batch by `cross_entropy`; the noise of its gradient falls with them.
    Raises:
        ValueError: for M < 1, K < 2, a negative number of hidden units or less than one sample.
    """
    check_size(num_symbols, num_values)
    if hidden < 0 or samples < 1:
        raise ValueError(f"hidden={hidden} must be at least 0 and samples={samples} at least 1")
    return CodeModel(
        num_symbols,
        num_values,
        conditional,
        init=partial(_init, num_symbols, num_values, hidden, conditional),
        next_log_probs=_next_log_probs,
        refit=_refit,
        blend=_blend,
        cross_entropy=partial(_cross_entropy, samples),
    )


def _init(num_symbols: int, num_values: int, hidden: int, conditional: bool, key: jax.Array) -> _Params:
    own_key, given_key = jax.random.split(key)
    shape = (num_symbols, num_values)

    def into_hidden(k: jax.Array) -> jax.Array:
        return jax.random.normal(k, (*shape, hidden)) / jnp.sqrt(num_symbols)

    units = _Hidden(
        bias=jnp.zeros(hidden),
        own=into_hidden(own_key),
        given=into_hidden(given_key) if conditional else None,
        out=jnp.zeros((hidden, *shape)),
    )
    agree = jnp.eye(num_symbols)[:, None, :, None] * jnp.eye(num_values)[None, :, None, :]
    return _Params(
        mean=jnp.full(shape, 1 / num_values),
        bias=jnp.zeros(shape),
        own=jnp.zeros((*shape, *shape)),
        given=AGREEMENT * agree if conditional else None,
        hidden=units if hidden else None,
    )


def _earlier(num_symbols: int) -> jax.Array:
    """bool[M, 1, M, 1]: whether the first symbol stands before the second."""
    places = jnp.arange(num_symbols)
    return (places[:, None] < places)[:, None, :, None]


def _masked(params: _Params) -> _Params:
    """Only weights that look back: hidden unit h sees the symbols before symbol h mod M and feeds it and later ones."""
    places, hidden = jnp.arange(params.bias.shape[0]), params.hidden
    if hidden:
        first = jnp.arange(hidden.out.shape[0]) % len(places)
        hidden = hidden._replace(
            own=hidden.own * (places[:, None] < first)[:, None],
            out=hidden.out * (first[:, None] <= places)[:, :, None],
        )
    return params._replace(own=params.own * _earlier(len(places)), hidden=hidden)


def _inputs(params: _Params, z: jax.Array, given: jax.Array | None) -> tuple[jax.Array, jax.Array | None]:
    """The linear part of the logits float[b, M, K] and the input of the hidden units float[b, H], if there are any.

    Both see how a code differs from the mean code, so that the marginals are right while the weights still learn.
    """
    mean, hidden = jax.lax.stop_gradient(params.mean), params.hidden
    seen = jax.nn.one_hot(z, params.bias.shape[1]) - mean
    linear = jnp.log(mean + _UNSEEN) + params.bias + jnp.einsum("bjv,jvmk->bmk", seen, params.own)
    units = hidden and hidden.bias + jnp.einsum("bjv,jvh->bh", seen, hidden.own)
    if given is None:
        return linear, units
    told = jax.nn.one_hot(given, params.bias.shape[1]) - mean
    linear += jnp.einsum("bjv,jvmk->bmk", told, params.given)
    return linear, hidden and units + jnp.einsum("bjv,jvh->bh", told, hidden.given)


def _refit(
    params: _Params,
    code: jax.Array,
    given: jax.Array | None = None,
    axis_name: str | None = None,
    key: jax.Array | None = None,
    rows: jax.Array | None = None,
) -> _Params:
    """Fits the marginals to a batch and, in a prior, the weights from symbol to symbol, too, for codes drawn once.

    The other weights of a P(z|z′) are trained together with the encoder, and hidden units are left alone.
    """
    params = params._replace(mean=jax.lax.stop_gradient(over_devices(jnp.mean(jnp.exp(code), axis=0), axis_name)))
    if given is not None:
        return params
    if key is None:
        raise ValueError("an autoregressive prior draws codes: refit needs a key")
    return jax.lax.stop_gradient(_weights_of(params, sample_codes(key, code, rows), axis_name))


def _weights_of(params: _Params, z: jax.Array, axis_name: str | None) -> _Params:
    """The weights that minimise the cross-entropy of codes, held near their current values.

    `_HELD` / 2 times the squared distance from those is added: a few hundred codes do not determine all weights, and
    many batches in turn do. Every iteration minimises a quadratic that lies above the sum and touches it (Böhning 1992,
    doi:10.1007/BF00048682). Its curvature is the same for every symbol except for how many symbols precede it, and
    the Cholesky factor of a leading block is the leading block of the factor: one factor solves for all symbols.
    """
    over, begun, shape = partial(over_devices, axis_name=axis_name), params, params.bias.shape
    hot, size = jax.nn.one_hot(z, shape[1]), math.prod(shape)
    seen = (hot - params.mean).reshape(len(z), size)
    before = jnp.broadcast_to(_earlier(shape[0]), params.own.shape).reshape(size, size)
    factor = jnp.linalg.cholesky(over(seen.T @ seen / len(z)) / 2 + _HELD * jnp.eye(size))
    for _ in range(_ITERATIONS):
        missed = (jnp.exp(_next_log_probs(params, z, None)) - hot).reshape(len(z), size)
        slope = before * (over(seen.T @ missed / len(z)) + _HELD * (params.own - begun.own).reshape(size, size))
        half = before * solve_triangular(factor, slope, lower=True)
        step = before * solve_triangular(factor, half, trans=1, lower=True)
        bias_slope = over(jnp.mean(missed, axis=0)).reshape(shape) + _HELD * (params.bias - begun.bias)
        params = params._replace(
            own=params.own - step.reshape(params.own.shape), bias=params.bias - bias_slope / (1 / 2 + _HELD)
        )
    return params


_HELD, _ITERATIONS = 0.05, 4
"""Strength of the hold on the weights (the curvature along a fair symbol is 1/16); iterations of `_weights_of`."""


def _blend(old: _Params, new: _Params, kept: jax.Array) -> _Params:
    return jax.tree.map(lambda old, new: kept * old + (1 - kept) * new, old, new)


_UNSEEN = 1e-6  # frequency given to a value that no batch has seen


def _next_log_probs(params: _Params, z: jax.Array, given: jax.Array | None) -> jax.Array:
    params = _masked(params)
    linear, units = _inputs(params, z, given)
    spoken = jnp.einsum("bh,hmk->bmk", jnp.tanh(units), params.hidden.out) if params.hidden else 0.0
    return jax.nn.log_softmax(linear + spoken)


def _cross_entropy(
    samples: int,
    params: _Params,
    code: jax.Array,
    given: jax.Array | None = None,
    key: jax.Array | None = None,
    rows: jax.Array | None = None,
    code_gradient: bool = True,
) -> jax.Array:
    """The mean of −ln P over drawn codes; its gradient is the local expectation gradient."""
    if key is None:
        raise ValueError("an autoregressive model draws codes: cross_entropy needs a key")

    def one_draw(key: jax.Array) -> jax.Array:
        own_key, given_key = jax.random.split(key)
        z = sample_codes(own_key, code, rows)
        told = None if given is None else sample_codes(given_key, given, rows)
        logs = jnp.take_along_axis(_next_log_probs(params, z, told), z[..., None], axis=-1)
        value = -jnp.mean(jnp.sum(logs, axis=(1, 2)))
        if not code_gradient:
            return value
        frozen = jax.lax.stop_gradient(_masked(params))
        value += _pull(code, -_if_changed(frozen, z, told, changed_given=False))
        return value if given is None else value + _pull(given, -_if_changed(frozen, z, told, changed_given=True))

    return jnp.mean(jax.vmap(one_draw)(jax.random.split(key, samples)))


def _pull(log_q: jax.Array, costs: jax.Array) -> jax.Array:
    """Zero, whose gradient is that of Σ q(m, k) costs(m, k), the mean over rows.

    A cost common to all values of a symbol adds no gradient, so the drawn one's is subtracted: float32 keeps the rest.
    """
    pulls = jnp.sum(jnp.exp(log_q) * jax.lax.stop_gradient(costs), axis=(1, 2))
    return jnp.mean(pulls - jax.lax.stop_gradient(pulls))


def _if_changed(params: _Params, z: jax.Array, given: jax.Array | None, *, changed_given: bool) -> jax.Array:
    """float[b, M, K]: ln P with one symbol, of z or of z′, set to each of its values, minus ln P as drawn.

    Logits are taken relative to those of the first value, and the axis of values comes first: with two values, half the
    work is left, and arrays end with a long axis. That took a sixth of the time on a CPU.
    """
    linear, units = _inputs(params, z, given)
    changed, source = (given, "given") if changed_given else (z, "own")
    places, num_values, hidden = jnp.arange(z.shape[1]), params.bias.shape[1], params.hidden
    to_linear, to_units = _to_first(getattr(params, source)), hidden and getattr(hidden, source)
    to_spoken = hidden and _to_first(hidden.out)

    def logits(linear: jax.Array, units: jax.Array | None) -> jax.Array:
        return linear + jnp.einsum("...h,khm->k...m", jnp.tanh(units), to_spoken) if hidden else linear

    def is_value(z: jax.Array) -> jax.Array:
        return jnp.moveaxis(jax.nn.one_hot(z, num_values), -1, 0)[1:]

    def log_prob(logits: jax.Array, has: jax.Array) -> jax.Array:
        return jnp.sum(jnp.sum(has * logits, axis=0) - _log_of_one_and(logits), axis=-1)

    linear, has = _to_first(linear), is_value(z)
    drawn = logits(linear, units)
    as_drawn = log_prob(drawn, has)[:, None]
    differences = []
    for turn in range(1, num_values):  # the value that was drawn is known already
        value = (changed + turn) % num_values
        moved = logits(
            linear[:, :, None] + to_linear[:, places, value] - to_linear[:, places, changed],
            hidden and units[:, None] + to_units[places, value] - to_units[places, changed],
        )
        difference = log_prob(moved, has[:, :, None]) - as_drawn
        if not changed_given:  # the symbol itself is another; its own logits see only those before it
            difference += jnp.sum((is_value(value) - has) * drawn, axis=0)
        differences.append(difference)
    turns = jnp.stack([jnp.zeros_like(differences[0]), *differences], axis=-1)
    return jnp.take_along_axis(turns, (jnp.arange(num_values) - changed[..., None]) % num_values, axis=-1)


def _to_first(logits: jax.Array) -> jax.Array:
    """float[K − 1, …] of float[…, K]: the logit of each other value minus that of the first."""
    return jnp.moveaxis(logits[..., 1:] - logits[..., :1], -1, 0)


def _log_of_one_and(logits: jax.Array) -> jax.Array:
    """ln (1 + Σ exp logits), over the first axis; the one stands for the first value."""
    top = jnp.maximum(jnp.max(logits, axis=0), 0)
    return top + jnp.log(jnp.exp(-top) + jnp.sum(jnp.exp(logits - top), axis=0))
