"""Densities of continuous codes against SciPy's formulas, integrals and change of variables."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from mi_coding.objectives import codes


def lopsided_params(model, seed=0, scale=0.4):
    leaves, tree = jax.tree.flatten(model.init(jax.random.key(seed)))
    rng = np.random.default_rng(seed)
    return tree.unflatten([jnp.float32(leaf + scale * rng.normal(size=leaf.shape)) for leaf in leaves])


@pytest.mark.parametrize("conditional", [False, True])
def test_a_mixture_is_the_weighted_sum_of_its_gaussians(conditional):
    model = codes.gaussian_mixture(3, components=2, conditional=conditional)
    params = lopsided_params(model)
    p = {name: np.asarray(leaf, np.float64) for name, leaf in params.items()}
    z, told = np.random.default_rng(1).normal(size=(2, 5, 3))
    ours = model.log_prob(params, jnp.float32(z), jnp.float32(told) if conditional else None)
    for row in range(5):
        density, logits, means = 0.0, p["weights"], p["means"]
        if conditional:
            logits, means = logits + p["weight_slopes"] @ told[row], means + p["slopes"] @ told[row]
        weights = np.exp(logits) / np.exp(logits).sum()
        for c in range(2):
            factor = np.tril(p["lower"][c], -1) + np.diag(np.exp(p["log_diagonal"][c]))
            covariance = np.linalg.inv(factor.T @ factor)
            density += weights[c] * multivariate_normal.pdf(z[row], means[c], covariance)
        assert ours[row] == pytest.approx(np.log(density), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("model", [codes.gaussian_mixture(2, components=3), codes.coupling_flow(2, hidden=4)])
def test_a_density_integrates_to_one(model):
    side = np.linspace(-12, 12, 801)
    grid = jnp.float32(np.stack(np.meshgrid(side, side), -1).reshape(-1, 2))
    density = np.exp(model.log_prob(lopsided_params(model, scale=0.15), grid))
    assert density.sum() * (side[1] - side[0]) ** 2 == pytest.approx(1, abs=1e-3)


def test_both_codes_get_noise_and_the_gradient_is_of_the_expectation():
    model = codes.gaussian_mixture(2, components=1, noise=0.5, conditional=True)
    params = model.init(jax.random.key(0)) | {"slopes": jnp.array([[[0.5, 0.0], [0.0, -1.0]]])}
    x, y = jnp.tile(jnp.array([1.0, -2.0]), (20_000, 1)), jnp.tile(jnp.array([0.3, 0.7]), (20_000, 1))
    mean = lambda x, y: model.cross_entropy(params, x, y, jax.random.key(1))  # noqa: E731
    value, (by_x, by_y) = jax.jit(jax.value_and_grad(mean, argnums=(0, 1)))(x, y)
    slopes, gap = np.array([0.5, -1.0]), np.array([1.0, -2.0]) - np.array([0.5, -1.0]) * [0.3, 0.7]
    variance = 0.25 * (1 + slopes**2)  # of z − slope · z′
    assert value == pytest.approx(np.log(2 * np.pi) + (gap**2 + variance).sum() / 2, abs=0.05)
    np.testing.assert_allclose(by_x.sum(0), gap, atol=0.03)
    np.testing.assert_allclose(by_y.sum(0), -slopes * gap, atol=0.03)
