"""All keys gathered from every device, scored a tile at a time: B · d numbers on each device, and no scores."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from mi_coding.contrast.contract import OTHER_DEVICES, score_limit
from mi_coding.contrast.tiled import Plan, tiled
from mi_coding.contrast.tiles import Pull, Rows, Sums, match, visit, visit_back


def _sweep(
    queries: jax.Array, rows: Rows, keys: jax.Array, columns: Sums | None, scale: jax.Array, plan: Plan
) -> tuple[Rows, Sums | None]:
    """This device's queries with the keys of every device; columns are the running sums of this device's keys."""
    if plan.rule != OTHER_DEVICES:
        rows, _, columns = visit(queries, rows, keys, columns, scale, plan.tiles, own=plan.rule)
    if plan.axis_name is None:
        return rows, columns
    num_devices, here = lax.axis_size(plan.axis_name), lax.axis_index(plan.axis_name)
    everyone = lax.all_gather(keys, plan.axis_name)
    every_column = columns and _put(_no_sums((num_devices, keys.shape[0]), queries, scale.dtype), columns, here)

    def step(distance, carry):
        rows, every_column = carry
        there = (here + distance) % num_devices
        rows, _, column = visit(queries, rows, everyone[there], _take(every_column, there), scale, plan.tiles)
        return rows, _put(every_column, column, there)

    rows, every_column = lax.fori_loop(1, num_devices, step, (rows, every_column))
    return rows, every_column and _take(_over_devices(every_column, plan.axis_name), here)


def _sweep_back(
    queries: jax.Array,
    d_queries: jax.Array,
    rows: Pull,
    keys: jax.Array,
    d_keys: jax.Array,
    columns: Pull | None,
    scale: jax.Array,
    plan: Plan,
) -> tuple[jax.Array, jax.Array]:
    """The backward pass of `_sweep`; the gradients of other devices' keys are sent home at its end."""
    if plan.rule != OTHER_DEVICES:
        d_queries, _, d_keys, _ = visit_back(
            queries, d_queries, rows, keys, d_keys, columns, scale, plan.tiles, own=plan.rule
        )
    if plan.axis_name is None:
        return d_queries, d_keys
    num_devices, here = lax.axis_size(plan.axis_name), lax.axis_index(plan.axis_name)
    everyone, every_column = lax.all_gather((keys, columns), plan.axis_name)
    d_everyone = match(jnp.zeros((num_devices, *d_keys.shape), d_keys.dtype), queries)
    d_everyone = _put(d_everyone, d_keys, here)

    def step(distance, carry):
        d_queries, d_everyone = carry
        there = (here + distance) % num_devices
        of_keys = everyone[there], d_everyone[there], _take(every_column, there)
        d_queries, _, d_keys, _ = visit_back(queries, d_queries, rows, *of_keys, scale, plan.tiles)
        return d_queries, _put(d_everyone, d_keys, there)

    d_queries, d_everyone = lax.fori_loop(1, num_devices, step, (d_queries, d_everyone))
    return d_queries, lax.psum_scatter(d_everyone, plan.axis_name)


def _no_sums(shape: tuple[int, ...], queries: jax.Array, dtype: jnp.dtype) -> Sums:
    """Sums of no scores; the peak is below every score and finite, for −inf − (−inf) would be no number."""
    return match(Sums(jnp.full(shape, -2 * score_limit(dtype), dtype), jnp.zeros(shape, dtype)), queries)


def _over_devices(sums: Sums, axis_name: str) -> Sums:
    """Running sums of all devices made one."""
    peak = lax.pmax(sums.peak, axis_name)
    return Sums(peak, lax.psum(sums.total * jnp.exp(sums.peak - peak), axis_name))


def _take(values, device: jax.Array):
    return jax.tree.map(lambda x: lax.dynamic_index_in_dim(x, device, keepdims=False), values)


def _put(values, value, device: jax.Array):
    return jax.tree.map(lambda x, v: lax.dynamic_update_index_in_dim(x, v, device, 0), values, value)


blockwise = partial(tiled, _sweep, _sweep_back)
"""Gathers the keys of all devices and scores this device's queries with them, tile by tile. See `contrast`."""
