"""VICReg, Barlow Twins and Gaussian information against float64 NumPy, on one device and on several."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import PartitionSpec as P

from mi_coding.objectives.barlow_twins import barlow_twins
from mi_coding.objectives.gaussian import gaussian_information
from mi_coding.objectives.vicreg import vicreg


def codes(pairs=24, dimensions=4, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(pairs, dimensions)) @ rng.normal(size=(dimensions, dimensions))
    return x, 0.7 * x + 0.3 * rng.normal(size=x.shape) + rng.normal(size=dimensions)


def vicreg_of(x, y):
    alike = np.mean([[(a - b) ** 2 for a, b in zip(*pair, strict=True)] for pair in zip(x, y, strict=True)])
    short = sum(np.mean(np.maximum(0, 1 - np.sqrt(z.var(axis=0, ddof=1) + 1e-4))) / 2 for z in (x, y))
    off = sum(np.cov(z.T)[i, j] ** 2 / z.shape[1] for z in (x, y) for i in range(4) for j in range(4) if i != j)
    return 25 * alike + 25 * short + off


def barlow_twins_of(x, y):
    x, y = ((z - z.mean(0)) / np.sqrt(z.var(0) + 1e-5) for z in (x, y))
    found = x.T @ y / len(x)
    return sum((1 - found[i, i]) ** 2 if i == j else 5e-3 * found[i, j] ** 2 for i in range(4) for j in range(4))


def gaussian_of(x, y, shrinkage):
    both = np.corrcoef(x.T, y.T) + shrinkage * np.eye(8)
    whiten = [np.linalg.inv(np.linalg.cholesky(block)) for block in (both[:4, :4], both[4:, 4:])]
    canonical = np.linalg.svd(whiten[0] @ both[:4, 4:] @ whiten[1].T, compute_uv=False)
    return -0.5 * np.sum(np.log(1 - canonical**2))


LOSSES = {
    "vicreg": (lambda x, y, **on: vicreg(x, y, **on).loss, vicreg_of),
    "barlow_twins": (lambda x, y, **on: barlow_twins(x, y, **on).loss, barlow_twins_of),
    "gaussian": (partial(gaussian_information, shrinkage=0.05), partial(gaussian_of, shrinkage=0.05)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_is_that_of_its_definition(name):
    ours, theirs = LOSSES[name]
    with jax.enable_x64(True):
        np.testing.assert_allclose(ours(*map(jnp.asarray, codes())), theirs(*codes()), rtol=1e-9)
    np.testing.assert_allclose(ours(*(jnp.asarray(z, jnp.float32) for z in codes())), theirs(*codes()), rtol=1e-4)
    rounded = [jnp.asarray(z, jnp.bfloat16) for z in codes()]
    exactly = theirs(*(np.asarray(z, np.float64) for z in rounded))
    np.testing.assert_allclose(ours(*rounded), exactly, rtol=1e-4)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("how", ["shard_map", "pmap"])
def test_on_several_devices_loss_and_gradient_are_those_of_the_whole_batch(name, how):
    loss, devices = LOSSES[name][0], 4
    x, y = (jnp.asarray(z, jnp.float32) for z in codes())
    w = jnp.eye(4) + 0.1

    def program(w, x, y, axis_name=None):
        value, gradient = jax.value_and_grad(lambda w: loss(x @ w, y @ w, axis_name=axis_name))(w)
        return (value, gradient) if axis_name is None or how == "shard_map" else lax.pmean((value, gradient), axis_name)

    spread = partial(program, axis_name="d")
    if how == "shard_map":
        mesh = jax.make_mesh((devices,), ("d",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:4])
        found = jax.jit(jax.shard_map(spread, mesh=mesh, in_specs=(P(), P("d"), P("d")), out_specs=P()))(w, x, y)
    else:
        split = (z.reshape(devices, -1, z.shape[1]) for z in (x, y))
        found = jax.tree.map(lambda v: v[0], jax.pmap(spread, axis_name="d", in_axes=(None, 0, 0))(w, *split))
    chex.assert_trees_all_close(found, program(w, x, y), rtol=1e-4, atol=1e-4)


def gaussians(key, pairs, dimensions, rho):
    x, noise = jax.random.normal(key, (2, pairs, dimensions))
    return x, rho * x + np.sqrt(1 - rho**2) * noise


@pytest.mark.parametrize(("rho", "dimensions"), [(0.0, 6), (0.6, 6), (0.99, 3)])
def test_gaussian_information_is_right_on_average_over_small_batches(rho, dimensions):
    information = jax.jit(jax.vmap(lambda key: gaussian_information(*gaussians(key, 40, dimensions, rho))))
    found = np.asarray(information(jax.random.split(jax.random.key(0), 4000)))
    truth = -0.5 * dimensions * np.log(1 - rho**2)
    assert abs(found.mean() - truth) < 4 * found.std() / np.sqrt(len(found))
    assert found.std() / np.sqrt(len(found)) < 0.02  # the bias that was taken off is D²/2B = 0.45 nats of six numbers


def test_gaussian_information_knows_no_linear_map():
    x, y = (jnp.asarray(z, jnp.float32) for z in codes(200))
    mixed = x @ jnp.asarray(np.random.default_rng(1).normal(size=(4, 4)), jnp.float32) + 5
    np.testing.assert_allclose(gaussian_information(mixed, -3 * y), gaussian_information(x, y), atol=2e-3)


def test_collapsed_codes_have_finite_losses_and_gradients():
    x = jnp.ones((12, 4))
    for loss, _ in LOSSES.values():
        value, gradient = jax.value_and_grad(lambda z, loss=loss: loss(z, z))(x)
        assert jnp.isfinite(value)
        assert jnp.all(jnp.isfinite(gradient))


@pytest.mark.parametrize("loss", [vicreg, barlow_twins, gaussian_information])
def test_codes_that_are_none_are_refused(loss):
    for x, y, expected in (
        (jnp.ones((4, 2)), jnp.ones((4, 3)), r"\(4, 2\) and \(4, 3\): expected two arrays of one shape"),
        (jnp.ones((20, 2), int), jnp.ones((20, 2), int), "expected a float dtype"),
        (jnp.ones((1, 2)), jnp.ones((1, 2)), "at least"),
    ):
        with pytest.raises(ValueError, match=expected):
            loss(x, y)


@pytest.mark.parametrize("value", [1.0, 0.1, -3e-4, 7e5])
def test_codes_that_are_all_alike_share_nothing(value):
    codes = jnp.full((7, 4), value)  # whose mean is not exactly this value
    assert abs(float(gaussian_information(codes, codes, shrinkage=0.01))) < 1e-3


def test_gaussian_information_of_too_few_pairs_needs_a_shrinkage():
    x = jax.random.normal(jax.random.key(0), (9, 4))
    with pytest.raises(ValueError, match=r"9 pairs of codes of 4 numbers: expected at least 10 pairs"):
        gaussian_information(x, x)
    with pytest.raises(ValueError, match="shrinkage=-1: expected a number ≥ 0"):
        gaussian_information(x, x, shrinkage=-1)
    assert jnp.isfinite(gaussian_information(x, x, shrinkage=0.1))
