"""Optimisers against their formulas in float64, and what each option does."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi_coding.encoders.vit import ViT
from mi_coding.methods.base import with_own_rate
from mi_coding.training import optimizers

PLAIN = {"warmup_steps": 0, "num_steps": 10, "weight_decay": 0.0, "momentum": 0.0, "gradient_clip": 0.0}


def build(name, *, num_steps, **options):
    return optimizers.OptimizerOptions(name, **options).build(batch_size=16, num_steps=num_steps)


def first_update(name, params, gradients, **options):
    optimizer = build(name, **PLAIN | {"learning_rate": 0.1} | options)
    return optimizer.update(gradients, optimizer.init(params), params)[0]


@pytest.fixture
def params():
    return {"kernel": jnp.full((2, 2), 3.0), "bias": jnp.full(2, 3.0)}


@pytest.mark.parametrize("name", optimizers.OPTIMIZERS)
def test_weights_decay_and_biases_do_not(name, params):
    updates = first_update(name, params, jax.tree.map(jnp.zeros_like, params), weight_decay=0.5)
    assert np.all(np.asarray(updates["kernel"]) < 0)
    assert np.all(np.asarray(updates["bias"]) == 0)


@pytest.mark.parametrize(("name", "rate"), [("adamw", 0.05), ("sgd", 0.05), ("lars", 1.0), ("muon", 0.25)])
def test_every_optimizer_walks_down_a_bowl(name, rate, params):
    optimizer = build(name, **PLAIN | {"learning_rate": rate, "num_steps": 400, "momentum": 0.5})

    @jax.jit
    def step(params, state):
        updates, state = optimizer.update(params, state, params)  # the gradient of ½‖params‖²
        return jax.tree.map(jnp.add, params, updates), state

    state = optimizer.init(params)
    for _ in range(400):
        params, state = step(params, state)
    # From 54; LARS moves a weight by at most a thousandth of its length in a step.
    assert sum(float(jnp.sum(leaf**2)) for leaf in params.values()) < (20 if name == "lars" else 5)


ALL_ON = {"learning_rate": 0.3, "warmup_steps": 2, "num_steps": 6, "weight_decay": 0.1, "momentum": 0.8}


def updates_of(optimizer, steps):
    """Every update of a few steps of one weight and one bias, and the parameters and gradients that they had."""
    rng = np.random.default_rng(0)
    params = {"kernel": jnp.float32(rng.normal(size=(2, 3))), "bias": jnp.float32(rng.normal(size=3))}
    state, found, update = optimizer.init(params), [], jax.jit(optimizer.update)
    for step in range(steps):
        size = 2.0 if step % 2 else 0.05  # clipped and not
        gradients = {name: jnp.float32(size * rng.normal(size=leaf.shape)) for name, leaf in params.items()}
        updates, state = update(gradients, state, params)
        found.append(jax.tree.map(np.float64, (params, gradients, updates)))
        params = jax.tree.map(jnp.add, params, updates)
    return found


def rate_at(step, *, learning_rate, warmup_steps, num_steps):
    if step < warmup_steps:
        return learning_rate * step / warmup_steps
    share = min((step - warmup_steps) / (num_steps - warmup_steps), 1)
    return learning_rate * (1 + math.cos(math.pi * share)) / 2


def orthogonalised(matrix):
    """The quintic polynomial of Muon applied five times to each singular value of a matrix of norm 1."""
    u, values, v = np.linalg.svd(matrix / np.linalg.norm(matrix), full_matrices=False)
    for _ in range(5):
        values = 3.4445 * values - 4.775 * values**3 + 2.0315 * values**5
    return (u * values) @ v


def assert_follows(found, name, *, weight_decay, momentum, gradient_clip, **schedule):
    """Compares updates with the formulas: SGD, LARS (arXiv:1708.03888), AdamW (arXiv:1711.05101), Muon."""
    moments = {part: (0.0, 0.0) for part in ("kernel", "bias")}
    for step, (params, gradients, updates) in enumerate(found):
        norm = math.sqrt(sum(np.sum(g**2) for g in gradients.values()))
        clip = min(1, gradient_clip / norm) if gradient_clip else 1
        rate = rate_at(step, **schedule)
        for part, w in params.items():
            decay, (m, v), g = weight_decay * w * (part == "kernel"), moments[part], clip * gradients[part]
            if name == "muon" and part == "kernel":
                m = momentum * m + (1 - momentum) * g
                ahead = momentum * m / (1 - momentum ** (step + 2)) + (1 - momentum) * g / (1 - momentum ** (step + 1))
                expected = -rate * (0.2 * math.sqrt(max(w.shape)) * orthogonalised(ahead) + decay)
            elif name in ("adamw", "muon"):
                m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
                direction = m / (1 - 0.9 ** (step + 1)) / (np.sqrt(v / (1 - 0.999 ** (step + 1))) + 1e-8)
                expected = -rate * (direction + decay)
            elif name == "lars":
                direction = g + decay
                trust = 0.001 * np.linalg.norm(w) / np.linalg.norm(direction) if part == "kernel" else 1
                m = momentum * m + rate * trust * direction
                expected = -m
            else:
                m = momentum * m + g + decay
                expected = -rate * m
            moments[part] = m, v
            np.testing.assert_allclose(updates[part], expected, rtol=1e-4, atol=1e-7)  # of float32


@pytest.mark.parametrize("clip", [0.0, 0.7])
@pytest.mark.parametrize("name", optimizers.OPTIMIZERS)
def test_every_update_follows_the_formula_with_all_options_on(name, clip):
    options = ALL_ON | {"gradient_clip": clip}
    found = updates_of(build(name, **options), steps=8)  # two more than the schedule has
    assert_follows(found, name, **options)
    assert all(np.all(leaf == 0) for leaf in found[0][2].values())  # the warm-up begins at 0


def assert_orthogonalised(found, gradient, num_inputs):
    """The update at learning rate 0.1 is the orthogonalised gradient, reshaped to a matrix with `num_inputs` rows."""
    matrix = np.asarray(gradient, np.float64).reshape(num_inputs, -1)
    expected = -0.1 * 0.2 * math.sqrt(max(matrix.shape)) * orthogonalised(matrix)
    np.testing.assert_allclose(found, expected.reshape(gradient.shape), rtol=1e-3, atol=1e-5)


def test_muon_reads_every_kernel_of_a_transformer_as_its_linear_map():
    params = ViT(patch=4, width=6, depth=1, heads=2).init(jax.random.key(0), jnp.zeros((1, 8, 8, 1)), False)["params"]
    flat, found = (
        {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in jax.tree.leaves_with_path(tree)}
        for tree in (params, first_update("muon", params, params))
    )
    num_inputs = {"embed": 16, "query": 6, "key": 6, "value": 6, "out": 6, "dense1": 6, "dense2": 24}
    layers = {path: path.split("/")[-2] for path in flat if path.endswith("/kernel")}
    assert sorted(layers.values()) == sorted(num_inputs)
    for path, layer in layers.items():
        assert_orthogonalised(found[path], flat[path], num_inputs[layer])


def test_muon_reads_the_kernel_of_a_convolution_as_a_map_of_its_patches():
    kernel = jax.random.normal(jax.random.key(0), (3, 3, 4, 6))
    found = first_update("muon", *[{"Conv_0": {"kernel": kernel}}] * 2)["Conv_0"]["kernel"]
    assert_orthogonalised(found, kernel, 3 * 3 * 4)


def test_muon_leaves_weights_that_are_no_linear_map_to_adamw():
    params = {"class_token": jnp.ones((2, 4)), "positions": jnp.ones((3, 3, 4)), "critic": {"weight": jnp.eye(3)}}
    found = {name: first_update(name, params, params, weight_decay=0.3) for name in ("muon", "adamw")}
    jax.tree.map(np.testing.assert_array_equal, found["muon"], found["adamw"])


def test_a_warm_up_longer_than_the_run_is_cut():
    schedule = optimizers.learning_rate_schedule(1.0, warmup_steps=100, num_steps=5)
    assert [round(float(schedule(step)), 2) for step in range(6)] == [0, 0.25, 0.5, 0.75, 1, 0]
    assert float(optimizers.learning_rate_schedule(1.0, warmup_steps=0, num_steps=4)(0)) == 1


def test_learning_rates_grow_with_the_batch_as_the_paper_says():
    factors = {name: scaling(1024) for name, scaling in optimizers.SCALINGS.items()}
    assert factors == {"none": 1, "linear": 4, "sqrt": 32}
    assert 0.3 * optimizers.SCALINGS["linear"](4096) == pytest.approx(4.8)
    assert 0.075 * optimizers.SCALINGS["sqrt"](4096) == pytest.approx(4.8)  # where both rules of the paper meet


def test_a_probe_beside_changes_no_update_of_the_other_parameters(params):
    options = PLAIN | {"learning_rate": 0.1, "gradient_clip": 0.5, "weight_decay": 0.1}
    plain = build("lars", **options)
    gradients = jax.tree.map(jnp.ones_like, params)
    expected, _ = plain.update(gradients, plain.init(params), params)
    both = {**params, "probe": {"kernel": jnp.ones((3, 2))}}
    optimizer = with_own_rate(plain, "probe", 0.01)
    updates, _ = optimizer.update({**gradients, "probe": {"kernel": jnp.full((3, 2), 1e6)}}, optimizer.init(both), both)
    np.testing.assert_array_equal(updates["kernel"], expected["kernel"])
    np.testing.assert_array_equal(updates["bias"], expected["bias"])
    np.testing.assert_allclose(updates["probe"]["kernel"], -0.01, rtol=1e-5)  # Adam's first step
