"""cpc and nt_xent on one device: against a double loop, a gradient in closed form, and values known from theory."""

import math
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mi_coding

# Compiled as a whole: op by op, compiling alone would take most of the time of these tests.
HOW = ("normalize", "symmetric")
cpc = jax.jit(mi_coding.cpc, static_argnames=HOW)
nt_xent = jax.jit(mi_coding.nt_xent)


@partial(jax.jit, static_argnames=HOW)
def cpc_gradient(z_x, z_y, temperature=1.0, **how):
    """Loss and its gradient with respect to both codes and the temperature."""
    loss = lambda z_x, z_y, t: mi_coding.cpc(z_x, z_y, temperature=t, **how).loss  # noqa: E731
    return jax.value_and_grad(loss, argnums=(0, 1, 2))(z_x, z_y, temperature)


@jax.jit
def nt_xent_gradient(z_x, z_y, temperature):
    """Loss and its gradient with respect to both codes."""
    loss = lambda z_x, z_y: mi_coding.nt_xent(z_x, z_y, temperature=temperature).loss  # noqa: E731
    return jax.value_and_grad(loss, argnums=(0, 1))(z_x, z_y)


def lopsided(seed=0, b=6, d=5):
    """Codes whose scores are neither symmetric nor additive, so that a wrong axis or a shifted row shows."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(b, d)) * np.arange(1, d + 1), rng.normal(size=(b, d)) + 0.3 * np.arange(b)[:, None]


def float64_scores(z_x, z_y, temperature, normalize):
    z_x, z_y = np.asarray(z_x, np.float64), np.asarray(z_y, np.float64)
    scores = np.zeros((len(z_x), len(z_y)))
    for i, x in enumerate(z_x):
        for j, y in enumerate(z_y):
            length = math.sqrt(sum(x * x)) * math.sqrt(sum(y * y)) if normalize else 1
            scores[i, j] = sum(a * b for a, b in zip(x, y, strict=True)) / length / temperature
    return scores


def pick_loss(scores, true, candidates):
    """−ln softmax of the true candidate, term by term."""
    peak = max(scores[j] for j in candidates)
    return peak + math.log(sum(math.exp(scores[j] - peak) for j in candidates)) - scores[true]


def loop_cpc(z_x, z_y, *, temperature=1.0, normalize=False, symmetric=False):
    scores = float64_scores(z_x, z_y, temperature, normalize)
    everyone = range(len(scores))
    loss = np.mean([pick_loss(scores[i], i, everyone) for i in everyone])
    if symmetric:
        loss = (loss + np.mean([pick_loss(scores[:, i], i, everyone) for i in everyone])) / 2
    right = np.mean([all(scores[i, i] > scores[i, j] for j in everyone if j != i) for i in everyone])
    return loss, right


def loop_nt_xent(z_x, z_y, *, temperature):
    pool, b = np.concatenate([z_x, z_y]), len(z_x)
    scores = float64_scores(pool, pool, temperature, True)
    others = [[j for j in range(2 * b) if j != i] for i in range(2 * b)]
    return np.mean([pick_loss(scores[i], (i + b) % (2 * b), others[i]) for i in range(2 * b)])


@pytest.mark.parametrize("temperature", [0.3, 1.0, 7.0])
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("symmetric", [False, True])
def test_cpc_is_the_double_loop(temperature, normalize, symmetric):
    z_x, z_y = lopsided()
    how = {"temperature": temperature, "normalize": normalize, "symmetric": symmetric}
    out = cpc(jnp.float32(z_x), jnp.float32(z_y), **how)
    loss, accuracy = loop_cpc(np.float32(z_x), np.float32(z_y), **how)
    np.testing.assert_allclose(out.loss, loss, rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(out.mi_lower_bound, math.log(6) - loss, rtol=1e-5, atol=2e-6 * loss)
    assert out.num_candidates == 6
    assert out.accuracy == pytest.approx(accuracy)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 3.0])
def test_nt_xent_is_the_double_loop(temperature):
    z_x, z_y = lopsided(1)
    out = nt_xent(jnp.float32(z_x), jnp.float32(z_y), temperature=temperature)
    np.testing.assert_allclose(out.loss, loop_nt_xent(z_x, z_y, temperature=temperature), rtol=2e-6)
    assert out.num_candidates == 11
    np.testing.assert_allclose(out.mi_lower_bound, math.log(11) - out.loss, rtol=1e-6)


@pytest.mark.parametrize("symmetric", [False, True])
def test_gradient_of_cpc_is_its_closed_form(symmetric):
    z_x, z_y = map(jnp.float32, lopsided(2))
    temperature, b = 2.5, len(z_x)
    scores = np.asarray(z_x, np.float64) @ np.asarray(z_y, np.float64).T / temperature
    rows = np.exp(scores - scores.max(1, keepdims=True))
    slope = rows / rows.sum(1, keepdims=True) - np.eye(b)
    if symmetric:
        columns = np.exp(scores - scores.max(0))
        slope = (slope + columns / columns.sum(0) - np.eye(b)) / 2
    expected = (
        slope @ np.asarray(z_y) / (b * temperature),
        slope.T @ np.asarray(z_x) / (b * temperature),
        -(slope * scores).sum() / (b * temperature),
    )
    _, gradient = cpc_gradient(z_x, z_y, temperature, symmetric=symmetric)
    chex.assert_trees_all_close(gradient, tuple(map(np.float32, expected)), rtol=2e-5, atol=1e-6)


def test_gradient_of_nt_xent_is_that_of_the_double_loop():
    z_x, z_y = lopsided(3, b=3, d=4)
    _, (gradient, _) = nt_xent_gradient(jnp.float32(z_x), jnp.float32(z_y), 0.4)
    step = 1e-6  # central differences in float64: error about 1e-9
    for i, k in np.ndindex(z_x.shape):
        nudge = np.zeros_like(z_x)
        nudge[i, k] = step
        above, below = (loop_nt_xent(z_x + s * nudge, z_y, temperature=0.4) for s in (1, -1))
        assert gradient[i, k] == pytest.approx((above - below) / (2 * step), abs=2e-6)


@pytest.mark.parametrize("temperature", [1e-45, 1e-38, 1e-20, 1e-3, 1.0, 1e20, 3e38])
@pytest.mark.parametrize("normalize", [False, True])
def test_every_temperature_of_a_float_gives_finite_losses_and_gradients(temperature, normalize):
    z_x, z_y = map(jnp.float32, lopsided(4))
    value, (*gradient, _) = cpc_gradient(z_x, z_y, temperature, normalize=normalize, symmetric=True)
    chex.assert_tree_all_finite((value, gradient, nt_xent_gradient(z_x, z_y, temperature)))
    if temperature > 1e10:
        assert value == pytest.approx(math.log(6))


def test_scores_times_200_stay_finite_and_right():
    z_x, z_y = lopsided(5)
    out = cpc(jnp.float32(200 * z_x), jnp.float32(z_y))
    assert float(out.loss) == pytest.approx(loop_cpc(200 * z_x, z_y)[0], rel=1e-5)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_cosine_does_not_depend_on_the_length_of_codes(scale):
    z_x, z_y = map(jnp.float32, lopsided(6))
    plain = cpc(z_x, z_y, normalize=True, temperature=0.2).loss
    assert cpc(scale * z_x, z_y, normalize=True, temperature=0.2).loss == pytest.approx(float(plain), rel=1e-5)


def test_codes_of_zeros_have_finite_gradients():
    zeros = jnp.zeros((4, 3))
    chex.assert_tree_all_finite((cpc_gradient(zeros, zeros, normalize=True), nt_xent_gradient(zeros, zeros, 0.5)))


def test_bfloat16_codes_are_scored_in_float32():
    z_x, z_y = (jnp.asarray(z, jnp.bfloat16) for z in lopsided(7))
    for how in ({"normalize": True, "temperature": 0.05}, {"temperature": 3.0}):
        out = cpc(z_x, z_y, **how)
        exact = cpc(z_x.astype(jnp.float32), z_y.astype(jnp.float32), **how)
        assert out.loss.dtype == jnp.float32
        assert float(out.loss) == pytest.approx(float(exact.loss), rel=1e-6)
    assert cpc_gradient(z_x, z_y)[1][0].dtype == jnp.bfloat16


def test_a_tie_is_not_a_right_answer():
    assert cpc(jnp.ones((4, 4)), jnp.ones((4, 4))).accuracy == 0
    assert cpc(jnp.eye(4), jnp.eye(4)).accuracy == 1


def test_bound_never_exceeds_its_ceiling():
    codes = 1e4 * jnp.eye(8)
    assert cpc(codes, codes).mi_lower_bound <= math.log(8)
    assert nt_xent(codes, codes, temperature=1e-4).mi_lower_bound <= math.log(15)


def mean_bound(draw, n, *, batches=4000, seed=0):
    """The bound with the codes of `draw(key, n)`, its mean over batches and the standard error of that."""
    keys = jax.random.split(jax.random.key(seed), batches)
    one = lambda key: mi_coding.cpc(*draw(key, n)).mi_lower_bound  # noqa: E731
    bounds = jax.jit(partial(jax.lax.map, one, batch_size=100))(keys)  # what stays in a processor's cache is quick
    return float(bounds.mean()), float(bounds.std() / math.sqrt(batches))


def same_symbol(num_symbols):
    """x = y, uniform; one-hot codes so long that any other symbol is impossible, as the best critic says it is."""
    return lambda key, n: (jax.nn.one_hot(jax.random.randint(key, (n,), 0, num_symbols), num_symbols) * 20.0,) * 2


def binary_channel(error):
    """A bit and its noisy copy, coded so that the inner product is the log density ratio."""
    ratio = jnp.log(2 * jnp.array([[1 - error, error], [error, 1 - error]]))

    def draw(key, n):
        bit_key, flip_key = jax.random.split(key)
        x = jax.random.bernoulli(bit_key, 0.5, (n,))
        y = x ^ jax.random.bernoulli(flip_key, error, (n,))
        return jax.nn.one_hot(x.astype(int), 2), ratio[y.astype(int)]

    return draw


def gaussian(rho):
    """A correlated Gaussian pair; ⟨codes⟩ = ln p(y|x) − ln p(y) up to a constant in x, the best critic."""

    def draw(key, n):
        x, noise = jax.random.normal(key, (2, n))
        y = rho * x + math.sqrt(1 - rho**2) * noise
        z_y = jnp.stack([rho * y, -(rho**2) * y**2 / 2], axis=1) / (1 - rho**2)
        return jnp.stack([x, jnp.ones_like(x)], axis=1), z_y

    return draw


def expected_same_symbol(num_symbols, n):
    """ln N − E ln(1 + Bin(N−1, 1/K)), summed term by term."""
    p = 1 / num_symbols
    terms = (math.comb(n - 1, k) * p**k * (1 - p) ** (n - 1 - k) * math.log(1 + k) for k in range(n))
    return math.log(n) - sum(terms)


@pytest.mark.parametrize(
    ("draw", "n", "expected"),
    [
        (same_symbol(10), 8, expected_same_symbol(10, 8)),
        (same_symbol(100), 64, expected_same_symbol(100, 64)),
        (binary_channel(0.1), 2, 0.368064 / 2),  # exactly half of the information at N = 2
    ],
    ids=["10 symbols", "100 symbols", "binary channel"],
)
def test_best_critic_reaches_the_value_known_for_finite_n(draw, n, expected):
    mean, error = mean_bound(draw, n)
    assert abs(mean - expected) < 4 * error + 1e-4


def test_known_values_for_symbols_are_those_of_the_design():
    assert expected_same_symbol(10, 8) == pytest.approx(1.649096, abs=1e-6)
    assert expected_same_symbol(100, 64) == pytest.approx(3.772276, abs=1e-6)


@pytest.mark.parametrize(("n", "expected"), [(2, 0.185), (4, 0.290), (8, 0.350), (64, 0.404)])
def test_the_best_critic_of_a_gaussian_reaches_the_known_value(n, expected):
    mean, error = mean_bound(gaussian(0.75), n, batches=16_000)
    assert abs(mean - expected) < 4 * error + 5e-4  # the values are known to three digits


@pytest.mark.parametrize("n", [2, 8, 64])
@pytest.mark.parametrize("rho", [0.5, 0.9])
def test_loss_on_gaussian_pairs_keeps_both_bounds(n, rho):
    mean, error = mean_bound(gaussian(rho), n, batches=8000)
    information = -0.5 * math.log(1 - rho**2)
    reverse = rho**2 / (1 - rho**2) + 0.5 * math.log(1 - rho**2)
    loss = math.log(n) - mean
    assert mean <= information + 3 * error
    assert loss >= float(mi_coding.cpc_loss_floor(n, information, reverse)) - 3 * error


def test_loss_floor_is_the_formula_for_arrays_too():
    floor = mi_coding.cpc_loss_floor(4, jnp.array([0.1, 0.2]), 0.3)
    np.testing.assert_allclose(floor, math.log(4) - 0.75 * np.array([0.4, 0.5]), rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mi_coding.cpc(jnp.ones((4, 3)), jnp.ones((5, 3))), "one shape"),
        (lambda: mi_coding.cpc(jnp.ones(4), jnp.ones(4)), "one shape"),
        (lambda: mi_coding.cpc(jnp.ones((4, 3), int), jnp.ones((4, 3), int)), "float dtype"),
        (lambda: mi_coding.cpc(jnp.ones((4, 3)), jnp.ones((4, 3)), temperature=0.0), "temperature=0.0"),
        (lambda: mi_coding.nt_xent(jnp.ones((4, 3)), jnp.ones((4, 3)), temperature=-1.0), "temperature=-1.0"),
        (lambda: mi_coding.cpc(jnp.ones((4, 3)), jnp.ones((4, 3)), temperature=math.nan), "temperature=nan"),
        (lambda: mi_coding.cpc(jnp.ones((4, 3)), jnp.ones((4, 3)), distractors="some"), "'some'"),
        (lambda: mi_coding.cpc(jnp.ones((4, 3)), jnp.ones((4, 3)), method="magic"), "'magic'"),
        (lambda: mi_coding.cpc(jnp.ones((1, 3)), jnp.ones((1, 3))), "no distractor"),
        (lambda: mi_coding.cpc(jnp.ones((4, 3)), jnp.ones((4, 3)), distractors="other_devices"), "no distractor"),
        (lambda: mi_coding.cpc_loss_floor(1, 0.1, 0.1), "num_candidates=1"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_dense_is_refused_under_a_mapped_axis():
    def loss(z):
        return mi_coding.cpc(z, z, method="dense", axis_name="i").loss

    with pytest.raises(ValueError, match="one device"):
        jax.vmap(loss, axis_name="i")(jnp.ones((2, 3, 4)))
