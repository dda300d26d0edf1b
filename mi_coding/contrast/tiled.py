"""The frame around the methods in tiles: true pairs, and a backward pass that computes the scores a second time."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from mi_coding.contrast.contract import Contrast, ContrastSpec
from mi_coding.contrast.tiles import Keys, Rows, Sums, Tiling, free_gradient, match, score_gradient, tiling, true_scores


class Plan(NamedTuple):
    """All that is known before the arrays are.

    Attributes:
        sweep: (queries, rows, keys, scale, plan) → (rows, columns): the distractors of every device.
        sweep_back: (queries, d_queries, rows, keys, scale, plan) → (d_queries, d_keys).
        spec: what is asked for.
        tiles: how a shard is cut.
    """

    sweep: Callable
    sweep_back: Callable
    spec: ContrastSpec
    tiles: Tiling


def tiled(
    sweep: Callable,
    sweep_back: Callable,
    queries: jax.Array,
    keys: jax.Array,
    scale: jax.Array,
    spec: ContrastSpec,
) -> Contrast:
    """Runs a method in tiles under a custom gradient. The arguments are those of `Plan` and of `contrast`."""
    n = queries.shape[0]
    plan = Plan(sweep, sweep_back, spec, tiling(n, spec.block_size))
    # Under shard_map a scale that is copied to all devices gets a gradient on each. Typed as varying, it has them
    # added up; so have codes, should they be copies.
    queries, keys, scale = match((queries, keys, scale), spec.device_index + queries[0, 0] + keys[0, 0])
    return Contrast(*_scores(queries, keys, scale, plan), spec.rule.num_candidates(n, spec.num_devices))


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def _scores(queries: jax.Array, keys: jax.Array, scale: jax.Array, plan: Plan) -> tuple:
    """True score, row and column log-sum-exp, and rank of each query; the fields of `Contrast`."""
    return _forward(queries, keys, scale, plan)[0]


def _forward(queries, keys, scale, plan):
    partner = plan.spec.rule.partner
    true_score = true_scores(queries, keys, scale, plan.spec.rule, plan.tiles)
    start = Sums(true_score, jnp.ones_like(true_score))
    rows = Rows(true_score, start, jnp.zeros_like(true_score, jnp.int32))
    columns = jax.tree.map(partner, start) if plan.spec.columns else None
    rows, columns = plan.sweep(queries, rows, Keys(keys, columns), scale, plan)
    column_lse = partner(columns.lse()) if plan.spec.columns else None
    out = true_score, rows.sums.lse(), column_lse, rows.rank
    return out, (queries, keys, scale, true_score, rows.sums, columns)


def _backward(plan, saved, gradients):
    queries, keys, scale, true_score, row_sums, column_sums = saved
    d_true, d_row, d_column, _ = gradients
    partner = plan.spec.rule.partner
    rows = row_sums.pull(d_row)
    columns = column_sums.pull(partner(d_column)) if plan.spec.columns else None
    weights = score_gradient(true_score, rows, jax.tree.map(partner, columns)) + free_gradient(true_score, d_true)
    d_queries = weights[:, None] * partner(keys)
    d_keys = partner(weights[:, None] * queries)
    d_queries, d_keys = plan.sweep_back(queries, d_queries, rows, Keys(keys, columns, d_keys), scale, plan)
    d_scale = jnp.vdot(queries.astype(d_queries.dtype), d_queries)  # Σ_ij weight · ⟨q_i, k_j⟩, added up by query
    return (d_queries * scale).astype(queries.dtype), (d_keys * scale).astype(keys.dtype), d_scale


_scores.defvjp(_forward, _backward)
