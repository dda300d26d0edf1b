"""All keys gathered from every device, one device's rows of the scores at a time: b · B scores on each device."""

import jax
import jax.numpy as jnp
from jax import lax

from mi_coding.contrast.contract import Contrast, ContrastSpec, score_products


def dense(queries: jax.Array, keys: jax.Array, scale: jax.Array, spec: ContrastSpec) -> Contrast:
    """The reference: all scores on one device. It is `gather` on a single device."""
    if spec.axis_name is not None:
        raise ValueError(f"method='dense' works on one device only, but axis_name={spec.axis_name!r}; use 'gather'")
    return gather(queries, keys, scale, spec)


def gather(queries: jax.Array, keys: jax.Array, scale: jax.Array, spec: ContrastSpec) -> Contrast:
    """Gathers the keys of all devices and scores this device's queries with them. See `contrast`."""
    n, rule, here = queries.shape[0], spec.rule, spec.device_index
    everyone = keys[None] if spec.axis_name is None else lax.all_gather(keys, spec.axis_name)
    num_devices = everyone.shape[0]
    everyone = everyone.reshape(num_devices * n, -1)
    scores = score_products(queries, everyone, scale, spec.precision).reshape(n, num_devices, n)

    positions = jnp.arange(n)
    is_here = (jnp.arange(num_devices) == here)[None, :, None]
    is_true = is_here & (rule.partner(positions)[:, None] == positions)[:, None, :]
    is_distractor = ~(is_here & rule.excluded(positions, positions, n)[:, None, :])
    true_score = jnp.sum(jnp.where(is_true, scores, 0), axis=(1, 2))
    rank = jnp.sum((scores >= true_score[:, None, None]) & is_distractor, axis=(1, 2), dtype=jnp.int32)

    candidates = jnp.where(is_distractor | is_true if spec.with_true else is_distractor, scores, -jnp.inf)
    row_lse, row_softplus = jax.nn.logsumexp(spec.clipped(candidates), axis=(1, 2)), None
    if spec.softplus:
        row_lse = lax.stop_gradient(row_lse)
        row_softplus = jnp.sum(jnp.where(is_distractor, jax.nn.softplus(scores), 0), axis=(1, 2))
    column_lse = None
    if spec.columns:
        column_lse = _logsumexp_over_queries(candidates, spec.axis_name)
        column_lse = rule.partner(lax.dynamic_index_in_dim(column_lse, here, keepdims=False))
    return Contrast(true_score, row_lse, column_lse, rank, rule.num_candidates(n, num_devices), row_softplus)


def _logsumexp_over_queries(candidates: jax.Array, axis_name: str | None) -> jax.Array:
    """float32[D, n]: log-sum-exp over the queries of all devices, without any device holding them all."""
    peak = lax.stop_gradient(jnp.max(candidates, axis=0))
    if axis_name is not None:
        peak = lax.pmax(peak, axis_name)
    total = jnp.sum(jnp.exp(candidates - peak), axis=0)
    if axis_name is not None:
        total = lax.psum(total, axis_name)
    return jnp.log(total) + peak
