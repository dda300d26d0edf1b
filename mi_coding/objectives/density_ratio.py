"""Losses that learn ln p(y|x)/p(y) from true pairs and independent ones, by every contrast method that CPC has.

Their scores are ⟨z_x, z_y⟩ over a temperature plus a bias, which stands for the constant that the bounds ask for. The
read-outs are those of `objectives.bounds`, for batches whose matrix of scores is never held.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from mi_coding.contrast import Contrast, ContrastSpec, contrast
from mi_coding.objectives.cpc import CPC_RULES, inverse_temperature, unit_length
from mi_coding.objectives.moments import check_codes, global_mean


class RatioOutput(NamedTuple):
    """Loss and read-out of one batch; under a mapped axis those of the global batch.

    Attributes:
        loss: float32[], what is minimised.
        information: float32[], in nats, what the codes share according to the scores; the loss function documents
            whether it is a bound.
        accuracy: float32[], fraction of x whose true y scores above every distractor.
    """

    loss: jax.Array
    information: jax.Array
    accuracy: jax.Array


def nwj_loss(z_x: jax.Array, z_y: jax.Array, **scoring) -> RatioOutput:
    """Minus the bound of Nguyen, Wainwright and Jordan: E[true score] − E[exp(score of independent pairs)]/e.

    The read-out is the bound: E[result] ≤ I for any batch and any critic, without a ceiling; its variance grows like
    exp(I). `objectives.bounds.nwj` of the matrix of scores is the same number.

    >>> z = jnp.zeros((4, 2))
    >>> print(f"{nwj_loss(z, z, bias=1.0).information:.2f}")  # the best constant, 1: no information
    0.00

    Args:
        z_x, z_y: float[b, D], one device's shard.
        scoring: temperature (1), bias (0), normalize (False: inner products; True: cosines), distractors ("all"),
            method ("auto"), block_size, precision ("highest"), axis_name, as in `cpc`.
    Raises:
        ValueError: as `cpc`.
    Source: arXiv:0809.0853; arXiv:1905.06922 equation 9.
    """
    batch = _score(z_x, z_y, "distractors", **scoring)
    information = batch.mean(batch.true - jnp.exp(batch.log_means - 1))
    return RatioOutput(-information, information, batch.accuracy)


def jensen_shannon_loss(z_x: jax.Array, z_y: jax.Array, **scoring) -> RatioOutput:
    """Logistic regression of true pairs against independent ones, both with equal weight (Deep InfoMax).

    The best scores are ln p(y|x)/p(y). The read-out is `objectives.bounds.density_ratio`: a bound, E[result] ≤ I.

    Args, Raises: see `nwj_loss`.
    Source: arXiv:1606.00709; arXiv:1808.06670.
    """
    batch = _score(z_x, z_y, "softplus", **scoring)
    information = 1 + batch.mean(lax.stop_gradient(batch.true) - jnp.exp(batch.log_means))
    return RatioOutput(batch.logistic_loss, information, batch.accuracy)


def smile_loss(z_x: jax.Array, z_y: jax.Array, *, clip: float = 5.0, **scoring) -> RatioOutput:
    """`jensen_shannon_loss`, read with the Donsker–Varadhan formula whose normaliser has scores clipped to ± clip.

    The read-out is an estimate and no bound: its variance does not grow with the information, its bias does. It trains
    as the code of its authors does. `objectives.bounds.smile` of the matrix of scores is the same number.

    Args, Raises: see `nwj_loss`; and
        clip: in nats; ValueError unless > 0.
    Source: arXiv:1910.06222 section 5.
    """
    if not clip > 0:
        raise ValueError(f"clip={clip}: expected a number > 0, in nats")
    batch = _score(z_x, z_y, "softplus", clip=float(clip), **scoring)
    information = batch.mean(lax.stop_gradient(batch.true)) - batch.log_mean_exp(batch.log_means)
    return RatioOutput(batch.logistic_loss, information, batch.accuracy)


def sigmoid_loss(z_x: jax.Array, z_y: jax.Array, **scoring) -> RatioOutput:
    """Each of the N candidates of an x is judged alone, true or not: the sigmoid loss of SigLIP.

    True pairs are one in N, so the best scores are ln p(y|x)/p(y) − ln(N − 1). The read-out adds that constant back
    and is then `objectives.bounds.density_ratio`: a bound, E[result] ≤ I.

    >>> z = jnp.zeros((4, 2))
    >>> print(f"{sigmoid_loss(z, z, bias=-math.log(3)).loss:.3f}")  # ln(4) + 3 ln(4/3)
    2.249

    Args, Raises: see `nwj_loss`.
    Source: arXiv:2303.15343.
    """
    batch = _score(z_x, z_y, "softplus", **scoring)
    loss = batch.mean(jax.nn.softplus(-batch.true) + batch.found.row_softplus)
    prior = math.log(batch.found.num_candidates - 1)
    information = 1 + prior + batch.mean(lax.stop_gradient(batch.true) - jnp.exp(batch.log_means + prior))
    return RatioOutput(loss, information, batch.accuracy)


class _Scored(NamedTuple):
    """Scores reduced to a `Contrast`, and means over the global batch."""

    found: Contrast
    axis_name: str | None

    def mean(self, values: jax.Array) -> jax.Array:
        return global_mean(values, self.axis_name)

    def log_mean_exp(self, values: jax.Array) -> jax.Array:
        peak = lax.stop_gradient(jnp.max(values))
        peak = peak if self.axis_name is None else lax.pmax(peak, self.axis_name)
        return peak + jnp.log(self.mean(jnp.exp(values - peak)))

    @property
    def true(self) -> jax.Array:
        return self.found.true_score

    @property
    def log_means(self) -> jax.Array:
        """float32[b]: ln of the mean of exp(score) over the distractors of each x."""
        return self.found.row_lse - math.log(self.found.num_candidates - 1)

    @property
    def logistic_loss(self) -> jax.Array:
        """The loss of true pairs against independent ones, both with a weight of one."""
        independent = self.found.row_softplus / (self.found.num_candidates - 1)
        return self.mean(jax.nn.softplus(-self.true) + independent)

    @property
    def accuracy(self) -> jax.Array:
        return self.mean((self.found.rank == 0).astype(self.true.dtype))


def _score(
    z_x: jax.Array,
    z_y: jax.Array,
    reduction: str,
    *,
    clip: float | None = None,
    temperature: float | jax.Array = 1.0,
    bias: float | jax.Array = 0.0,
    normalize: bool = False,
    distractors: str = "all",
    method: str = "auto",
    block_size: int | None = None,
    precision: str = "highest",
    axis_name: str | None = None,
) -> _Scored:
    """Scores ⟨z_x, z_y⟩ / temperature + bias, reduced."""
    check_codes(z_x, z_y)
    scale = inverse_temperature(temperature, z_x)
    if distractors not in CPC_RULES:
        raise ValueError(f"distractors={distractors!r} is unknown; choose 'all' or 'other_devices'")
    z_x, z_y = (z.astype(scale.dtype) for z in (z_x, z_y))
    if normalize:
        z_x, z_y = unit_length(z_x), unit_length(z_y)
    # The bias is two more dimensions of the codes, so that every contrast method includes it: in two parts, the second
    # being what rounding the first to bfloat16 leaves over.
    one, bias = jnp.ones_like(z_x[:, :1]), jnp.asarray(bias, scale.dtype) / scale
    first = lax.stop_gradient(bias.astype(jnp.bfloat16).astype(scale.dtype))
    queries = jnp.concatenate([z_x, one, one], axis=1)
    keys = jnp.concatenate([z_y, one * first, one * (bias - first)], axis=1)
    spec = ContrastSpec(CPC_RULES[distractors], False, block_size, axis_name, reduction, clip, precision)
    return _Scored(contrast(queries, keys, scale, spec, method=method), axis_name)
