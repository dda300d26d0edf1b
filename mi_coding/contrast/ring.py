"""Keys that travel from device to device in a ring, scored a tile at a time: a few times b · d numbers per device.

A tile of keys moves on as soon as it has been scored, and the one that arrives takes its place. So the keys are never
held twice, as they would be if they travelled all at once. With the tile travel the sums over its columns and, in the
backward pass, the gradient of its keys. After as many moves as there are devices, all tiles are back home.

Source: ring attention arXiv:2310.01889; the ring for contrastive losses arXiv:2410.17243.
"""

from functools import partial

import jax
from jax import lax

from mi_coding.contrast.contract import OTHER_DEVICES, ContrastSpec
from mi_coding.contrast.tiled import Plan, tiled
from mi_coding.contrast.tiles import Keys, Pull, Rows, Send, Sums, visit, visit_back


def _sweep(queries: jax.Array, rows: Rows, keys: Keys, scale: jax.Array, plan: Plan) -> tuple[Rows, Sums | None]:
    """Scores this device's queries with the keys of every device; returns the sums of its queries and of its keys."""
    num_devices, send = _ring(plan.spec)
    scoring, rule = plan.scoring(scale), plan.spec.rule
    if rule != OTHER_DEVICES:
        rows, keys = visit(queries, rows, keys, scoring._replace(own=rule), send=send)
    elif send:
        keys = send(keys)

    def step(_, carry):
        return visit(queries, *carry, scoring, send=send)

    rows, keys = lax.fori_loop(1, num_devices, step, (rows, keys))
    return rows, keys.columns


def _sweep_back(
    queries: jax.Array, d_queries: jax.Array, rows: Pull, keys: Keys, scale: jax.Array, plan: Plan
) -> tuple[jax.Array, jax.Array]:
    """The backward pass of `_sweep`: a ring of its own, since one differentiated by JAX stores all keys that passed."""
    num_devices, send = _ring(plan.spec)
    scoring, rule = plan.scoring(scale), plan.spec.rule
    if rule != OTHER_DEVICES:
        d_queries, keys = visit_back(queries, d_queries, rows, keys, scoring._replace(own=rule), send=send)
    elif send:
        keys = send(keys)

    def step(_, carry):
        d_queries, keys = carry
        return visit_back(queries, d_queries, rows, keys, scoring, send=send)

    d_queries, keys = lax.fori_loop(1, num_devices, step, (d_queries, keys))
    return d_queries, keys.gradient


def _ring(spec: ContrastSpec) -> tuple[int, Send]:
    """The number of devices, and the function that sends values to the next one."""
    num_devices = spec.num_devices
    if num_devices == 1:
        return 1, None
    to_next = [(device, (device + 1) % num_devices) for device in range(num_devices)]
    return num_devices, lambda values: lax.ppermute(values, spec.axis_name, to_next)


ring = partial(tiled, _sweep, _sweep_back)
"""Scores this device's queries with keys that travel around the ring of devices, tile by tile. See `contrast`."""
