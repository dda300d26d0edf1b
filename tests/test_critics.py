import jax
import jax.numpy as jnp
import numpy as np
import optax

from mi_coding import bounds, critics
from mi_coding.critics import CRITICS


def test_bilinear_scores_are_the_double_loop():
    rng = np.random.default_rng(0)
    z_x, z_y, weight = rng.normal(size=(4, 3)), rng.normal(size=(4, 3)), rng.normal(size=(3, 3))
    queries, keys = CRITICS["bilinear"]().apply({"weight": jnp.float32(weight)}, jnp.float32(z_x), jnp.float32(z_y))
    scores = [[sum(x[a] * weight[a, b] * y[b] for a in range(3) for b in range(3)) for y in z_y] for x in z_x]
    np.testing.assert_allclose(queries @ keys.T, scores, rtol=1e-4, atol=1e-5)


def test_bilinear_begins_as_the_inner_product():
    z_x, z_y = jax.random.normal(jax.random.key(0), (2, 5, 4))
    scores = []
    for name in ("bilinear", "inner_product"):
        critic = CRITICS[name]()
        queries, keys = critic.apply(critic.init(jax.random.key(1), 4), z_x, z_y)
        scores.append(queries @ keys.T)
    np.testing.assert_allclose(*scores, rtol=1e-6)


def test_a_separable_critic_is_an_inner_product_with_a_term_for_each_side():
    critic = critics.separable(width=8, rank=3)
    params = critic.init(jax.random.key(0), 4, 2)
    x, y = jax.random.normal(jax.random.key(1), (5, 4)), jax.random.normal(jax.random.key(2), (6, 2))
    scores = critic.scores(params, x, y)
    assert float(jnp.abs(scores).max()) < 0.5  # begins near zero
    for i, j in ((0, 0), (4, 5), (2, 3)):
        np.testing.assert_allclose(critic.scores(params, x[i : i + 1], y[j : j + 1])[0, 0], scores[i, j], atol=1e-6)
    apart = scores - scores.mean(0) - scores.mean(1, keepdims=True) + scores.mean()
    assert np.linalg.matrix_rank(np.asarray(apart), tol=1e-5) <= 3


def test_initial_weights_have_the_variance_of_their_fan_in_and_numpy_may_draw_them():
    critic = critics.separable(width=300, depth=2, rank=40)
    for key in (jax.random.key(0), np.random.default_rng(0)):
        params = critic.init(key, 50, 100)
        arrays = np.ndarray if isinstance(key, np.random.Generator) else jax.Array
        assert all(isinstance(leaf, arrays) for leaf in jax.tree.leaves(params))
        for side, dim in (("x", 50), ("y", 100)):
            layers = params[side]["params"]
            deviations = [float(np.std(layers[f"Dense_{i}"]["kernel"])) for i in range(3)]
            np.testing.assert_allclose(deviations, [dim**-0.5, 300**-0.5, 0.1 * 300**-0.5], rtol=0.05)
            assert not any(np.any(layer["bias"]) for layer in layers.values())
        assert not np.array_equal(
            params["x"]["params"]["Dense_1"]["kernel"], params["y"]["params"]["Dense_1"]["kernel"]
        )


def test_a_concatenated_critic_sees_every_pair():
    critic = critics.concatenated(width=8)
    params = critic.init(jax.random.key(0), 4, 2)
    x, y = jax.random.normal(jax.random.key(1), (5, 4)), jax.random.normal(jax.random.key(2), (6, 2))
    scores = critic.scores(params, x, y)
    assert scores.shape == (5, 6)
    np.testing.assert_allclose(critic.scores(params, x[4:], y[3:4])[0, 0], scores[4, 3], atol=1e-6)


def test_the_elliptical_ratio_of_a_gaussian_pair_is_its_closed_form():
    rho, x, y = 0.6, jnp.array([0.5, -1.0, 2.0]), jnp.array([1.5, 0.3])
    square = rho**2 / (1 - rho**2)
    sides = [
        critics.EllipticalRatio(factor * v[:, None], v**2 / (1 - rho**2), 0.5 * v**2 + constant)
        for v, factor, constant in ((x, -2 * rho / (1 - rho**2), -0.5 * jnp.log(1 - rho**2)), (y, 1.0, 0.0))
    ]
    found = critics.elliptical_scores(*sides, 1e7, 2)
    expected = -0.5 * jnp.log(1 - rho**2) + rho / (1 - rho**2) * x[:, None] * y
    expected -= 0.5 * square * (x[:, None] ** 2 + y**2)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_information_can_be_made_less():
    """A code of two numbers, of which only the first tells of y: minimising CLUB drops that one and keeps the other."""
    key_x, key_y, key = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(key_x, (512, 2))
    y = 0.9 * x[:, :1] + 0.4 * jax.random.normal(key_y, (512, 1))
    critic = critics.conditional_gaussian(width=16)
    optimizer = optax.adam(3e-2)

    def code(weights, key):
        return x * weights + 0.3 * jax.random.normal(key, x.shape)

    def step(carry, key):
        weights, params, states = carry
        scores = lambda w, p: critic.scores(p, code(w, key), y)  # noqa: E731
        fit = jax.grad(lambda p: -jnp.mean(jnp.diag(scores(weights, p))))(params)
        kept = lambda w: bounds.club(scores(w, params)) + jnp.mean((w - 1) ** 2)  # noqa: E731
        updates = [optimizer.update(g, s) for g, s in zip((jax.grad(kept)(weights), fit), states, strict=True)]
        (weights, params), states = (
            [optax.apply_updates(v, u) for v, (u, _) in zip((weights, params), updates, strict=True)],
            [s for _, s in updates],
        )
        return (weights, params, states), kept(weights)

    weights, params = jnp.ones(2), critic.init(key, 2, 1)
    begin = weights, params, [optimizer.init(weights), optimizer.init(params)]
    (weights, _, _), _ = jax.jit(lambda b: jax.lax.scan(step, b, jax.random.split(key, 200)))(begin)
    assert abs(float(weights[0])) < 0.3
    assert float(weights[1]) > 0.8
