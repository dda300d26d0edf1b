"""The bounds: against float64 loops, at their best critics, as gradients, at extremes, and on eight shards."""

import math
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi_coding import bounds

OF_SCORES = {
    "infonce": bounds.infonce,
    "donsker_varadhan": bounds.donsker_varadhan,
    "nwj": bounds.nwj,
    "jensen_shannon": bounds.jensen_shannon,
    "density_ratio": bounds.density_ratio,
    "smile": partial(bounds.smile, clip=1.5),
    "club": bounds.club,
    "leave_one_out": bounds.leave_one_out,
}
BASELINE = 0.3 * np.arange(8) - 0.5
SHARDS_OF_BASELINE = BASELINE.reshape(8, 1)
WITH_BASELINE = {
    "tuba": bounds.tuba,
    "interpolated 0": partial(bounds.interpolated, alpha=0.0),
    "interpolated 0.3": partial(bounds.interpolated, alpha=0.3),
    "interpolated 1": partial(bounds.interpolated, alpha=1.0),
}


def lopsided(n=8, scale=1.5, seed=0):
    """Scores that are neither symmetric nor additive, larger towards one corner."""
    rng = np.random.default_rng(seed)
    return scale * rng.normal(size=(n, n)) + 0.1 * np.arange(n)[:, None] * np.arange(n) ** 0.5


def loop(name, s, log_baseline=BASELINE):
    """The definition of each bound in float64, term by term."""
    n = len(s)
    everyone = range(n)
    apart = [(i, j) for i in everyone for j in everyone if i != j]
    true = sum(s[i, i] for i in everyone) / n
    mean_exp = lambda shift=0.0, clip=math.inf: (  # noqa: E731
        sum(math.exp(min(max(s[i, j] + shift, -clip), clip)) for i, j in apart) / len(apart)
    )
    softplus = lambda v: math.log1p(math.exp(v))  # noqa: E731
    if name == "infonce":
        return math.log(n) + true - sum(math.log(sum(math.exp(v) for v in row)) for row in s) / n
    if name == "donsker_varadhan":
        return true - math.log(mean_exp())
    if name == "nwj":
        return true - mean_exp() / math.e
    if name == "density_ratio":
        return 1 + true - mean_exp()
    if name == "jensen_shannon":
        told = sum(softplus(-s[i, i]) for i in everyone) / n + sum(softplus(s[i, j]) for i, j in apart) / len(apart)
        return 2 * math.log(2) - told
    if name == "smile":
        return true - math.log(mean_exp(clip=1.5))
    if name == "club":
        return true - sum(s[i, j] for i, j in apart) / len(apart)
    if name == "leave_one_out":
        left = [math.log(sum(math.exp(s[i, j]) for i in everyone if i != j) / (n - 1)) for j in everyone]
        return true - sum(left) / n
    if name == "tuba":
        terms = [sum(math.exp(s[i, j] - log_baseline[i]) for j in everyone if j != i) / (n - 1) for i in everyone]
        return 1 + sum(s[i, i] - log_baseline[i] - terms[i] for i in everyone) / n
    alpha = float(name.split()[1])

    def without(i, k):
        mean = sum(math.exp(s[i, j]) for j in everyone if j != k) / (n - 1)
        return alpha * mean + (1 - alpha) * math.exp(log_baseline[i])

    joint = sum(s[i, i] - math.log(without(i, k)) for i, k in apart) / len(apart)
    return 1 + joint - sum(math.exp(s[i, j]) / without(i, i) for i, j in apart) / len(apart)


def value(name, scores, axis_name=None, baseline=BASELINE):
    if name in OF_SCORES:
        return OF_SCORES[name](scores, axis_name=axis_name)
    return WITH_BASELINE[name](scores, jnp.asarray(baseline, jnp.float32), axis_name=axis_name)


EVERY = [*OF_SCORES, *WITH_BASELINE]


