"""Losses of the density ratio: in every way of computing, the numbers of the matrix of scores in float64."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import PartitionSpec as P

from mi_coding.objectives import bounds
from mi_coding.objectives.density_ratio import jensen_shannon_loss, nwj_loss, sigmoid_loss, smile_loss

LOSSES = {
    "nwj": nwj_loss,
    "jensen_shannon": jensen_shannon_loss,
    "smile": partial(smile_loss, clip=0.5),
    "sigmoid": sigmoid_loss,
}
TEMPERATURE, BIAS = 0.625, -0.75


def of_scores(name, scores):
    """Loss, information and accuracy from float64 scores with every pair in them, by the functions of `bounds`."""
    n, off = len(scores), ~np.eye(len(scores), dtype=bool)
    log_1p = np.logaddexp(0, scores)
    logistic = np.mean(np.logaddexp(0, -np.diag(scores))) + np.sum(log_1p, where=off) / n / (n - 1)
    accuracy = np.mean([all(row[i] > row[j] for j in range(n) if j != i) for i, row in enumerate(scores)])
    if name == "nwj":
        return -bounds.nwj(scores), bounds.nwj(scores), accuracy
    if name == "sigmoid":
        loss = np.mean(np.logaddexp(0, -np.diag(scores))) + np.sum(log_1p, where=off) / n
        return loss, bounds.density_ratio(scores + np.log(n - 1)), accuracy
    return logistic, bounds.smile(scores, clip=0.5) if name == "smile" else bounds.density_ratio(scores), accuracy


def codes(pairs=56):
    rng = np.random.default_rng(0)
    x = rng.integers(-4, 5, (pairs, 5)) / 4
    return x, x + rng.integers(-3, 5, x.shape) / 4


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("method", ["dense", "gather", "blockwise", "ring"])
@pytest.mark.parametrize("name", LOSSES)
def test_loss_and_gradients_are_those_of_all_scores(name, method, normalize):
    options = {"method": method, "block_size": 6, "normalize": normalize}  # tiles that overlap

    def ours(x, y, temperature, bias):
        out = LOSSES[name](x, y, temperature=temperature, bias=bias, **options)
        return out.loss, out

    def theirs(x, y, temperature, bias):
        if normalize:
            x, y = (z / jnp.linalg.norm(z, axis=1, keepdims=True) for z in (x, y))
        scores = x @ y.T / temperature + bias
        n = len(scores)
        true, off = jnp.diag(scores), ~jnp.eye(n, dtype=bool)
        if name == "nwj":
            return jnp.sum(jnp.exp(scores - 1), where=off) / n / (n - 1) - jnp.mean(true)
        weight = 1 if name == "sigmoid" else 1 / (n - 1)
        return jnp.mean(jax.nn.softplus(-true)) + weight * jnp.sum(jax.nn.softplus(scores), where=off) / n

    with jax.enable_x64(True):
        x, y = (jnp.asarray(z) + 0.1 for z in codes())
        inputs = (x, y, jnp.asarray(TEMPERATURE), jnp.asarray(BIAS))
        gradient, out = jax.jit(jax.grad(ours, argnums=(0, 1, 2, 3), has_aux=True))(*inputs)
        wanted = jax.grad(theirs, argnums=(0, 1, 2, 3))(*inputs)
        chex.assert_trees_all_close(gradient, wanted, rtol=1e-9, atol=1e-12)
        if normalize:
            x, y = (z / jnp.linalg.norm(z, axis=1, keepdims=True) for z in (x, y))
        scores = np.asarray(x @ y.T / TEMPERATURE + BIAS)
        np.testing.assert_allclose(out, of_scores(name, scores), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("method", ["gather", "blockwise", "ring"])
@pytest.mark.parametrize("name", LOSSES)
def test_on_eight_devices_they_are_those_of_the_whole_batch(name, method):
    x, y = (jnp.asarray(z, jnp.float32) for z in codes())
    w = jnp.eye(5, 4) + 0.1

    def program(w, bias, x, y, axis_name=None, method="dense"):
        def loss(w, bias):
            out = LOSSES[name](x @ w, y @ w, bias=bias, axis_name=axis_name, method=method, block_size=3)
            return out.loss, out

        return jax.grad(loss, argnums=(0, 1), has_aux=True)(w, bias)

    mesh = jax.make_mesh((8,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    spread = partial(program, axis_name="d", method=method)
    mapped = jax.shard_map(spread, mesh=mesh, in_specs=(P(), P(), P("d"), P("d")), out_specs=P())
    found = jax.jit(mapped)(w, BIAS, x, y)
    chex.assert_trees_all_close(found, jax.jit(program)(w, BIAS, x, y), rtol=2e-4, atol=1e-5)


def test_distractors_of_other_devices_leave_out_those_of_the_own():
    x, y = (jnp.asarray(z, jnp.float32) for z in codes())
    scores = np.asarray(x @ y.T, np.float64)
    shard = np.arange(56) // 7
    allowed = shard[:, None] != shard[None, :]
    wanted = np.mean(np.diag(scores)) - np.sum(np.exp(scores - 1), where=allowed) / allowed.sum()
    mapped = jax.vmap(
        partial(nwj_loss, axis_name="d", distractors="other_devices", method="ring", block_size=3), axis_name="d"
    )
    out = mapped(*(z.reshape(8, 7, 5) for z in (x, y)))
    np.testing.assert_allclose(out.information, np.full(8, wanted), rtol=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_trained_scores_read_the_information_of_gaussians(name):
    """y = ρ x + noise of three numbers share 0.67 nats; a critic of their squares knows the ratio exactly."""
    rho, dimensions = 0.6, 3
    truth = -0.5 * dimensions * np.log(1 - rho**2)

    def features(x, y):  # ⟨…⟩ holds every term of the log ratio but its constant, which the bias has
        ones = jnp.ones_like(x)
        return jnp.concatenate([x, x**2, ones], 1), jnp.concatenate([y, ones, y**2], 1)

    def loss(params, key):
        x, noise = jax.random.normal(key, (2, 256, dimensions))
        queries, keys = features(x, rho * x + jnp.sqrt(1 - rho**2) * noise)
        out = LOSSES[name](queries * params["w"], keys, bias=params["b"])
        return out.loss, out

    @jax.jit
    def train(params, key):
        def step(params, key):
            gradient, out = jax.grad(loss, has_aux=True)(params, key)
            rate = 0.05 if name != "sigmoid" else 0.02
            return jax.tree.map(lambda p, g: p - rate * jnp.clip(g, -1, 1), params, gradient), out

        return lax.scan(step, params, jax.random.split(key, 600))

    start = {"w": jnp.zeros(3 * dimensions), "b": jnp.asarray(-5.0 if name == "sigmoid" else 0.0)}
    _, out = train(start, jax.random.key(0))
    read = np.asarray(out.information)[-300:]
    clipped = 0.15 if name == "smile" else 0.06  # scores beyond half a nat count as half a nat: too much is read
    assert abs(read.mean() - truth) < clipped


def test_wrong_arguments_are_refused():
    z = jnp.ones((4, 2))
    for call, expected in (
        (lambda: smile_loss(z, z, clip=0), "clip=0: expected a number > 0"),
        (lambda: nwj_loss(z, z[:, :1]), "expected two arrays of one shape"),
        (lambda: sigmoid_loss(z, z, temperature=0), "temperature=0"),
        (lambda: jensen_shannon_loss(z, z, distractors="some"), "choose 'all' or 'other_devices'"),
    ):
        with pytest.raises(ValueError, match=expected):
            call()
