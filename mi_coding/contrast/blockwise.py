"""All keys gathered from every device, scored a tile at a time: B · d numbers on each device, and no scores."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from mi_coding.contrast.contract import OTHER_DEVICES
from mi_coding.contrast.tiled import Plan, tiled
from mi_coding.contrast.tiles import Keys, Pull, Rows, Sums, no_sums, visit, visit_back
from mi_coding.varying import match


def _sweep(queries: jax.Array, rows: Rows, keys: Keys, scale: jax.Array, plan: Plan) -> tuple[Rows, Sums | None]:
    """Scores this device's queries with the keys of every device; returns the sums of its queries and of its keys."""
    scoring, rule, axis_name = plan.scoring(scale), plan.spec.rule, plan.spec.axis_name
    if rule != OTHER_DEVICES:
        rows, keys = visit(queries, rows, keys, scoring._replace(own=rule))
    if axis_name is None:
        return rows, keys.columns
    num_devices, here = plan.spec.num_devices, plan.spec.device_index
    everyone = lax.all_gather(keys.codes, axis_name)
    columns = keys.columns and _put(no_sums((num_devices, len(queries)), queries, scale.dtype), keys.columns, here)

    def step(distance, carry):
        rows, columns = carry
        there = (here + distance) % num_devices
        rows, visited = visit(queries, rows, Keys(everyone[there], _take(columns, there)), scoring)
        return rows, _put(columns, visited.columns, there)

    rows, columns = lax.fori_loop(1, num_devices, step, (rows, columns))
    return rows, columns and _take(_over_devices(columns, axis_name), here)


def _sweep_back(
    queries: jax.Array, d_queries: jax.Array, rows: Pull, keys: Keys, scale: jax.Array, plan: Plan
) -> tuple[jax.Array, jax.Array]:
    """The backward pass of `_sweep`; the gradients of other devices' keys are sent home at its end."""
    scoring, rule, axis_name = plan.scoring(scale), plan.spec.rule, plan.spec.axis_name
    if rule != OTHER_DEVICES:
        d_queries, keys = visit_back(queries, d_queries, rows, keys, scoring._replace(own=rule))
    if axis_name is None:
        return d_queries, keys.gradient
    num_devices, here = plan.spec.num_devices, plan.spec.device_index
    everyone = lax.all_gather(keys._replace(gradient=None), axis_name)
    d_everyone = match(jnp.zeros((num_devices, *keys.gradient.shape), keys.gradient.dtype), queries)
    d_everyone = _put(d_everyone, keys.gradient, here)

    def step(distance, carry):
        d_queries, d_everyone = carry
        there = (here + distance) % num_devices
        visited = _take(everyone, there)._replace(gradient=d_everyone[there])
        d_queries, visited = visit_back(queries, d_queries, rows, visited, scoring)
        return d_queries, _put(d_everyone, visited.gradient, there)

    d_queries, d_everyone = lax.fori_loop(1, num_devices, step, (d_queries, d_everyone))
    return d_queries, lax.psum_scatter(d_everyone, axis_name)


def _over_devices(sums: Sums, axis_name: str) -> Sums:
    """Merges the running sums of all devices."""
    peak = lax.pmax(sums.peak, axis_name)
    return Sums(peak, lax.psum(sums.total * jnp.exp(sums.peak - peak), axis_name))


def _take(values, device: jax.Array):
    return jax.tree.map(lambda x: lax.dynamic_index_in_dim(x, device, keepdims=False), values)


def _put(values, value, device: jax.Array):
    return jax.tree.map(lambda x, v: lax.dynamic_update_index_in_dim(x, v, device, 0), values, value)


blockwise = partial(tiled, _sweep, _sweep_back)
"""Gathers the keys of all devices and scores this device's queries with them, tile by tile. See `contrast`."""