@pytest.mark.parametrize("name", EVERY)
def test_every_bound_is_its_double_loop(name):
    scores = lopsided()
    np.testing.assert_allclose(
        jax.jit(partial(value, name))(jnp.float32(scores)), loop(name, scores), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("name", EVERY)
def test_eight_shards_give_the_value_and_gradient_of_one(name):
    scores = jnp.float32(lopsided())

    @jax.jit
    def both(s):
        rows = lambda s: jax.vmap(lambda r, base: value(name, r, "i", base), axis_name="i")(s, SHARDS_OF_BASELINE)  # noqa: E731
        sharded = lambda s: rows(s.reshape(8, 1, 8))  # noqa: E731
        return sharded(s), jax.grad(lambda s: sharded(s).mean())(s), jax.value_and_grad(lambda s: value(name, s))(s)

    values, gradient, (alone, expected) = both(scores)
    np.testing.assert_allclose(values, np.full(8, alone), rtol=1e-5, atol=1e-5)
    chex.assert_trees_all_close(gradient, expected, rtol=1e-4, atol=1e-6)


def test_a_true_pair_far_above_all_others_has_a_finite_gradient_of_leave_one_out():
    scores = jnp.float32(lopsided() + 400 * np.eye(len(lopsided())))
    of_others = jax.nn.softmax(jnp.where(jnp.eye(len(scores), dtype=bool), -jnp.inf, scores), axis=0)
    expected = (jnp.eye(len(scores)) - of_others) / len(scores)
    np.testing.assert_allclose(jax.grad(bounds.leave_one_out)(scores), expected, atol=1e-6)


@pytest.mark.parametrize("name", ["infonce", "donsker_varadhan", "smile", "jensen_shannon", "club", "leave_one_out"])
def test_scores_times_200_stay_finite(name):
    scores = jnp.float32(200 * lopsided())
    result = jax.jit(jax.value_and_grad(lambda s: value(name, s)))(scores)
    chex.assert_tree_all_finite(result)
    if name in ("infonce", "donsker_varadhan", "leave_one_out", "club"):
        with np.errstate(over="ignore"):
            expected = {"club": loop("club", np.asarray(scores, np.float64))}.get(name)
        assert expected is None or float(result[0]) == pytest.approx(expected, rel=1e-5)


def test_gradient_of_donsker_varadhan_is_its_closed_form():
    scores = lopsided(5)
    weights = np.exp(scores) * (1 - np.eye(5))
    expected = np.eye(5) / 5 - weights / weights.sum()
    np.testing.assert_allclose(jax.jit(jax.grad(bounds.donsker_varadhan))(jnp.float32(scores)), expected, atol=1e-6)


def test_one_score_far_above_the_others_is_left_out_without_cancelling():
    scores = np.array([[0.0, 60.0, 1.0], [2.0, 1.0, 0.5], [0.3, 0.1, 1.0]])
    expected = loop("interpolated 1", scores)
    found = bounds.interpolated(jnp.float32(scores), jnp.zeros(3), alpha=1.0)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_nwj_is_tuba_with_a_constant_and_interpolated_has_known_ends():
    scores = jnp.float32(lopsided())
    assert float(bounds.tuba(scores, jnp.ones(8))) == pytest.approx(float(bounds.nwj(scores)), rel=1e-5)
    left_out = [np.delete(np.delete(np.asarray(scores, np.float64), k, 0), k, 1) for k in range(8)]
    expected = np.mean([loop("infonce", part) for part in left_out])
    assert float(bounds.interpolated(scores, jnp.zeros(8), alpha=1.0)) == pytest.approx(expected, rel=1e-5)


def gaussian_scores(key, n, rho):
    """Pairs of numbers with correlation rho, scored by ln p(y|x) − ln p(y) and by ln p(y|x)."""
    x, noise = jax.random.normal(key, (2, n))
    y = rho * x + math.sqrt(1 - rho**2) * noise
    conditional = -0.5 * ((y - rho * x[:, None]) ** 2 / (1 - rho**2) + math.log(2 * math.pi * (1 - rho**2)))
    return conditional + 0.5 * (y**2 + math.log(2 * math.pi)), conditional


@pytest.fixture(scope="module")
def at_the_best_critic():
    """Mean and standard error of every bound over 3,000 batches of 64 Gaussian pairs of correlation 0.75."""

    def one(key):
        ratio, conditional = gaussian_scores(key, 64, 0.75)
        found = {name: f(ratio) for name, f in OF_SCORES.items() if name not in ("club", "leave_one_out")}
        found["nwj"] = bounds.nwj(ratio + 1)
        found["tuba"] = bounds.tuba(ratio, jnp.zeros(64))
        found["interpolated"] = bounds.interpolated(ratio, jnp.zeros(64), alpha=0.5)
        return found | {"club": bounds.club(conditional), "leave_one_out": bounds.leave_one_out(conditional)}

    keys = jax.random.split(jax.random.key(0), 3000)
    # A hundred million exponentials: here it pays to compile well, and to keep to what a processor's cache holds.
    how = {"compiler_options": {"xla_backend_optimization_level": 1}}
    values = jax.jit(partial(jax.lax.map, one, batch_size=30), **how)(keys)
    return {name: (float(v.mean()), float(v.std()) / math.sqrt(3000)) for name, v in values.items()}


INFORMATION = -0.5 * math.log(1 - 0.75**2)


@pytest.mark.parametrize("name", ["nwj", "tuba", "density_ratio"])
def test_unbiased_bounds_are_tight_for_the_best_critic(name, at_the_best_critic):
    mean, error = at_the_best_critic[name]
    assert abs(mean - INFORMATION) < 4 * error


def test_infonce_and_interpolated_stay_below_by_what_is_known(at_the_best_critic):
    mean, error = at_the_best_critic["infonce"]
    assert abs(mean - 0.404) < 4 * error + 5e-4
    between, error = at_the_best_critic["interpolated"]
    assert mean - 4 * error < between < INFORMATION + 4 * error


def test_upper_bounds_are_those_of_the_true_conditional(at_the_best_critic):
    mean, error = at_the_best_critic["club"]
    assert abs(mean - 0.75**2 / (1 - 0.75**2)) < 4 * error  # both directions of KL together
    mean, error = at_the_best_critic["leave_one_out"]
    assert INFORMATION - 4 * error < mean < INFORMATION + 0.05


def test_jensen_shannon_is_no_information_and_below_its_ceiling(at_the_best_critic):
    mean, error = at_the_best_critic["jensen_shannon"]
    assert 0 < mean < INFORMATION - 10 * error
    assert float(bounds.jensen_shannon(100 * jnp.eye(4) - 50)) == pytest.approx(2 * math.log(2), abs=1e-6)


def test_infonce_never_exceeds_its_ceiling_and_the_others_have_none():
    scores = 50 * jnp.eye(8)
    assert float(bounds.infonce(scores)) <= math.log(8) + 1e-6  # the rounding of ln 8 to float32
    assert float(bounds.donsker_varadhan(scores)) > math.log(8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bounds.infonce(jnp.zeros((3, 4))), "shape"),
        (lambda: bounds.nwj(jnp.zeros((1, 1))), "N ≥ 2"),
        (lambda: bounds.smile(jnp.zeros((3, 3)), clip=0.0), "clip=0.0"),
        (lambda: bounds.tuba(jnp.zeros((3, 3)), jnp.zeros(2)), "log_baseline"),
        (lambda: bounds.interpolated(jnp.zeros((2, 2)), jnp.zeros(2), alpha=0.5), "N ≥ 3"),
        (lambda: bounds.interpolated(jnp.zeros((3, 3)), jnp.zeros(3), alpha=1.5), "alpha=1.5"),
        (
            lambda: jax.vmap(partial(bounds.club, axis_name="i"), axis_name="i")(jnp.zeros((2, 3, 4))),
            "rows of one of 2",
        ),
    ],
)
def test_scores_that_make_no_sense_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
