"""Bounds on mutual information, as pure functions of a matrix of scores.

Everywhere `scores[i, j]` rates context i with candidate j, true pairs on the diagonal, and rows are independent draws
from the population: entries off the diagonal then come from the product of the marginals. Every result is in nats
and float32 (float64 for float64 scores). A *bound* holds in expectation over batches, for any critic that did not see
them; a single batch may land on the other side.

Under a mapped axis (`axis_name`) `scores` are the rows of one device against the candidates of all, float[b, B], the
devices in the order of the axis; the result is that of the global batch, as if one device had held it.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.special import logsumexp

from mi_coding.objectives.moments import global_mean


def infonce(scores: jax.Array, *, axis_name: str | None = None) -> jax.Array:
    """The lower bound of CPC: ln N minus the cross-entropy of picking the true candidate; never above ln N.

    Guaranteed: E[result] ≤ min(I, ln N). Low variance, and a bias that grows as I nears ln N. The best critic is
    ln p(y|x) + any function of x.

    >>> print(f"{infonce(20 * jnp.eye(8)):.4f} of ln 8 = {math.log(8):.4f}")
    2.0794 of ln 8 = 2.0794

    Args:
        scores: float[N, N], or float[b, N] under `axis_name`.
        axis_name: the mapped axis over devices, or None for one.
    Returns:
        float32[].
    Raises:
        ValueError: for scores that are no such matrix, or N < 2.
    Source: arXiv:1807.03748; arXiv:1905.06922 equation 10.
    """
    scores, true, _ = _parts(scores, axis_name)
    return math.log(scores.shape[1]) + global_mean(true - logsumexp(scores, axis=1), axis_name)


def donsker_varadhan(scores: jax.Array, *, axis_name: str | None = None) -> jax.Array:
    """E[true score] − ln E[exp(score of independent pairs)]: tight for the best critic, ln p(y|x)/p(y) + a constant.

    Guaranteed: with the expectation inside the logarithm a lower bound; its mean over a finite batch makes the result
    too large by about Var(mean)/2, so E[result] may pass I. The variance grows like exp(I).

    Args, Returns, Raises: see `infonce`.
    Source: arXiv:1801.04062 (MINE); variance arXiv:1910.06222 theorem 2.
    """
    scores, true, off = _parts(scores, axis_name)
    return global_mean(true, axis_name) - _log_mean_exp(scores, off, axis_name)


def nwj(scores: jax.Array, *, axis_name: str | None = None) -> jax.Array:
    """E[true score] − E[exp(score of independent pairs)] / e: the bound of Nguyen, Wainwright and Jordan.

    Guaranteed: E[result] ≤ I, for any batch size; there is no ceiling. The best critic is 1 + ln p(y|x)/p(y), with that
    constant. The variance grows like exp(I), and scores beyond 88 overflow to a bound of −inf.

    Args, Returns, Raises: see `infonce`.
    Source: arXiv:0809.0853; arXiv:1905.06922 equation 9 ("f-GAN KL", "MINE-f").
    """
    scores, true, off = _parts(scores, axis_name)
    return global_mean(true, axis_name) - jnp.exp(_log_mean_exp(scores, off, axis_name) - 1)


def tuba(scores: jax.Array, log_baseline: jax.Array, *, axis_name: str | None = None) -> jax.Array:
    """NWJ with a baseline a(x) for each context: the nearer a(x) is to E_y exp(score), the tighter.

    Guaranteed: E[result] ≤ I, for any baseline that does not depend on the batch. `log_baseline = 1` is `nwj`.

    Args, Returns, Raises: see `infonce`; and
        log_baseline: float[b], ln a(x_i); ValueError for another length.
    Source: arXiv:1905.06922 equation 8.
    """
    scores, true, off = _parts(scores, axis_name)
    log_baseline = _baseline(log_baseline, scores)
    scale = _log_mean_exp(scores - log_baseline[:, None], off, axis_name)
    return global_mean(true - log_baseline, axis_name) + 1 - jnp.exp(scale)


def interpolated(
    scores: jax.Array, log_baseline: jax.Array, *, alpha: float | jax.Array, axis_name: str | None = None
) -> jax.Array:
    """Between `tuba` (alpha 0: no ceiling, high variance) and InfoNCE with N − 1 candidates (alpha 1).

    The baseline of a context is α times the mean of exp(score) over candidates, plus (1 − α) a(x).
    Guaranteed: E[result] ≤ min(I, ln((N−1)/α)), for any α in [0, 1] and any baseline that does not depend on the batch.

    Args, Returns, Raises: see `tuba`, but N ≥ 3; and
        alpha: in [0, 1]; ValueError for a number outside. May be a traced scalar.
    Source: arXiv:1905.06922 equation 11, averaged over which of the N candidates is left out, so that both of its
        expectations see N − 1 of them.
    """
    scores, true, off = _parts(scores, axis_name, least=3)
    log_baseline = _baseline(log_baseline, scores)
    if not isinstance(alpha, jax.core.Tracer) and not 0 <= alpha <= 1:
        raise ValueError(f"alpha={alpha}: expected a number from 0 (TUBA) to 1 (InfoNCE)")
    own, left_out = jnp.log(jnp.asarray(alpha, scores.dtype)), jnp.log1p(-jnp.asarray(alpha, scores.dtype))
    mix = lambda log_mean: jnp.logaddexp(own + log_mean, left_out + log_baseline[:, None])  # noqa: E731
    without = mix(_log_mean_without_each(scores))
    joint = jnp.sum(jnp.where(off, true[:, None] - without, 0), axis=1) / (scores.shape[1] - 1)
    independent = mix(_row_log_mean_exp(scores, off)[:, None])
    return 1 + global_mean(joint, axis_name) - jnp.exp(_log_mean_exp(scores - independent, off, axis_name))


def jensen_shannon(scores: jax.Array, *, axis_name: str | None = None) -> jax.Array:
    """How well logistic regression separates true pairs from independent ones: a stable *training objective*.

    Guaranteed: E[result] ≤ 2 JSD ≤ 2 ln 2, twice the Jensen–Shannon divergence of the joint from the product law,
    which is not mutual information. The best critic is ln p(y|x)/p(y), so read information with `density_ratio`.

    Args, Returns, Raises: see `infonce`.
    Source: arXiv:1606.00709 (f-GAN); arXiv:1808.06670 (Deep InfoMax).
    """
    scores, true, off = _parts(scores, axis_name)
    independent = jnp.sum(jnp.where(off, jax.nn.softplus(scores), 0), axis=1) / (scores.shape[1] - 1)
    return 2 * math.log(2) - global_mean(jax.nn.softplus(-true) + independent, axis_name)


def density_ratio(scores: jax.Array, *, axis_name: str | None = None) -> jax.Array:
    """The information that scores imply when they are taken as ln p(y|x)/p(y), as `jensen_shannon` trains them.

    It is `nwj` of scores + 1. Guaranteed: E[result] ≤ I.

    Args, Returns, Raises: see `infonce`.
    Source: arXiv:1905.06922 section 2.4 ("JS" bound).
    """
    return nwj(jnp.asarray(scores) + 1, axis_name=axis_name)


def smile(scores: jax.Array, *, clip: float = 5.0, axis_name: str | None = None) -> jax.Array:
    """Donsker–Varadhan with exp(score) clipped to [exp(−clip), exp(clip)] in its normaliser: far less variance.

    Guaranteed: nothing. It is an *estimate*, not a bound: above I where the clipped part mattered. clip → ∞ is
    `donsker_varadhan`.

    Args, Returns, Raises: see `infonce`; and
        clip: in nats; ValueError unless > 0.
    Source: arXiv:1910.06222 section 5.
    """
    if not clip > 0:
        raise ValueError(f"clip={clip}: expected a number > 0, in nats")
    scores, true, off = _parts(scores, axis_name)
    return global_mean(true, axis_name) - _log_mean_exp(jnp.clip(scores, -clip, clip), off, axis_name)


def club(log_conditional: jax.Array, *, axis_name: str | None = None) -> jax.Array:
    """E[ln p(y|x) of true pairs] − E[ln p(y|x) of independent pairs]: an upper bound with useful gradients.

    Guaranteed: E[result] ≥ I when the conditional is the true one. With a fitted one, as when it is unknown, only
    to the extent that it is nearer to the joint law than to the product (theorem 3.2).

    Args:
        log_conditional: float[N, N], entry [i, j] = ln p(y_j | x_i); float[b, N] under `axis_name`.
    `axis_name`, Returns, Raises: see `infonce`.
    Source: arXiv:2006.12013 equation 7, its second mean over independent pairs only.
    """
    scores, true, off = _parts(log_conditional, axis_name)
    return global_mean(true - jnp.sum(jnp.where(off, scores, 0), axis=1) / (scores.shape[1] - 1), axis_name)


def leave_one_out(log_conditional: jax.Array, *, axis_name: str | None = None) -> jax.Array:
    """E[ln p(y_i|x_i) − ln mean over j ≠ i of p(y_i|x_j)]: the marginal of y made of the other contexts.

    Guaranteed: E[result] ≥ I when the conditional is the true one; tightens as N grows.

    Args, Returns, Raises: see `club`.
    Source: arXiv:1905.06922 equation 12 ("L1Out").
    """
    scores, true, off = _parts(log_conditional, axis_name)
    others = jnp.where(off, scores, -jnp.inf)  # masked first: an exponential that overflows has NaN in its gradient
    peak = lax.stop_gradient(jnp.max(others, axis=0))
    peak = peak if axis_name is None else lax.pmax(peak, axis_name)
    column = jnp.sum(jnp.exp(others - peak), axis=0)
    column = column if axis_name is None else lax.psum(column, axis_name)
    marginal = peak + jnp.log(column) - math.log(scores.shape[1] - 1)
    rows = jnp.arange(len(true)) + (0 if axis_name is None else lax.axis_index(axis_name) * len(true))
    return global_mean(true - marginal[rows], axis_name)


def _parts(scores: jax.Array, axis_name: str | None, least: int = 2) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Scores in at least float32, those of the true pairs float[b], and a mask of the independent ones bool[b, N]."""
    scores = jnp.asarray(scores)
    devices = 1 if axis_name is None else lax.axis_size(axis_name)
    if scores.ndim != 2 or scores.shape[0] * devices != scores.shape[1] or scores.shape[1] < least:
        expected = f"[N, N] with N ≥ {least}" if devices == 1 else f"[b, {devices} · b], the rows of one of {devices}"
        raise ValueError(f"scores of shape {scores.shape}: expected {expected}")
    scores = scores.astype(jnp.promote_types(scores.dtype, jnp.float32))
    rows = jnp.arange(len(scores)) + (0 if axis_name is None else lax.axis_index(axis_name) * len(scores))
    is_true = rows[:, None] == jnp.arange(scores.shape[1])
    return scores, jnp.take_along_axis(scores, rows[:, None], axis=1)[:, 0], ~is_true


