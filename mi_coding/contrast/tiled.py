"""The frame around the methods in tiles: true pairs, and a backward pass that computes the scores a second time."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from mi_coding.contrast.contract import Contrast, Rule
from mi_coding.contrast.tiles import Rows, Sums, Tiling, free_gradient, match, score_gradient, tiling, true_scores


class Plan(NamedTuple):
    """All that is known before the arrays are.

    Attributes:
        sweep: (queries, rows, keys, columns, scale, plan) → (rows, columns): the distractors of every device.
        sweep_back: (queries, d_queries, rows, keys, d_keys, columns, scale, plan) → (d_queries, d_keys).
        rule: which keys are candidates.
        tiles: how a shard is cut.
        columns: whether sums over queries are wanted.
        axis_name: the mapped axis, or None.
    """

    sweep: Callable
    sweep_back: Callable
    rule: Rule
    tiles: Tiling
    columns: bool
    axis_name: str | None


def tiled(
    sweep: Callable,
    sweep_back: Callable,
    queries: jax.Array,
    keys: jax.Array,
    scale: jax.Array,
    *,
    rule: Rule,
    columns: bool,
    block_size: int | None,
    axis_name: str | None,
) -> Contrast:
    """Runs a method in tiles under a custom gradient. The arguments are those of `Plan` and of `contrast`."""
    n = queries.shape[0]
    plan = Plan(sweep, sweep_back, rule, tiling(n, block_size), columns, axis_name)
    num_devices = 1 if axis_name is None else lax.axis_size(axis_name)
    here = 0 if axis_name is None else lax.axis_index(axis_name)
    # Under shard_map a scale that is copied to all devices gets a gradient on each. Typed as varying, it has them
    # added up; so have codes, should they be copies.
    queries, keys, scale = match((queries, keys, scale), here + queries[0, 0] + keys[0, 0])
    return Contrast(*_scores(queries, keys, scale, plan), rule.num_candidates(n, num_devices))


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def _scores(queries: jax.Array, keys: jax.Array, scale: jax.Array, plan: Plan) -> tuple:
    """True score, row and column log-sum-exp, and rank of each query; the fields of `Contrast`."""
    return _forward(queries, keys, scale, plan)[0]


def _forward(queries, keys, scale, plan):
    true_score = true_scores(queries, keys, scale, plan.rule, plan.tiles)
    start = Sums(true_score, jnp.ones_like(true_score))
    rows = Rows(true_score, start, jnp.zeros_like(true_score, jnp.int32))
    columns = jax.tree.map(plan.rule.partner, start) if plan.columns else None
    rows, columns = plan.sweep(queries, rows, keys, columns, scale, plan)
    column_lse = plan.rule.partner(columns.lse()) if plan.columns else None
    out = true_score, rows.sums.lse(), column_lse, rows.rank
    return out, (queries, keys, scale, true_score, rows.sums, columns)


def _backward(plan, saved, gradients):
    queries, keys, scale, true_score, row_sums, column_sums = saved
    d_true, d_row, d_column, _ = gradients
    partner = plan.rule.partner
    rows = row_sums.pull(d_row)
    columns = column_sums.pull(partner(d_column)) if plan.columns else None
    weights = score_gradient(true_score, rows, jax.tree.map(partner, columns)) + free_gradient(true_score, d_true)
    d_queries = weights[:, None] * partner(keys)
    d_keys = partner(weights[:, None] * queries)
    d_queries, d_keys = plan.sweep_back(queries, d_queries, rows, keys, d_keys, columns, scale, plan)
    d_scale = jnp.vdot(queries.astype(d_queries.dtype), d_queries)  # Σ_ij weight · ⟨q_i, k_j⟩, added up by query
    return (d_queries * scale).astype(queries.dtype), (d_keys * scale).astype(keys.dtype), d_scale


_scores.defvjp(_forward, _backward)
