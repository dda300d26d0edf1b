import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi_coding.methods.base import with_own_rate
from mi_coding.training import optimizers

PLAIN = {"warmup_steps": 0, "num_steps": 10, "weight_decay": 0.0, "momentum": 0.0, "gradient_clip": 0.0}


def first_update(name, params, gradients, **options):
    optimizer = optimizers.build(name, **PLAIN | {"learning_rate": 0.1} | options)
    return optimizer.update(gradients, optimizer.init(params), params)[0]


@pytest.fixture
def params():
    return {"kernel": jnp.full((2, 2), 3.0), "bias": jnp.full(2, 3.0)}


@pytest.mark.parametrize("name", optimizers.OPTIMIZERS)
def test_weights_decay_and_biases_do_not(name, params):
    updates = first_update(name, params, jax.tree.map(jnp.zeros_like, params), weight_decay=0.5)
    assert np.all(np.asarray(updates["kernel"]) < 0)
    assert np.all(np.asarray(updates["bias"]) == 0)


@pytest.mark.parametrize(("name", "rate"), [("adamw", 0.05), ("sgd", 0.05), ("lars", 1.0)])
def test_every_optimizer_walks_down_a_bowl(name, rate, params):
    optimizer = optimizers.build(name, **PLAIN | {"learning_rate": rate, "num_steps": 400, "momentum": 0.5})

    @jax.jit
    def step(params, state):
        updates, state = optimizer.update(params, state, params)  # the gradient of ½‖params‖²
        return jax.tree.map(jnp.add, params, updates), state

    state = optimizer.init(params)
    for _ in range(400):
        params, state = step(params, state)
    # From 54; LARS moves a weight by at most a thousandth of its length in a step.
    assert sum(float(jnp.sum(leaf**2)) for leaf in params.values()) < (20 if name == "lars" else 5)


def test_sgd_is_the_gradient_times_the_rate(params):
    updates = first_update("sgd", params, jax.tree.map(jnp.ones_like, params))
    np.testing.assert_allclose(updates["kernel"], -0.1)


def test_lars_scales_a_weight_by_its_trust_ratio_and_a_bias_not_at_all(params):
    updates = first_update("lars", params, jax.tree.map(lambda x: jnp.full_like(x, 2.0), params))
    np.testing.assert_allclose(updates["bias"], -0.2, rtol=1e-6)
    np.testing.assert_allclose(updates["kernel"], -0.2 * 0.001 * 3 / 2, rtol=1e-5)  # η ‖w‖/‖g‖, arXiv:1708.03888


def test_gradient_is_clipped_to_a_global_norm(params):
    updates = first_update("sgd", params, jax.tree.map(lambda x: jnp.full_like(x, 100.0), params), gradient_clip=1.0)
    norm = np.sqrt(sum(float(jnp.sum(leaf**2)) for leaf in updates.values()))
    assert norm == pytest.approx(0.1)


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
    plain = optimizers.build("lars", **options)
    gradients = jax.tree.map(jnp.ones_like, params)
    expected, _ = plain.update(gradients, plain.init(params), params)
    both = {**params, "probe": {"kernel": jnp.ones((3, 2))}}
    optimizer = with_own_rate(plain, "probe", 0.01)
    updates, _ = optimizer.update({**gradients, "probe": {"kernel": jnp.full((3, 2), 1e6)}}, optimizer.init(both), both)
    np.testing.assert_array_equal(updates["kernel"], expected["kernel"])
    np.testing.assert_array_equal(updates["bias"], expected["bias"])
    np.testing.assert_allclose(updates["probe"]["kernel"], -0.01, rtol=1e-5)  # Adam's first step