def _baseline(log_baseline: jax.Array, scores: jax.Array) -> jax.Array:
    log_baseline = jnp.asarray(log_baseline, scores.dtype)
    if log_baseline.shape != scores.shape[:1]:
        raise ValueError(f"log_baseline of shape {log_baseline.shape}: expected one number for each of {len(scores)}")
    return log_baseline


def _row_log_mean_exp(scores: jax.Array, off: jax.Array) -> jax.Array:
    """float[b]: ln of the mean of exp(score) over the distractors of each row."""
    return logsumexp(scores, axis=1, where=off) - math.log(scores.shape[1] - 1)


def _log_mean_exp(scores: jax.Array, off: jax.Array, axis_name: str | None) -> jax.Array:
    """ln of the mean of exp(score) over all independent pairs of the global batch."""
    rows = _row_log_mean_exp(scores, off)
    if axis_name is None:
        return logsumexp(rows) - math.log(len(rows))
    peak = lax.pmax(lax.stop_gradient(jnp.max(rows)), axis_name)
    return peak + jnp.log(global_mean(jnp.exp(rows - peak), axis_name))


def _log_mean_without_each(scores: jax.Array) -> jax.Array:
    """float[b, N]: ln of the mean of exp(score) over each row except entry j.

    Subtraction would cancel where one score is far above the others; there the largest of the others leads.
    """
    size = scores.shape[1]
    top = lax.stop_gradient(lax.top_k(scores, 2)[0])
    is_top = scores >= top[:, :1]
    weights = jnp.exp(scores - top[:, :1])
    others = jnp.log(jnp.maximum(weights.sum(1, keepdims=True) - weights, jnp.finfo(scores.dtype).tiny)) + top[:, :1]
    without_top = logsumexp(scores, axis=1, where=~is_top, keepdims=True)
    tied = jnp.sum(is_top, axis=1, keepdims=True) > 1
    return jnp.where(is_top & ~tied, without_top, others) - math.log(size - 1)
