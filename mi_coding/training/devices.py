"""Data parallelism: the only module that names devices, meshes and mapped axes.

`DataParallel` runs one function of (state, data) on all devices of all processes. Inside it the code sees one device
and the axis `AXIS`; outside, state and metrics are single copies, one in each process. There are two implementations,
`jax.shard_map` and `jax.pmap`, with the same results; processes.py connects the processes.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.compilation_cache import compilation_cache
from jax.sharding import NamedSharding, PartitionSpec

AXIS = "devices"


class DataParallel(NamedTuple):
    """One implementation of data parallelism over a set of devices.

    Attributes:
        num_devices: the number of devices in all processes.
        steps_in_flight: how many steps may be dispatched before the first of them has ended. Two keep an accelerator
            busy. Virtual devices of one CPU share few threads: steps that wait for each other's collectives can
            deadlock.
        replicate: tree → the same tree, replicated on every device.
        fetch: what `replicate` or a mapped function returned → the tree as a single copy.
        shard: tree of arrays with this process's share of the global batch on their first axis → the tree of the global
            batch, sharded over the devices.
        any_process: flag → whether it is set in any process: a bool, or an array, ready after the steps before it.
        parallel: fn(state, *data) → (state, metrics), written for one device under the axis `AXIS` → the compiled
            function on all devices. State and data come from `replicate`; the state is donated. With `sharded=True` it
            is fn(state, batch), and the batch comes from `shard`.
    """

    num_devices: int
    steps_in_flight: int
    replicate: Callable[[Any], Any]
    fetch: Callable[[Any], Any]
    shard: Callable[[Any], Any]
    any_process: Callable[[bool], bool | jax.Array]
    parallel: Callable[..., Callable]


def data_parallel(name: str, devices: Sequence[jax.Device] | None = None) -> DataParallel:
    """Data parallelism by "shard_map" or "pmap", over the given devices or all devices of all processes.

    >>> one = data_parallel("shard_map", jax.local_devices()[:1])
    >>> step = one.parallel(lambda state, data: (state + data, {"loss": jax.lax.psum(data, AXIS)}))
    >>> state, metrics = step(one.replicate(jnp.ones(())), one.replicate(jnp.ones(())))
    >>> float(one.fetch(state)), float(one.fetch(metrics)["loss"])
    (2.0, 1.0)
    """
    return SPMD[name](_mesh(jax.devices() if devices is None else devices))


def platform_of(devices: Sequence[jax.Device] | None = None) -> str:
    """ "cpu", "gpu" or "tpu": the platform of these devices, by default of all that a run has here."""
    return (jax.devices() if devices is None else devices)[0].platform


@contextmanager
def persistent_compilation_cache(folder: Path) -> Iterator[None]:
    """A context in which JAX's persistent compilation cache is in this folder.

    A cache that is configured already is kept. Virtual CPU devices use none: with jaxlib 0.10.2, 5 of 12 programs for
    many of them deadlocked in a collective after they were read back from the cache.
    """
    virtual = platform_of() == "cpu" and jax.device_count() > 1
    if virtual or jax.config.jax_compilation_cache_dir:
        yield
        return
    before = jax.config.jax_persistent_cache_min_compile_time_secs
    _set_cache(str(folder), 0.1)
    try:
        yield
    finally:
        _set_cache(None, before)


def _set_cache(folder: str | None, least_seconds: float) -> None:
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", least_seconds)
    compilation_cache.reset_cache()  # JAX checks only once whether there is a cache


def _mesh(devices: Sequence[jax.Device]) -> jax.sharding.Mesh:
    kinds = (jax.sharding.AxisType.Auto,)
    if jax.process_count() == 1:
        return jax.make_mesh((len(devices),), (AXIS,), axis_types=kinds, devices=devices)
    # By process, not in the order of the fastest interconnect: each process holds consecutive rows of the batch.
    in_order = sorted(devices, key=lambda device: (device.process_index, device.id))
    return jax.sharding.Mesh(np.array(in_order), (AXIS,), axis_types=kinds)


def own_copy(tree: Any) -> Any:
    """The copy of a replicated tree on this process's first device, on which computations with it then run."""
    return jax.tree.map(lambda x: x.addressable_data(0), tree)


def _shard_map(mesh: jax.sharding.Mesh) -> DataParallel:
    everywhere = NamedSharding(mesh, PartitionSpec())
    own = [device for device in mesh.devices.flat if device in everywhere.addressable_devices]  # in the mesh's order

    def copy(x: Any) -> jax.Array:
        # A copy: the step donates the state, whose memory may be the caller's, or shared by two leaves.
        here = [jax.device_put(jnp.copy(x), device) for device in own]
        return jax.make_array_from_single_device_arrays(jnp.shape(x), everywhere, here)

    def replicate(tree: Any) -> Any:
        return jax.tree.map(copy, tree)

    def shard(tree: Any) -> Any:
        return jax.make_array_from_process_local_data(NamedSharding(mesh, PartitionSpec(AXIS)), tree)

    any_of_all = jax.jit(jnp.any, out_shardings=everywhere)

    def any_process(flag: bool) -> bool | jax.Array:
        if everywhere.is_fully_addressable:
            return flag
        return own_copy(any_of_all(shard(np.full(len(own), flag))))

    def parallel(fn: Callable, *, sharded: bool = False) -> Callable:
        specs = (PartitionSpec(), PartitionSpec(AXIS)) if sharded else PartitionSpec()
        mapped = jax.shard_map(fn, mesh=mesh, in_specs=specs, out_specs=PartitionSpec())
        return jax.jit(mapped, donate_argnums=0)

    return DataParallel(mesh.size, _steps_in_flight(mesh), replicate, own_copy, shard, any_process, parallel)


def _pmap(mesh: jax.sharding.Mesh) -> DataParallel:
    one_each = NamedSharding(mesh, PartitionSpec(AXIS))

    def replicate(tree: Any) -> Any:
        return jax.tree.map(lambda x: jax.device_put(jnp.broadcast_to(x, (mesh.size, *jnp.shape(x))), one_each), tree)

    def fetch(tree: Any) -> Any:
        # Not x[0] of the whole array: that is a program with a collective over all devices, for each leaf.
        return jax.tree.map(lambda x: x[0], own_copy(tree))

    def shard(tree: Any) -> Any:
        return jax.tree.map(lambda x: jax.device_put(x.reshape(mesh.size, -1, *x.shape[1:]), one_each), tree)

    def parallel(fn: Callable, *, sharded: bool = False) -> Callable:
        del sharded  # every argument has the devices as its first axis already
        return jax.pmap(fn, axis_name=AXIS, devices=list(mesh.devices.flat), donate_argnums=0)

    return DataParallel(mesh.size, _steps_in_flight(mesh), replicate, fetch, shard, bool, parallel)


def _steps_in_flight(mesh: jax.sharding.Mesh) -> int:
    return 1 if mesh.devices.flat[0].platform == "cpu" else 2


SPMD: dict[str, Callable[[jax.sharding.Mesh], DataParallel]] = {"shard_map": _shard_map, "pmap": _pmap}
"""Names of `config.spmd`."""

WITH_SHARES = ("shard_map",)
"""The names in `SPMD` under which `as_shares` performs the all-reduce of gradients, and so chooses its dtype."""

FOR_SEVERAL_PROCESSES = ("shard_map",)
"""The names in `SPMD` that run on the devices of several processes."""
