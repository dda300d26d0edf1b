"""What surrounds the tiled methods: true pairs, and a backward pass that computes the scores a second time."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from mi_coding.contrast import kernels
from mi_coding.contrast.contract import Contrast, ContrastSpec
from mi_coding.contrast.tiles import (
    BLOCK,
    BLOCK_ON_CPU,
    BY_XLA,
    Keys,
    Rows,
    Scoring,
    Sums,
    Tiling,
    Work,
    free_gradient,
    no_sums,
    score_gradient,
    tiling,
)
from mi_coding.varying import match


class Plan(NamedTuple):
    """All that is known before the arrays are.

    Attributes:
        sweep: (queries, rows, keys, scale, plan) → (rows, columns): the distractors of every device.
        sweep_back: (queries, d_queries, rows, keys, scale, plan) → (d_queries, d_keys).
        spec: what is asked for.
        tiles, work: how a shard is tiled, and the implementation; None until the platform is known.
    """

    sweep: Callable
    sweep_back: Callable
    spec: ContrastSpec
    tiles: Tiling | None = None
    work: Work | None = None

    def scoring(self, scale: jax.Array) -> Scoring:
        """How the keys of other devices are scored."""
        return Scoring(scale, self.tiles, self.work, self.spec)


def _in_tiles(compute: Callable, plan: Plan, queries: jax.Array, keys: jax.Array, *others: Any) -> Any:
    """`compute(plan, queries, keys, *others)`, implemented as suits the platform that the program is compiled for."""
    n, spec, arrays = queries.shape[0], plan.spec, (queries, keys, *others)

    def compute_in(block_size: int, work: Work, *arrays: Any) -> Any:
        return compute(plan._replace(tiles=tiling(n, block_size), work=work), *arrays)

    if spec.block_size or n <= BLOCK_ON_CPU:
        return compute_in(spec.block_size or BLOCK_ON_CPU, BY_XLA, *arrays)
    ways = {"cpu": partial(compute_in, BLOCK_ON_CPU, BY_XLA), "default": partial(compute_in, BLOCK, BY_XLA)}
    if kernels.suit(queries, keys, spec):
        ways["cuda"] = partial(compute_in, n, kernels.WORK)
    return lax.platform_dependent(*arrays, **ways)


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
    plan = Plan(sweep, sweep_back, spec)
    # Under shard_map a replicated scale gets a gradient on each device. Typed as varying, it has these gradients added
    # up; so do codes, should they be replicated.
    queries, keys, scale = match((queries, keys, scale), spec.device_index + queries[0, 0] + keys[0, 0])
    *found, row_softplus = _scores(queries, keys, scale, plan)
    return Contrast(*found, spec.rule.num_candidates(n, spec.num_devices), row_softplus)


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def _scores(queries: jax.Array, keys: jax.Array, scale: jax.Array, plan: Plan) -> tuple:
    """True score, row and column log-sum-exp, rank, and row softplus of each query; the fields of `Contrast`."""
    return _forward(queries, keys, scale, plan)[0]


def _forward(queries, keys, scale, plan):
    return _in_tiles(_forward_in, plan, queries, keys, scale)


def _forward_in(plan, queries, keys, scale):
    partner = plan.spec.rule.partner
    true_score = plan.work.true_scores(queries, keys, plan.scoring(scale))
    start = Sums(true_score, jnp.ones_like(true_score))
    if not plan.spec.with_true:
        start = no_sums(true_score.shape, queries, true_score.dtype, softplus=plan.spec.softplus)
    rows = Rows(true_score, start, jnp.zeros_like(true_score, jnp.int32))
    columns = jax.tree.map(partner, start) if plan.spec.columns else None
    rows, columns = plan.sweep(queries, rows, Keys(keys, columns), scale, plan)
    column_lse = partner(columns.lse()) if plan.spec.columns else None
    out = true_score, rows.sums.lse(), column_lse, rows.rank, rows.sums.softplus
    return out, (queries, keys, scale, true_score, rows.sums, columns)


def _backward(plan, saved, gradients):
    d_true, d_row, d_column, _, d_softplus = gradients  # a rank has no gradient
    return _in_tiles(_backward_in, plan, *saved, d_true, d_row, d_column, d_softplus)


def _backward_in(plan, queries, keys, scale, true_score, row_sums, column_sums, d_true, d_row, d_column, d_softplus):
    partner = plan.spec.rule.partner
    rows = row_sums.pull(d_row, d_softplus)
    columns = column_sums.pull(partner(d_column)) if plan.spec.columns else None
    weights = free_gradient(true_score, d_true)
    if plan.spec.with_true:
        weights += score_gradient(true_score, rows, jax.tree.map(partner, columns))
    d_queries = weights[:, None] * partner(keys)
    d_keys = partner(weights[:, None] * queries)
    d_queries, d_keys = plan.sweep_back(queries, d_queries, rows, Keys(keys, columns, d_keys), scale, plan)
    d_scale = jnp.vdot(queries.astype(d_queries.dtype), d_queries)  # Σ_ij weight · ⟨q_i, k_j⟩, added up by query
    return (d_queries * scale).astype(queries.dtype), (d_keys * scale).astype(keys.dtype), d_scale


_scores.defvjp(_forward, _backward)
