"""The objective of deep co-training against what theory says of it."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from code_oracle import law, log_softmax, numeric_gradient

from mi_coding.objectives import codes
from mi_coding.objectives.cotraining import Models, cotraining, prior_loss
from mi_coding.objectives.gradient import mean_gradient
from mi_coding.training.devices import AXIS, data_parallel


def certain(values, num_values):
    """log_q of an encoder without doubt, one symbol."""
    return jnp.log(jax.nn.one_hot(jnp.asarray(values), num_values))[:, None]


def best_tables(log_q_x, log_q_y):
    """Logarithms of the prior and the conditional table that code a batch of one-symbol pairs best."""
    joint = codes.pair_population(log_q_x, log_q_y)
    safe = lambda p: jnp.log(jnp.maximum(p, 1e-30))  # noqa: E731
    return safe(joint.sum(1))[None, None], safe(joint / jnp.maximum(joint.sum(0), 1e-30)).T[None]


def one_symbol(num_values):
    return Models(codes.independent(1, num_values), codes.independent(1, num_values, conditional=True))


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.7])
def test_a_constant_code_has_no_information_and_costs_nothing(beta):
    log_q = certain([2] * 6, 4)
    out = cotraining(one_symbol(4), best_tables(log_q, log_q), (log_q, log_q), beta=beta)
    assert float(out.objective) == pytest.approx(0, abs=1e-6)
    assert float(out.entropy) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("beta", [0.0, 0.25, 0.75, 1.2])
def test_a_function_of_what_is_shared_has_j_of_entropy_less_its_cost(beta):
    log_q = certain([0, 0, 0, 1, 1, 3], 4)
    out = cotraining(one_symbol(4), best_tables(log_q, log_q), (log_q, log_q), beta=beta)
    entropy = _entropy([3, 2, 1])
    assert float(out.objective) == pytest.approx((1 - beta) * entropy, rel=1e-5)
    assert float(out.mi) == pytest.approx(entropy, rel=1e-5)


def _entropy(counts):
    shares = np.array(counts) / sum(counts)
    return -np.sum(shares * np.log(shares))


def lopsided_pair(seed, shape, rows=8):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, *shape)) * 2
    return x, x + rng.normal(size=x.shape)


def test_with_the_best_psi_the_gradient_is_that_of_the_exact_entropies():
    x, y = lopsided_pair(0, (1, 3))
    models = one_symbol(3)

    def exact_j(logits, beta):
        q_x, q_y = (law(log_softmax(half)) for half in logits)
        joint = np.einsum("ba,bc->ac", q_x, q_y) / len(q_x)
        h = lambda p: -np.sum(p * np.log(p))  # noqa: E731
        return (1 - beta) * h(joint.sum(1)) - (h(joint) - h(joint.sum(0)))

    def ours(logits, tables, beta):
        return cotraining(models, tables, jax.nn.log_softmax(logits), beta=beta).objective

    logits = np.stack([x, y])
    tables = best_tables(*jax.nn.log_softmax(jnp.float32(logits)))
    for beta in (0.0, 0.6):
        value, gradient = jax.value_and_grad(ours)(jnp.float32(logits), tables, beta)
        assert value == pytest.approx(exact_j(logits, beta), abs=1e-5)
        expected = numeric_gradient(lambda both, beta=beta: exact_j(both, beta), logits)
        np.testing.assert_allclose(gradient, expected, atol=1e-5)


def test_psi_learns_from_its_own_loss_alone_and_codes_do_not():
    x, y = (jax.nn.log_softmax(jnp.float32(half)) for half in lopsided_pair(1, (2, 3)))
    models = prior, conditional = Models(codes.markov(2, 3, order=1), codes.independent(2, 3, conditional=True))
    psi, phi = prior.init(jax.random.key(0)), conditional.init(jax.random.key(0))
    by_psi, by_phi = jax.grad(lambda p: cotraining(models, p, (x, y)).objective)((psi, phi))
    assert np.abs(by_psi).max() == 0
    assert np.abs(by_phi).max() > 0.01
    assert np.abs(jax.grad(lambda code: prior_loss(prior, psi, code))(x)).max() == 0
    for _ in range(300):
        psi -= 2 * jax.grad(lambda psi: prior_loss(prior, psi, x))(psi)
    assert prior_loss(prior, psi, x) == pytest.approx(_chain_entropy(x), abs=1e-3)


def _chain_entropy(log_q):
    """A chain of order 1 over two symbols is any law of two symbols."""
    return float(codes.entropy(codes.population(log_q)))


def test_symmetric_is_the_mean_of_both_directions():
    x, y = (jax.nn.log_softmax(jnp.float32(half)) for half in lopsided_pair(2, (2, 3)))
    models = Models(codes.markov(2, 3, order=1), codes.markov(2, 3, order=1, conditional=True))
    psi = jnp.float32(np.random.default_rng(0).normal(size=(2, 3, 3)))
    phi = jnp.float32(np.random.default_rng(1).normal(size=(2, 9, 3)))
    call = partial(cotraining, models, (psi, phi), beta=0.3)
    there, back, both = call((x, y)), call((y, x)), call((x, y), symmetric=True)
    for one, other, mean in zip(there, back, both, strict=True):
        assert float(mean) == pytest.approx((float(one) + float(other)) / 2, rel=1e-5)
    assert abs(float(there.objective) - float(back.objective)) > 0.01


def make_step(models):
    """Gradient of J for encoder logits that are a function of copied parameters, on any number of devices."""
    prior, conditional = models

    def step(params, logits):
        share = 16 // jax.lax.axis_size(AXIS)
        mine = jax.lax.dynamic_slice_in_dim(logits, jax.lax.axis_index(AXIS) * share, share, axis=1)

        def loss(params):
            log_q = jax.nn.log_softmax(mine * params["scale"])
            psi_phi = params["psi"], params["phi"]
            out = cotraining(models, psi_phi, log_q, symmetric=True, key=jax.random.key(7), axis_name=AXIS)
            psi_loss = prior_loss(prior, params["psi"], log_q[0], key=jax.random.key(8), axis_name=AXIS)
            return psi_loss - out.objective, out._asdict()

        (_, metrics), gradient = mean_gradient(loss, AXIS)(params)
        return gradient, metrics

    params = {
        "scale": jnp.ones((2, 3)),
        "psi": prior.init(jax.random.key(1)),
        "phi": conditional.init(jax.random.key(2)),
    }
    return step, params


EXACT = Models(codes.markov(2, 3, order=1), codes.independent(2, 3, conditional=True))
DRAWN = Models(codes.autoregressive(2, 3, hidden=4), codes.autoregressive(2, 3, conditional=True))


@pytest.mark.parametrize(("models", "how"), [(EXACT, "pmap"), (DRAWN, "shard_map")])
def test_eight_devices_give_the_figures_and_gradients_of_one(models, how):
    logits = jnp.float32(np.stack(lopsided_pair(3, (2, 3), rows=16)))
    step, params = make_step(models)
    found = []
    for devices in (1, 8):
        way = data_parallel(how, jax.local_devices()[:devices])
        found.append([way.fetch(part) for part in way.parallel(step)(way.replicate(params), way.replicate(logits))])
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6), *found)


@pytest.mark.parametrize("beta", [-0.1, math.inf, math.nan])
def test_a_price_outside_zero_to_infinity_is_refused(beta):
    log_q = certain([0, 1], 2)
    with pytest.raises(ValueError, match=r"beta=.* costs at least 0 and a finite"):
        cotraining(one_symbol(2), (None, None), (log_q, log_q), beta=beta)


def test_models_in_the_wrong_place_and_codes_of_two_shapes_are_refused():
    prior, conditional = one_symbol(2)
    log_q = certain([0, 1], 2)
    with pytest.raises(ValueError, match="a prior that is given nothing and a conditional model"):
        cotraining(Models(conditional, prior), (None, None), (log_q, log_q))
    with pytest.raises(ValueError, match=r"\(2, 1, 2\) and \(1, 1, 2\): expected one shape"):
        cotraining(Models(prior, conditional), (None, None), (log_q, log_q[:1]))
