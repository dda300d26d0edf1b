"""The gradient of a global loss is exchanged once, and is that of one device."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from mi_coding.benchmarks.hlo import Program
from mi_coding.objectives import gradient
from mi_coding.objectives.gradient import as_shares, mean_gradient
from mi_coding.training.devices import AXIS, SPMD, data_parallel

DEVICES, WIDTH = 4, 50


def loss(params, x):
    return lax.pmean(jnp.mean((x @ params) ** 2), AXIS), None


def step(params, x):
    (value, _), gradient = mean_gradient(loss, AXIS)(params, x)
    return params, {"loss": value, "gradient": gradient}


@pytest.mark.parametrize("spmd", SPMD)
def test_the_gradient_is_that_of_one_device(spmd):
    rng = np.random.default_rng(0)
    params, x = rng.normal(size=WIDTH).astype("float32"), rng.normal(size=(8, WIDTH)).astype("float32")
    way = data_parallel(spmd, jax.devices()[:DEVICES])
    _, found = way.parallel(step, sharded=True)(way.replicate(params), way.shard(x))
    expected = jax.grad(lambda p: jnp.mean((x @ p) ** 2))(params)
    np.testing.assert_allclose(way.fetch(found)["gradient"], expected, rtol=1e-5, atol=1e-6)


def test_shard_map_adds_the_gradient_up_once():
    way = data_parallel("shard_map", jax.devices()[:DEVICES])
    shapes = jax.ShapeDtypeStruct((WIDTH,), "float32"), jax.ShapeDtypeStruct((8, WIDTH), "float32")
    compiled = way.parallel(step, sharded=True).lower(*shapes).compile()
    assert Program(compiled.as_text(), DEVICES).work().sent == 2 * 4 * (WIDTH + 1) * (DEVICES - 1) / DEVICES


@pytest.mark.parametrize(
    ("shares", "dtype"),
    [
        (as_shares, "f32"),
        (partial(as_shares, all_reduce_dtype="bfloat16"), "bf16"),
        (lambda params, axis_name: params, "bf16"),
    ],
)
def test_shares_are_added_up_in_the_dtype_of_the_all_reduce(shares, dtype):
    def in_bfloat16(params, x):
        product = x.astype(jnp.bfloat16) @ shares(params, AXIS).astype(jnp.bfloat16)
        return lax.pmean(jnp.mean(product.astype(jnp.float32) ** 2), AXIS), None

    def step(params, x):
        return params, {"gradient": mean_gradient(in_bfloat16, AXIS)(params, x)[1]}

    way = data_parallel("shard_map", jax.devices()[:DEVICES])
    shapes = jax.ShapeDtypeStruct((WIDTH,), "float32"), jax.ShapeDtypeStruct((8, WIDTH), "float32")
    program = way.parallel(step, sharded=True).lower(*shapes).as_text()
    assert re.findall(rf"\}}\) : \(tensor<{WIDTH}x(\w+)>\)", program) == [dtype]


def test_a_sum_in_bfloat16_is_rounded_to_8_bits_at_every_device():
    rng = np.random.default_rng(0)
    params, x = rng.normal(size=WIDTH).astype("float32"), rng.normal(size=(DEVICES, WIDTH)).astype("float32")

    def step(params, x):
        def mean_of_squares(params, x):
            return loss(as_shares(params, AXIS, "bfloat16"), x)

        return params, {"gradient": mean_gradient(mean_of_squares, AXIS)(params, x)[1]}

    way = data_parallel("shard_map", jax.devices()[:DEVICES])
    _, found = way.parallel(step, sharded=True)(way.replicate(params), way.shard(x))
    gradient = way.fetch(found)["gradient"]
    shares = 2 * (x @ params)[:, None] * x / DEVICES  # one row on each device
    assert gradient.dtype == np.float32
    error = np.abs(gradient - shares.sum(axis=0))
    assert np.all(error <= 2.0**-8 * np.abs(shares).sum(axis=0))  # on a CPU, only the shares and the sum are rounded
    assert np.max(error) > 1e-4


def test_the_gradient_of_many_arrays_is_added_up_as_one_array_for_a_gpu():
    rng = np.random.default_rng(0)
    shapes = {"kernel": (3, WIDTH), "a half": (WIDTH,), "scale": (3,), "bias": ()}
    params = {name: jnp.asarray(rng.normal(size=shape), jnp.float32) for name, shape in shapes.items()}
    params["a half"] = params["a half"].astype(jnp.bfloat16)
    x = rng.normal(size=(8, WIDTH)).astype("float32")

    def step_by(shares):
        def loss(params, x):
            params = shares(params)
            y = params["scale"] * ((x * params["a half"]) @ params["kernel"].T) + params["bias"]
            return lax.pmean(jnp.mean(y**2), AXIS), None

        return lambda params, x: (params, {"gradient": mean_gradient(loss, AXIS)(params, x)[1]})

    def in_groups(params):
        leaves, structure = jax.tree.flatten(params)
        return jax.tree.unflatten(structure, gradient._in_groups(AXIS, "float32", *leaves))

    way, found, exchanges = data_parallel("shard_map", jax.devices()[:DEVICES]), [], []
    for shares in (in_groups, lambda params: as_shares(params, AXIS)):
        program = way.parallel(step_by(shares), sharded=True)
        exchanges.append(program.lower(params, jnp.asarray(x)).as_text().count("all_reduce"))
        found.append(way.fetch(program(way.replicate(params), way.shard(x))[1])["gradient"])
    assert exchanges == [2, 4]  # one of each dtype, and one of each array
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5), *found)
