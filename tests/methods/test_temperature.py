"""A temperature that is learnt: it moves, is logged, does not fall below its bound, and judges held-out codes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_experiment import make_experiment

from mi_coding.errors import InputError
from mi_coding.methods import METHODS
from mi_coding.methods.contrastive import LEAST_TEMPERATURE


@pytest.fixture(params=["cpc", "nt_xent", "sigmoid"])
def method(request):
    parts = make_experiment()[1].parts
    return METHODS[request.param](request.param, parts, code_dim=4, temperature=0.2, learn_temperature=True)


def loss(method, key, images):
    params, stats = method.init(key, images[:8, :4, :4], images[:8, :4, :4])
    x, y = images[:8, :4, :4], images[:8, 2:, 2:]
    gradient, (metrics, _) = jax.jit(jax.grad(lambda p: method.loss(p, stats, key, x, y, None), has_aux=True))(params)
    return params, gradient, metrics


def test_it_begins_at_the_option_and_has_a_gradient(method, key, images):
    params, gradient, metrics = loss(method, key, images)
    np.testing.assert_allclose(metrics["temperature"], 0.2, rtol=1e-6)
    np.testing.assert_allclose(params["log_temperature"], np.log(0.2), rtol=1e-6)
    assert gradient["log_temperature"] != 0
    fixed = dataclasses.replace(method, learn_temperature=False)
    params_of_fixed, _, metrics_of_fixed = loss(fixed, key, images)
    assert "log_temperature" not in params_of_fixed
    assert "temperature" not in metrics_of_fixed
    np.testing.assert_allclose(metrics["loss"], metrics_of_fixed["loss"], rtol=1e-6)


def test_it_is_bounded_and_judges_held_out_codes(method, key):
    z_x, z_y = jax.random.normal(key, (2, 16, 4))
    params = {"critic": {}, "log_temperature": jnp.log(0.7)}
    fixed = dataclasses.replace(method, learn_temperature=False, temperature=0.7)
    np.testing.assert_allclose(
        method.contrast(params, z_x, z_y).loss, fixed.contrast({"critic": {}}, z_x, z_y).loss, rtol=1e-6
    )
    low = {"critic": {}, "log_temperature": jnp.asarray(-50.0)}
    np.testing.assert_allclose(method.temperature_of(low), LEAST_TEMPERATURE, rtol=1e-5)


def test_below_its_bound_it_still_has_a_gradient(method, key):
    z_x, z_y = jax.random.normal(key, (2, 16, 4))

    def loss(log_temperature):
        return method.contrast({"critic": {}, "log_temperature": log_temperature}, z_x, z_y).loss

    assert jax.grad(loss)(jnp.log(LEAST_TEMPERATURE) - 1) != 0


def test_a_temperature_below_the_bound_is_refused(method):
    low = dataclasses.replace(method, temperature=0.005)
    with pytest.raises(InputError, match=r"0\.005 is below 0\.01, the least that can be learnt"):
        low.check(low.parts.pairs, low.parts.encoder, 16, 1)
