"""Keys that travel from device to device in a ring, scored a tile at a time: a few times b · d numbers a device.

A tile of keys moves on as soon as its turn is over, and the one that comes takes its place. So the keys are never
held twice, as they would be if they travelled whole; and with the tile travel the sums over its columns, and in the
backward pass the gradient of its keys. After as many moves as there are devices all are at home again.

Source: ring attention arXiv:2310.01889; the ring for contrastive losses arXiv:2410.17243.
"""

from functools import partial

import jax
from jax import lax

from mi_coding.contrast.contract import OTHER_DEVICES
from mi_coding.contrast.tiled import Plan, tiled
from mi_coding.contrast.tiles import Pull, Rows, Send, Sums, visit, visit_back


def _sweep(
    queries: jax.Array, rows: Rows, keys: jax.Array, columns: Sums | None, scale: jax.Array, plan: Plan
) -> tuple[Rows, Sums | None]:
    """This device's queries with the keys of every device; columns are the running sums of this device's keys."""
    num_devices, send = _ring(plan.axis_name)
    if plan.rule != OTHER_DEVICES:
        rows, keys, columns = visit(queries, rows, keys, columns, scale, plan.tiles, own=plan.rule, send=send)
    elif send:
        keys, columns = send((keys, columns))

    def step(_, carry):
        return visit(queries, *carry, scale, plan.tiles, send=send)

    rows, _, columns = lax.fori_loop(1, num_devices, step, (rows, keys, columns))
    return rows, columns


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
    """The backward pass of `_sweep`: a ring of its own, since one differentiated by JAX keeps all that passed."""
    num_devices, send = _ring(plan.axis_name)
    if plan.rule != OTHER_DEVICES:
        d_queries, keys, d_keys, columns = visit_back(
            queries, d_queries, rows, keys, d_keys, columns, scale, plan.tiles, own=plan.rule, send=send
        )
    elif send:
        keys, d_keys, columns = send((keys, d_keys, columns))

    def step(_, carry):
        d_queries, *of_keys = carry
        return visit_back(queries, d_queries, rows, *of_keys, scale, plan.tiles, send=send)

    d_queries, _, d_keys, _ = lax.fori_loop(1, num_devices, step, (d_queries, keys, d_keys, columns))
    return d_queries, d_keys


def _ring(axis_name: str | None) -> tuple[int, Send]:
    """The number of devices, and what sends values to the next one."""
    if axis_name is None or lax.axis_size(axis_name) == 1:
        return 1, None
    num_devices = lax.axis_size(axis_name)
    to_next = [(device, (device + 1) % num_devices) for device in range(num_devices)]
    return num_devices, lambda values: lax.ppermute(values, axis_name, to_next)


ring = partial(tiled, _sweep, _sweep_back)
"""Scores this device's queries with keys that travel around the ring of devices, tile by tile. See `contrast`."""
