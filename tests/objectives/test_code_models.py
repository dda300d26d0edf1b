"""Laws of codes against enumeration of every code."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from code_oracle import conditional_cross_entropy, cross_entropy, law, listed, log_softmax, numeric_gradient
from hypothesis import given, settings
from hypothesis import strategies as st

from mi_coding.objectives import codes

M, K, ROWS = 3, 3, 4
EXACT = {
    "independent": partial(codes.independent, M, K),
    "markov of order 1": partial(codes.markov, M, K, order=1),
    "markov of order 2": partial(codes.markov, M, K, order=2),
}
DRAWN = {
    "linear autoregressive": partial(codes.autoregressive, M, K),
    "autoregressive": partial(codes.autoregressive, M, K, hidden=5),
}
MODELS = EXACT | DRAWN
EITHER = pytest.mark.parametrize("conditional", [False, True], ids=["prior", "conditional"])


def lopsided_params(model, seed=0):
    """Parameters where no symbol, value or place is like another."""
    leaves, tree = jax.tree.flatten(model.init(jax.random.key(seed)))
    rng = np.random.default_rng(seed)
    params = tree.unflatten([jnp.float32(leaf + rng.normal(size=leaf.shape)) for leaf in leaves])
    return params._replace(mean=jax.nn.softmax(params.mean)) if hasattr(params, "_replace") else params


def lopsided_logits(seed=0, rows=ROWS, shape=(M, K)):
    return np.random.default_rng(seed).normal(size=(rows, *shape)) * np.arange(1, shape[0] + 1)[:, None]


def every_log_prob(model, params):
    """logs[z] of every code, or logs[z′, z]."""
    every = codes.all_codes(M, K)
    log_prob = jax.jit(partial(codes.log_prob, model))
    if not model.conditional:
        return np.asarray(log_prob(params, every), np.float64)
    pairs = jnp.array(list(itertools.product(every.tolist(), every.tolist())))
    return np.asarray(log_prob(params, pairs[:, 1], pairs[:, 0]), np.float64).reshape(K**M, K**M)


@EITHER
@pytest.mark.parametrize("name", MODELS)
def test_probabilities_of_all_codes_sum_to_one_and_no_symbol_looks_ahead(name, conditional):
    model = MODELS[name](conditional=conditional)
    params = lopsided_params(model)
    np.testing.assert_allclose(np.exp(every_log_prob(model, params)).sum(-1), 1, rtol=1e-5)
    z = codes.all_codes(M, K)[7:12]
    given_codes = codes.all_codes(M, K)[3:8] if conditional else None
    before = model.next_log_probs(params, z, given_codes)
    after = model.next_log_probs(params, z.at[:, 1:].set(0), given_codes)
    np.testing.assert_allclose(before[:, :2], after[:, :2], rtol=1e-5)


@EITHER
@pytest.mark.parametrize("name", EXACT)
def test_exact_cross_entropies_and_their_gradients_are_those_of_all_codes(name, conditional):
    model = EXACT[name](conditional=conditional)
    params, logs = lopsided_params(model), every_log_prob(model, lopsided_params(model))
    x, y = lopsided_logits(1), lopsided_logits(2)

    def by_hand(x, y):
        if conditional:
            return conditional_cross_entropy(logs, log_softmax(x), log_softmax(y))
        return cross_entropy(logs, log_softmax(x))

    def ours(x, y):
        other = jax.nn.log_softmax(y) if conditional else None
        return model.cross_entropy(params, jax.nn.log_softmax(x), other)

    value, (by_x, by_y) = jax.jit(jax.value_and_grad(ours, argnums=(0, 1)))(jnp.float32(x), jnp.float32(y))
    assert value == pytest.approx(by_hand(x, y), rel=1e-5)
    np.testing.assert_allclose(by_x, numeric_gradient(lambda x: by_hand(x, y), x), atol=2e-5)
    np.testing.assert_allclose(by_y, numeric_gradient(lambda y: by_hand(x, y), y), atol=2e-5)


@EITHER
@pytest.mark.parametrize("name", DRAWN)
def test_estimated_gradients_point_where_those_of_all_codes_point(name, conditional):
    model = DRAWN[name](conditional=conditional, samples=256)
    params, logs = lopsided_params(model), every_log_prob(model, lopsided_params(model))
    x, y = lopsided_logits(1), lopsided_logits(2)

    def exact(both):
        if conditional:
            joint = jnp.einsum("ba,bc->bac", _law(both[0]), _law(both[1]))
            return -jnp.mean(jnp.einsum("bac,ca->b", joint, logs))
        return -jnp.mean(_law(both[0]) @ logs)

    def drawn(both, key):
        log_q, other = jax.nn.log_softmax(both[0]), jax.nn.log_softmax(both[1]) if conditional else None
        return model.cross_entropy(params, log_q, other, key)

    both = jnp.stack([x, y]).astype(jnp.float32)
    truth_value, truth = jax.jit(jax.value_and_grad(exact))(both)
    keys = jax.random.split(jax.random.key(5), 24)
    values, gradients = jax.jit(jax.vmap(jax.value_and_grad(drawn), in_axes=(None, 0)))(both, keys)
    flat, truth = gradients.reshape(len(keys), -1), truth.ravel()
    cosines = flat @ truth / jnp.linalg.norm(flat, axis=1) / jnp.linalg.norm(truth)
    assert cosines.mean() >= 0.99
    for estimate, true in ((values[:, None], jnp.array([truth_value])), (flat, truth)):  # unbiased, entry by entry
        error = np.std(estimate, axis=0, ddof=1) / np.sqrt(len(keys))
        assert np.all(np.abs(estimate.mean(0) - true) <= 4.5 * error + 1e-5)


def _law(logits):
    log_q = jax.nn.log_softmax(logits)
    return jnp.exp(sum(log_q[:, m][:, codes.all_codes(M, K)[:, m]] for m in range(M)))


@EITHER
@pytest.mark.parametrize("order", [0, 1, 2])
def test_a_table_refitted_to_a_batch_has_no_better_one(order, conditional):
    model = codes.markov(M, K, order=order, conditional=conditional)
    log_q, other = (jax.nn.log_softmax(jnp.float32(lopsided_logits(seed))) for seed in (6, 7))
    other = other if conditional else None
    best = model.refit(None, log_q, other, None)
    value, gradient = jax.jit(jax.value_and_grad(lambda table: model.cross_entropy(table, log_q, other)))(best)
    np.testing.assert_allclose(gradient, 0, atol=1e-5)
    if order == M - 1 and not conditional:  # any law of three symbols
        assert value == pytest.approx(float(codes.entropy(codes.population(log_q))), abs=1e-4)


def test_a_refitted_network_has_the_marginals_of_the_batch():
    model = codes.autoregressive(M, K, hidden=5)
    begun = lopsided_params(model)
    log_q = jax.nn.log_softmax(jnp.float32(lopsided_logits(6)))
    refitted = model.refit(begun, log_q, None, None, jax.random.key(1))
    np.testing.assert_allclose(refitted.mean, np.exp(log_softmax(lopsided_logits(6))).mean(0), rtol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, refitted.hidden, begun.hidden)


@pytest.mark.parametrize("hidden", [0, 5])
def test_repeated_refits_to_one_batch_converge_to_the_best_weights(hidden):
    model = codes.autoregressive(M, K, hidden=hidden)
    log_q = jnp.where(jax.nn.one_hot(jnp.array(_DEPENDENT), K) > 0, 0.0, -1e9)  # certain: nothing is drawn

    def cross_entropy(params):
        return model.cross_entropy(params, log_q, None, jax.random.key(0))

    @jax.jit
    def refit_again_and_again(params):
        def refit(params, _):
            params = model.refit(params, log_q, None, None, jax.random.key(1))
            return params, cross_entropy(params)

        params, values = jax.lax.scan(refit, params, length=400)
        return values, jax.grad(cross_entropy)(params)

    begun = lopsided_params(model)
    values, gradient = refit_again_and_again(begun)
    values = [float(cross_entropy(begun)), *values.tolist()]
    assert all(later <= earlier + 1e-6 for earlier, later in itertools.pairwise(values))
    assert values[1] < values[0] - 0.1
    np.testing.assert_allclose(gradient.own, 0, atol=2e-4)
    np.testing.assert_allclose(gradient.bias, 0, atol=2e-4)


def _without_a_key(model):
    return model.refit(model.init(jax.random.key(0)), jnp.zeros((1, 3, 2)))


_DEPENDENT = [[0, 0, 1], [0, 0, 2], [0, 1, 1], [1, 1, 1], [1, 1, 0], [1, 2, 0], [2, 2, 0], [2, 0, 2], [2, 2, 2]]
"""Codes whose symbols tell of each other, none for sure."""


@pytest.mark.parametrize("name", DRAWN)
def test_the_gradient_of_drawn_codes_reaches_the_parameters(name):
    model = DRAWN[name](conditional=True)
    log_q = jnp.where(jax.nn.one_hot(jnp.array([[0, 2, 1], [1, 1, 0]]), K) > 0, 0.0, -1e9)  # certain: nothing is drawn
    z, params = jnp.argmax(log_q, -1), lopsided_params(model)
    ours = jax.jit(jax.grad(lambda p: model.cross_entropy(p, log_q, log_q[::-1], jax.random.key(0))))(params)
    theirs = jax.jit(jax.grad(lambda p: -jnp.mean(codes.log_prob(model, p, z, z[::-1]))))(params)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6), ours, theirs)
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(ours._replace(mean=())) if leaf.size)
    assert np.abs(ours.mean).max() == 0  # only a refit sets it


@EITHER
@pytest.mark.parametrize("name", ["markov of order 2", "autoregressive"])
def test_samples_have_the_probabilities_of_the_model(name, conditional):
    model = MODELS[name](conditional=conditional)
    params = lopsided_params(model)
    count = 40_000
    told = jnp.tile(jnp.array([[2, 0, 1]]), (count, 1)) if conditional else None
    z = codes.sample(model, params, jax.random.key(1), None if conditional else count, told)
    every = codes.all_codes(M, K)
    expected = np.exp(codes.log_prob(model, params, every, told[: len(every)] if conditional else None))
    found = np.bincount(np.asarray(z @ jnp.array([9, 3, 1])), minlength=K**M) / count
    assert np.all(np.abs(found - expected) < 4.5 * np.sqrt(expected / count) + 1e-4)


def test_populations_of_codes_and_of_pairs_are_means_over_the_batch():
    x, y = log_softmax(lopsided_logits(3)), log_softmax(lopsided_logits(4))
    np.testing.assert_allclose(codes.population(jnp.float32(x)), law(x).mean(0), rtol=1e-5)
    x, y = x[:, :2], y[:, :2]
    joint = np.einsum("ba,bc->ac", law(x), law(y)) / ROWS
    np.testing.assert_allclose(codes.pair_population(jnp.float32(x), jnp.float32(y)), joint, rtol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_the_entropy_of_a_prior_is_that_of_all_its_codes(name):
    model = MODELS[name]()
    params = lopsided_params(model)
    logs = every_log_prob(model, params)
    assert codes.exact_entropy(model, params) == pytest.approx(-np.sum(np.exp(logs) * logs), rel=1e-5)


def test_codes_are_listed_once_each_in_order():
    np.testing.assert_array_equal(codes.all_codes(4, 3), listed(4, 3))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.0, 6.0))
def test_gibbs_no_model_codes_a_population_below_its_entropy(seed, sharpness):
    rng = np.random.default_rng(seed)
    log_q = jax.nn.log_softmax(jnp.float32(sharpness * rng.normal(size=(5, M, K))))
    model = _GIBBS
    params = jnp.float32(rng.normal(size=(M, K, K)) * sharpness)
    entropy = codes.entropy(codes.population(log_q))
    assert model.cross_entropy(params, log_q) >= entropy * (1 - 1e-5) - 1e-5


_GIBBS = codes.markov(M, K, order=1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: codes.independent(0, 2), "num_symbols=0: a code has at least 1 symbol"),
        (lambda: codes.autoregressive(3, 1), "num_values=1: a symbol with fewer than 2 values"),
        (lambda: codes.markov(3, 2, order=-1), "order=-1"),
        (lambda: codes.markov(9, 2, order=12), "windows of 13 symbols with 2 values are 8,192, more than the 4,096"),
        (lambda: codes.autoregressive(3, 2, samples=0), "samples=0 at least 1"),
        (lambda: codes.all_codes(17, 2), "codes of 17 symbols with 2 values are 131,072, more than the 65,536"),
        (lambda: codes.population(jnp.zeros((1, 17, 2))), "131,072, more than the 65,536"),
        (lambda: codes.pair_population(*jnp.zeros((2, 1, 9, 2))), "pairs of codes .* are 262,144"),
        (lambda: codes.log_prob(_GIBBS, None, jnp.zeros((2, 5), int)), r"shape \(2, 5\): expected \[b, 3\]"),
        (lambda: codes.log_prob(_GIBBS, None, *jnp.zeros((2, 2, 3), int)), "a prior is given no code"),
        (lambda: codes.exact_entropy(codes.independent(2, 2, conditional=True), None), "take that of a prior"),
        (
            lambda: codes.sample(codes.independent(3, 2, conditional=True), None, None, 4),
            "needs the code that is given",
        ),
        (
            lambda: codes.log_prob(
                codes.independent(3, 2, conditional=True), None, jnp.zeros((2, 3)), jnp.zeros((1, 3))
            ),
            r"given codes of shape \(1, 3\)",
        ),
        (lambda: codes.autoregressive(3, 2).cross_entropy(None, jnp.zeros((1, 3, 2))), "needs a key"),
        (lambda: _without_a_key(codes.autoregressive(3, 2)), "refit needs a key"),
        (lambda: codes.gaussian_mixture(0, components=1), "dim=0"),
        (lambda: codes.gaussian_mixture(2, components=0), "components=0"),
        (lambda: codes.coupling_flow(1), "dim=1 must be at least 2"),
        (lambda: codes.gaussian_mixture(2, components=1, noise=0.1).cross_entropy(None, jnp.zeros((1, 2))), "a key"),
        (lambda: codes.coupling_flow(2).log_prob(None, jnp.zeros((3, 4))), r"expected \[b, 2\]"),
        (lambda: codes.coupling_flow(2).log_prob(None, *jnp.zeros((2, 3, 2))), "a prior is given no code"),
    ],
)
def test_what_is_no_code_is_refused_in_one_line(make, message):
    with pytest.raises(ValueError, match=message):
        make()
