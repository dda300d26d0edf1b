"""Populations with known information: every formula against another way to the same number, every sample against it."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import multivariate_normal, multivariate_t, norm

from mi_coding.pairs import population_maps
from mi_coding.pairs import populations as laws


def draw(population, n=4000, seed=0):
    return [np.asarray(side) for side in population.sample(jax.random.key(seed), n)]


def test_gaussian_information_is_that_of_canonical_correlations():
    covariance = laws.dense_covariance(2, 3, 0.5)
    inner = np.linalg.inv(covariance[:2, :2]) @ covariance[:2, 2:]
    squares = np.linalg.eigvals(inner @ np.linalg.inv(covariance[2:, 2:]) @ covariance[2:, :2])
    expected = -0.5 * np.log1p(-squares.real).sum()
    assert laws.gaussian("dense", covariance, 2).mutual_information == pytest.approx(expected, abs=1e-5)
    sparse = laws.gaussian("sparse", laws.paired_covariance(3, 4, (0.8, -0.5)), 3)
    assert sparse.mutual_information == pytest.approx(-0.5 * math.log(0.36 * 0.75), abs=1e-5)


def test_gaussian_samples_have_the_covariance():
    covariance = laws.paired_covariance(2, 3, (0.8, -0.5))
    x, y = draw(laws.gaussian("sparse", covariance, 2), 20_000)
    np.testing.assert_allclose(np.cov(np.concatenate([x, y], 1).T), covariance, atol=0.05)


def test_student_information_is_the_mean_log_ratio_of_its_densities():
    dispersion = np.array([[1.0, 0.3, 0.4], [0.3, 1.0, 0.2], [0.4, 0.2, 1.0]])
    population = laws.student("t", dispersion, 1, 3.0)
    x, y = draw(population, 20_000)
    density = lambda rows, sel: multivariate_t(np.zeros(len(sel)), dispersion[np.ix_(sel, sel)], df=3).logpdf(rows)  # noqa: E731
    local = density(np.concatenate([x, y], 1), [0, 1, 2]) - density(x, [0]) - density(y, [1, 2])
    assert abs(local.mean() - population.mutual_information) < 4 * local.std() / math.sqrt(len(local))


@pytest.mark.parametrize("noise", [0.1, 0.5, 0.75])
def test_uniform_noise_has_the_information_of_a_trapezoid(noise):
    density = lambda y: max(min(y + noise, 1.0) - max(y - noise, 0.0), 0.0) / (2 * noise)  # noqa: E731
    entropy = quad(lambda y: -density(y) * math.log(density(y) + 1e-300), -noise, 1 + noise, limit=200)[0]
    assert laws.uniform_noise(noise).mutual_information == pytest.approx(entropy - math.log(2 * noise), abs=1e-4)
    x, y = draw(laws.uniform_noise(noise))
    assert np.abs(y - x).max() <= noise + 1e-6


def test_information_of_a_mixture_is_the_mean_log_ratio_of_its_samples():
    means, weights = np.array([[-1.5, 1.0], [1.0, 0.5]]), np.array([0.3, 0.7])
    covariances = np.array([[[0.5, 0.2], [0.2, 0.7]], [[1.0, -0.6], [-0.6, 0.8]]])
    population = laws.mixture("two", weights, means, covariances)
    pairs = np.concatenate(draw(population, 40_000), 1)

    def log_density(values, pick):
        total = 0
        for w, m, c in zip(weights, means, covariances, strict=True):
            total = total + w * multivariate_normal(m[pick], c[np.ix_(pick, pick)]).pdf(values)
        return np.log(total)

    local = log_density(pairs, [0, 1]) - log_density(pairs[:, :1], [0]) - log_density(pairs[:, 1:], [1])
    assert abs(local.mean() - population.mutual_information) < 4 * local.std() / math.sqrt(len(local))


def test_finer_quadrature_of_a_mixture_moves_nothing():
    parts = [jnp.float32(a) for a in ([0.5, 0.5], [[0, 0], [1, 1]], [[[1, 0.9], [0.9, 1]], [[1, -0.9], [-0.9, 1]]])]
    coarse, fine = (float(laws._mixture_information(*parts, side=side)) for side in (250, 500))
    assert coarse == pytest.approx(fine, abs=1e-4)


def test_symbols_follow_their_table():
    table = np.array([[0.1, 0.2, 0.0], [0.3, 0.1, 0.3]])
    population = laws.symbols("table", table)
    x, y = draw(population, 20_000)
    np.testing.assert_allclose(np.histogram2d(x[:, 0], y[:, 0], [2, 3])[0] / 20_000, table, atol=0.015)
    rows, columns = table.sum(1), table.sum(0)
    expected = sum(p * math.log(p / (rows[i] * columns[j])) for (i, j), p in np.ndenumerate(table) if p > 0)
    assert population.mutual_information == pytest.approx(expected, abs=1e-6)


def test_information_of_classes_is_the_entropy_that_a_number_takes_away():
    weights, means, spreads = (0.6, 0.4), (-1.0, 1.0), (1.0, 0.5)
    marginal = lambda x: sum(w * norm.pdf(x, m, s) for w, m, s in zip(weights, means, spreads, strict=True))  # noqa: E731
    terms = [
        quad(lambda x, w=w, m=m, s=s: w * norm.pdf(x, m, s) * math.log(norm.pdf(x, m, s) / marginal(x)), -9, 9)[0]
        for w, m, s in zip(weights, means, spreads, strict=True)
    ]
    assert laws.labelled("two", weights, means, spreads).mutual_information == pytest.approx(sum(terms), abs=1e-4)


def test_counts_lie_where_they_say():
    x, y = draw(laws.counted(4))
    assert set(x.ravel()) == {0, 1, 2, 3}
    assert ((y >= x) & (y <= x + 2)).all()
    overlap = quad(lambda y: 0.125 * math.log(4) if y < 1 or y > 4 else 0.25 * math.log(2), 0, 5, points=[1, 4])[0]
    assert laws.counted(4).mutual_information == pytest.approx(overlap, abs=1e-9)


@pytest.mark.parametrize("name", sorted(population_maps.BENDS))
def test_bends_keep_every_order(name):
    x = jnp.linspace(-4, 4, 2001)[:, None]
    assert bool((jnp.diff(population_maps.BENDS[name](x)[:, 0]) > 0).all())


def test_rotations_and_spirals_can_be_undone():
    x = jax.random.normal(jax.random.key(0), (50, 3))
    turn = population_maps.rotation(3, 1)(jnp.eye(3))
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-6)
    forth = population_maps.spiral(0.4, (1, 2))(x)
    np.testing.assert_allclose(population_maps.spiral(-0.4, (1, 2))(forth), x, atol=1e-5)
    assert float(jnp.abs(forth - x).max()) > 0.5
    np.testing.assert_allclose(forth[:, 0], x[:, 0])


def test_a_roll_is_one_to_one():
    points = np.asarray(population_maps.roll(jnp.linspace(0, 1, 500)[:, None]))
    near = np.linalg.norm(points[:, None] - points[None], axis=2) + np.eye(500)
    assert (np.abs(near.argmin(1) - np.arange(500)) == 1).all()


def test_information_adds_up_over_independent_parts_and_maps_keep_it():
    both = laws.product("both", laws.uniform_noise(0.1), laws.uniform_noise(0.75))
    assert both.mutual_information == pytest.approx(1.709438 + 1 / 3, abs=1e-5)
    x, y = draw(both, 3000)
    assert abs(np.corrcoef(x.T)[0, 1]) < 0.08  # parts have keys of their own
    assert abs(np.corrcoef(x[:, 0], y[:, 1])[0, 1]) < 0.08
    assert laws.mapped("bent", both, jnp.exp, jnp.sinh).mutual_information == both.mutual_information
    np.testing.assert_allclose(
        laws.mapped("bent", both, jnp.exp, lambda y: y).sample(jax.random.key(0), 3000)[0], np.exp(x), rtol=1e-5
    )


def test_a_staircase_is_as_high_as_it_says():
    population = laws.staircase(6.0, 4)
    x, y = draw(population, 20_000)
    rho = [np.corrcoef(x[:, i], y[:, i])[0, 1] for i in range(4)]
    np.testing.assert_allclose(-0.5 * np.log1p(-np.square(rho)), 1.5, atol=0.05)
    assert laws.independent(2, 3).mutual_information == 0
    assert [side.shape[1] for side in draw(laws.independent(2, 3))] == [2, 3]


def test_a_covariance_that_is_none_is_refused():
    with pytest.raises(ValueError, match="not positive definite"):
        laws.gaussian("wrong", jnp.array([[1.0, 2.0], [2.0, 1.0]]), 1)
