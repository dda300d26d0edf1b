"""One device's share of the work that the table tests, and the ways to run it on many devices."""

import jax
import jax.numpy as jnp
import numpy as np
from contrast_oracle import CASES, oracle
from jax import lax
from jax.sharding import PartitionSpec as P

import mi_coding

AXIS = "devices"


def make_data(num_pairs, seed=0):
    """Lopsided data: rows of different sizes, x unlike y, and numbers that bfloat16 holds exactly, codes included."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-4, 5, (num_pairs, 6)) / 4
    y = x + rng.integers(-3, 5, x.shape) / 4
    x[::7] *= 2
    return {
        "w": rng.integers(-2, 3, (6, 5)) / 4 + np.eye(6, 5) / 4,
        "temperature": 0.625,
        "x": x,
        "y": y,
    }


def loss_of(case, z_x, z_y, temperature, **options):
    if case.distractors == "pool":
        return mi_coding.nt_xent(z_x, z_y, temperature=temperature, **options)
    return mi_coding.cpc(
        z_x,
        z_y,
        temperature=temperature,
        normalize=case.normalize,
        symmetric=case.symmetric,
        distractors=case.distractors,
        **options,
    )


def program(cases, dtype, axis_name, **options):
    """All cases: outputs of the loss; gradients of replicated w and temperature; gradients of this device's codes.

    A small encoder z = x w stands before the loss, so that a factor of the number of devices cannot hide.
    """

    def run(w, temperature, x, y):
        def loss(case, w, temperature, d_x, d_y):
            z_x, z_y = ((z @ w).astype(dtype) + d for z, d in ((x, d_x), (y, d_y)))
            out = loss_of(case, z_x, z_y, temperature, axis_name=axis_name, **options)
            return out.loss, (out.loss, out.mi_lower_bound, out.accuracy)

        zeros = jnp.zeros((x.shape[0], w.shape[1]), dtype) + 0 * x[:, :1].astype(dtype)
        shared, sharded = {}, {}
        for name in cases:
            gradient = jax.grad(loss, argnums=(1, 2, 3, 4), has_aux=True)
            (d_w, d_t, d_x, d_y), values = gradient(CASES[name], w, temperature, zeros, zeros)
            if axis_name is not None:
                d_w, d_t = lax.pmean((d_w, d_t), axis_name)
            shared[name], sharded[name] = (*values, d_w, d_t), (d_x, d_y)
        return shared, sharded

    return run


def compile_and_run(function, *args):
    """Runs it once, so a quick compilation is worth more than quick code.

    Waits for the end: virtual devices share few threads, and a second program that takes some of them while the first
    still exchanges values can stop both.
    """
    program = function.lower(*args).compile(compiler_options={"xla_backend_optimization_level": 0})
    return jax.block_until_ready(program(*args))


def run_alone(run, data, num_devices):
    assert num_devices == 1
    return compile_and_run(jax.jit(run), *data.values())


def run_mapped(mapping):
    """For pmap and vmap; grad of a summed loss has a factor of the number of devices there (see the design)."""

    def go(run, data, num_devices):
        split = [jnp.reshape(data[k], (num_devices, -1, data[k].shape[1])) for k in "xy"]
        mapped = mapping(run, axis_name=AXIS, in_axes=(None, None, 0, 0))
        # Fetched: many reshapes of arrays on eight devices, one behind the other, have stopped each other.
        shared, sharded = jax.device_get(compile_and_run(mapped, data["w"], data["temperature"], *split))
        for value in jax.tree.leaves(shared):
            np.testing.assert_array_equal(value, np.broadcast_to(value[:1], value.shape))
        shared = jax.tree.map(lambda v: v[0], shared)
        return shared, jax.tree.map(lambda v: v.reshape(-1, v.shape[-1]) / num_devices, sharded)

    return go


def run_shard_map(check_vma):
    def go(run, data, num_devices):
        mesh = jax.make_mesh((num_devices,), (AXIS,), axis_types=(jax.sharding.AxisType.Auto,))
        specs = {"in_specs": (P(), P(), P(AXIS), P(AXIS)), "out_specs": (P(), P(AXIS))}
        mapped = jax.jit(jax.shard_map(run, mesh=mesh, check_vma=check_vma, **specs))
        shared, sharded = compile_and_run(mapped, *data.values())
        return shared, jax.tree.map(lambda v: v / (1 if check_vma else num_devices), sharded)

    return go


WAYS = {
    "alone": run_alone,
    "pmap": run_mapped(jax.pmap),
    "vmap": run_mapped(lambda *args, **kwargs: jax.jit(jax.vmap(*args, **kwargs))),
    "shard_map": run_shard_map(check_vma=True),
    "shard_map-unchecked": run_shard_map(check_vma=False),
}


def assert_as_oracle(found, data, num_devices, tolerance):
    """Everything of every case within `tolerance`, relative to the largest entry of each array."""
    shared, sharded = found
    z_x, z_y = (data[k] @ data["w"] for k in "xy")
    for name in shared:
        loss, num, accuracy, d_x, d_y, d_t = oracle(CASES[name], z_x, z_y, data["temperature"], num_devices)
        want = {
            "loss": loss,
            "bound": np.log(num) - loss,
            "accuracy": accuracy,
            "d_w": data["x"].T @ d_x + data["y"].T @ d_y,
            "d_temperature": d_t,
            "d_x": d_x,
            "d_y": d_y,
        }
        got = dict(zip(want, (*shared[name], *sharded[name]), strict=True))
        for field in want:
            scale = 1 if field == "accuracy" else np.max(np.abs(want["loss" if field == "bound" else field]))
            error = np.max(np.abs(np.asarray(got[field], np.float64) - want[field])) / scale
            assert error <= tolerance, f"{name}: {field} is off by {error:.1e}, more than {tolerance}"
