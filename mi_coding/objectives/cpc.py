"""Contrastive predictive coding: pick the true y among N candidates by the code alone."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from mi_coding.contrast import ALL, OTHER_DEVICES, POOL, Contrast, ContrastSpec, contrast, contrast_sampled
from mi_coding.objectives.moments import check_codes

CPC_RULES = {rule.name: rule for rule in (ALL, OTHER_DEVICES)}
"""What `distractors` of `cpc` may be."""


class CPCOutput(NamedTuple):
    """Loss and bound of one batch; under a mapped axis every field is the value of the global batch.

    Attributes:
        loss: float32[], L_CPC in nats, the mean of −ln softmax(scores) at the true candidate.
        mi_lower_bound: float32[], ln N − loss in nats: in expectation over independent pairs a lower bound on
            I(z_x; z_y), never above its ceiling ln N.
        num_candidates: N, the true candidate included.
        accuracy: float32[], fraction of rows whose true candidate scores above every distractor; a tie is an error.
    """

    loss: jax.Array
    mi_lower_bound: jax.Array
    num_candidates: int
    accuracy: jax.Array


def cpc(
    z_x: jax.Array,
    z_y: jax.Array,
    *,
    temperature: float | jax.Array = 1.0,
    normalize: bool = False,
    symmetric: bool = False,
    distractors: str = "all",
    method: str = "auto",
    block_size: int | None = None,
    precision: str = "highest",
    axis_name: str | None = None,
    num_distractors: int | None = None,
    key: jax.Array | None = None,
) -> CPCOutput:
    """The CPC loss (InfoNCE) of a batch of pairs of codes, and the lower bound on mutual information it gives, in nats.

    The critic is the inner product ⟨z_x, z_y⟩ over the temperature, or the cosine with `normalize`; a bilinear critic
    z_xᵀ W z_y is `cpc(z_x @ W, z_y)`. Row i of `z_y` is the true y of row i of `z_x`; all others are its distractors.

    >>> codes = 10 * jnp.eye(4)
    >>> out = cpc(codes, codes)  # a perfect code of four examples: the bound reaches its ceiling ln 4
    >>> print(f"loss {out.loss:.2f}, bound {out.mi_lower_bound:.4f}, N {out.num_candidates}, right {out.accuracy}")
    loss 0.00, bound 1.3863, N 4, right 1.0

    Under `jax.pmap`, `jax.shard_map` or `vmap(axis_name=…)` the arguments are one device's shard, the distractors come
    from every device, and every field is the value of the global batch. For replicated parameters the gradient is
    `lax.pmean(jax.grad(loss), axis_name)`, in all three.

    Args:
        z_x: float[b, D], codes of the contexts. Any float dtype; scores, sums and results are float32 (float64 for
            float64 codes).
        z_y: float[b, D], codes of the targets.
        temperature: > 0, divides the scores; may be a traced scalar, and has a gradient.
        normalize: scale every code to length one first, so that the score is the cosine. A code of zeros stays zeros.
        symmetric: average with the loss of picking the true x for each y.
        distractors: "all" other pairs (N = B), or those on "other_devices" (N = B − b + 1).
        method: how the scores are computed, see `mi_coding.contrast`; it changes memory and speed, not the value.
        block_size: side of a tile, for the methods that compute in tiles.
        precision: of the products of float32 codes: "highest", "high" (three passes of bfloat16) or "bfloat16", see
            `mi_coding.contrast.PRECISIONS`. Sums stay float32.
        axis_name: the mapped axis over devices, or None for one device.
        num_distractors: K; instead of all pairs that `distractors` names, K of them drawn at random for each x (and,
            with `symmetric`, for each y): N = K + 1. The draws do not depend on the number of devices. They are
            gathered, whatever the size, so `method` must be "auto".
        key: the random key of the draws, the same on all devices; only with `num_distractors`.
    Returns:
        A `CPCOutput`.
    Raises:
        ValueError: for codes that are not two float matrices of the same shape, a temperature ≤ 0, an unknown rule,
            method or precision, fewer than two candidates, or `num_distractors` without `key` or the other way round.
    Source: loss arXiv:1807.03748 (CPC), bound arXiv:1905.06922 section 2.
    """
    check_codes(z_x, z_y)
    scale = inverse_temperature(temperature, z_x)
    if distractors not in CPC_RULES:
        raise ValueError(f"distractors={distractors!r} is unknown; choose 'all' or 'other_devices'")
    if (num_distractors is None) != (key is None):
        raise ValueError("num_distractors and key go together: the draws need a random key, and only they need it")
    if num_distractors is not None and method != "auto":
        raise ValueError(f"method={method!r} with num_distractors: drawn candidates are always gathered; leave it out")
    queries, keys = (unit_length(z_x), unit_length(z_y)) if normalize else (z_x, z_y)
    spec = ContrastSpec(CPC_RULES[distractors], symmetric, block_size, axis_name, precision=precision)
    if num_distractors is None:
        found = contrast(queries, keys, scale, spec, method=method)
    else:
        found = contrast_sampled(queries, keys, scale, spec, num_distractors=num_distractors, key=key)
    losses = found.row_lse - found.true_score
    if symmetric:
        losses = 0.5 * losses + 0.5 * (found.column_lse - found.true_score)
    return _summarize(losses, found, spec)


def nt_xent(
    z_x: jax.Array,
    z_y: jax.Array,
    *,
    temperature: float | jax.Array = 0.5,
    method: str = "auto",
    block_size: int | None = None,
    precision: str = "highest",
    axis_name: str | None = None,
) -> CPCOutput:
    """SimCLR's NT-Xent: CPC with both views of every image in one pool of 2B codes, cosine scores, self excluded.

    It is the same loss as `cpc` with another set of candidates, and ln N − loss is a bound in the same way, N = 2B − 1,
    up to some thousandths of a nat: distractors come in dependent pairs, which the proof does not allow. The largest
    known excess is 0.004 nats, of two equally likely images with perfect codes at B = 6.

    >>> out = nt_xent(jnp.ones((3, 2)), jnp.ones((3, 2)))  # codes that tell nothing: the loss is ln 5
    >>> print(f"loss {out.loss:.4f}, bound {abs(out.mi_lower_bound):.4f}, N {out.num_candidates}")
    loss 1.6094, bound 0.0000, N 5

    Args:
        z_x: float[b, D], codes of the first views. The code of a zero vector is taken as zero.
        z_y: float[b, D], codes of the second views.
        temperature: > 0, divides the cosines.
        method, block_size, precision, axis_name: see `cpc`.
    Returns:
        A `CPCOutput`; accuracy counts both views.
    Raises:
        ValueError: as `cpc`.
    Source: arXiv:2002.05709, section 2.1 and algorithm 1.
    """
    check_codes(z_x, z_y)
    pool = jnp.concatenate([unit_length(z_x), unit_length(z_y)])
    spec = ContrastSpec(POOL, columns=False, block_size=block_size, axis_name=axis_name, precision=precision)
    found = contrast(pool, pool, inverse_temperature(temperature, pool), spec, method=method)
    return _summarize(found.row_lse - found.true_score, found, spec)


def cpc_loss_floor(num_candidates: int, kl_forward: jax.Array | float, kl_reverse: jax.Array | float) -> jax.Array:
    """How low the expected CPC loss can go with any critic, in nats: ln N − (N−1)/N · (forward + reverse KL).

    With few candidates or dependent pairs the other floors, 0 and ln N − I, may be the higher ones.

    >>> print(f"{cpc_loss_floor(2, 0.05, 0.06):.4f}")
    0.6381

    Args:
        num_candidates: N ≥ 2, the true candidate included.
        kl_forward: E_x KL(p(y|x) ‖ p(y)) in nats, which is I(x; y).
        kl_reverse: E_x KL(p(y) ‖ p(y|x)) in nats.
    Returns:
        float32, of the broadcast shape of the divergences; may be negative, and then says nothing.
    Raises:
        ValueError: unless num_candidates ≥ 2.
    Source: the softmax posterior's mean log-probability, bounded by Jensen's inequality over the N − 1 distractors.
    """
    if num_candidates < 2:
        raise ValueError(f"num_candidates={num_candidates}: the true candidate needs at least one distractor")
    return math.log(num_candidates) - (num_candidates - 1) / num_candidates * (
        jnp.asarray(kl_forward) + jnp.asarray(kl_reverse)
    )


def _summarize(losses: jax.Array, found: Contrast, spec: ContrastSpec) -> CPCOutput:
    """Means over the global batch. Divides before it adds: at extreme temperatures the sum alone would overflow."""
    share = 1 / (losses.size * spec.num_devices)
    loss, accuracy = jnp.sum(losses * share), jnp.mean(found.rank == 0, dtype=losses.dtype)
    if spec.axis_name is not None:
        loss, accuracy = lax.psum(loss, spec.axis_name), lax.pmean(accuracy, spec.axis_name)
    return CPCOutput(loss, math.log(found.num_candidates) - loss, found.num_candidates, accuracy)


def unit_length(z: jax.Array) -> jax.Array:
    """Codes scaled to length one, in at least float32; finite, with finite gradients, for zeros and for huge codes."""
    z = z.astype(jnp.promote_types(z.dtype, jnp.float32))
    largest = lax.stop_gradient(jnp.max(jnp.abs(z), axis=-1, keepdims=True))
    z = z / jnp.where(largest > 0, largest, 1)  # the direction does not change, and squares can no longer overflow
    squares = jnp.sum(z * z, axis=-1, keepdims=True)
    return z * lax.rsqrt(jnp.where(squares > 0, squares, 1))


def inverse_temperature(temperature: float | jax.Array, codes: jax.Array) -> jax.Array:
    """One over the temperature, never infinite: a temperature below the smallest normal float is taken as that float.

    Raises ValueError for a temperature that is known to be wrong; a traced one has no value yet.
    """
    if not isinstance(temperature, jax.core.Tracer) and not temperature > 0:
        raise ValueError(f"temperature={temperature}: it divides the scores and must be > 0")
    dtype = jnp.promote_types(codes.dtype, jnp.float32)
    return 1 / jnp.maximum(jnp.asarray(temperature, dtype), jnp.finfo(dtype).tiny)
