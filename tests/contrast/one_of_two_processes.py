"""One of two processes of four devices each: `python one_of_two_processes.py PORT PROCESS_ID`."""

import sys

import jax
import jax.numpy as jnp
from contrast_program import AXIS, assert_as_oracle, compile_and_run, make_data, program
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

CASES = ("all-symmetric-inner", "other_devices-symmetric-cosine", "pool-cosine")


def main(port, process_id):
    jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=2, process_id=process_id)
    assert (jax.process_count(), jax.device_count(), jax.local_device_count()) == (2, 8, 4)
    mesh = jax.make_mesh((8,), (AXIS,), axis_types=(jax.sharding.AxisType.Auto,))
    data = make_data(8 * 7)
    specs = {"w": P(), "temperature": P(), "x": P(AXIS), "y": P(AXIS)}
    arrays = [jax.device_put(jnp.asarray(v, jnp.float32), NamedSharding(mesh, specs[k])) for k, v in data.items()]
    for method in ("gather", "blockwise", "ring"):
        run = program(CASES, jnp.float32, AXIS, method=method, block_size=3)
        mapped = jax.shard_map(run, mesh=mesh, in_specs=tuple(specs.values()), out_specs=(P(), P(AXIS)))
        shared, sharded = compile_and_run(jax.jit(mapped), *arrays)
        sharded = multihost_utils.process_allgather(sharded, tiled=True)
        assert_as_oracle((jax.device_get(shared), sharded), data, 8, 2e-6)
    print("as the oracle")


main(int(sys.argv[1]), int(sys.argv[2]))
