"""Populations of pairs whose mutual information is known: what estimators and critics are tested against.

Information does not change when x or y alone goes through an invertible map. So a few laws with closed forms, hidden
behind the invertible maps of population_maps.py, give populations of any difficulty.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import digamma, logsumexp

from mi_coding.pairs.population_maps import Map


class Population(NamedTuple):
    """A law of pairs ⟨x, y⟩.

    Attributes:
        name: short, for tables.
        sample: (key, n) → x [n, dx], y [n, dy]: n independent pairs, float32, or int32 for symbols.
        mutual_information: I(x; y) in nats.
    """

    name: str
    sample: Callable[[jax.Array, int], tuple[jax.Array, jax.Array]]
    mutual_information: float


def gaussian(name: str, covariance: jax.Array, dim_x: int) -> Population:
    """Jointly Gaussian pairs; the first `dim_x` coordinates are x.

    >>> population = gaussian("pair", jnp.array([[1.0, 0.75], [0.75, 1.0]]), dim_x=1)
    >>> x, y = population.sample(jax.random.key(0), 5)
    >>> x.shape, y.shape, round(population.mutual_information, 4)
    ((5, 1), (5, 1), 0.4133)

    Args:
        covariance: float[dx + dy, dx + dy], positive definite.
    Raises:
        ValueError: if it is not.
    Source: I = ½ ln(det Σx · det Σy / det Σ).
    """
    root = _cholesky(covariance)

    def sample(key, n):
        joint = jax.random.normal(key, (n, len(root))) @ root.T
        return joint[:, :dim_x], joint[:, dim_x:]

    return Population(name, sample, _gaussian_information(covariance, dim_x))


def dense_covariance(dim_x: int, dim_y: int, correlation: float) -> jax.Array:
    """float32[dx + dy, dx + dy]: every two coordinates, of one side or of both, have the same correlation."""
    size = dim_x + dim_y
    return jnp.full((size, size), correlation) + (1 - correlation) * jnp.eye(size)


def paired_covariance(dim_x: int, dim_y: int, correlations: Sequence[float]) -> jax.Array:
    """float32[dx + dy, dx + dy]: coordinate i of x and of y have correlation `correlations[i]`, all others none."""
    i, values = jnp.arange(len(correlations)), jnp.asarray(correlations)
    return jnp.eye(dim_x + dim_y).at[i, dim_x + i].set(values).at[dim_x + i, i].set(values)


def staircase(nats: float, dim: int = 20) -> Population:
    """Gaussian pairs of `dim` coordinates per side, all with the same correlation, that share `nats` in total.

    >>> round(staircase(6.0).mutual_information, 4)
    6.0

    Source: arXiv:1905.06922 section 4, with 20 dimensions and 2, 4, 6, 8 and 10 nats.
    """
    correlation = math.sqrt(-math.expm1(-2 * nats / dim))

    def sample(key, n):
        x, noise = jax.random.normal(key, (2, n, dim))
        return x, correlation * x + math.sqrt(1 - correlation**2) * noise

    return Population(f"staircase {nats:g} nats, {dim}+{dim}", sample, nats)


def student(name: str, dispersion: jax.Array, dim_x: int, degrees: float) -> Population:
    """Pairs from a multivariate Student-t; uncorrelated coordinates still share how far from the centre they lie.

    >>> round(student("tails", jnp.eye(2), dim_x=1, degrees=1).mutual_information, 4)
    0.2242

    Args:
        dispersion: float[dx + dy, dx + dy], positive definite; the covariance is degrees/(degrees − 2) times it.
        degrees: of freedom, > 0; few of them make heavy tails.
    Source: differential entropy of the multivariate t; Arellano-Valle, Contreras-Reyes and Genton,
        Scand. J. Statist. 40 (2013), equation 21.
    """
    root, dim = _cholesky(dispersion), len(dispersion)

    def term(dims):
        half = (degrees + dims) / 2
        return math.lgamma(half) - half * float(digamma(half))

    def sample(key, n):
        normal_key, scale_key = jax.random.split(key)
        squared_scale = jax.random.gamma(scale_key, degrees / 2, (n, 1)) / (degrees / 2)
        joint = jax.random.normal(normal_key, (n, dim)) @ root.T / jnp.sqrt(squared_scale)
        return joint[:, :dim_x], joint[:, dim_x:]

    tails = term(0) + term(dim) - term(dim_x) - term(dim - dim_x)
    return Population(name, sample, _gaussian_information(dispersion, dim_x) + tails)


def uniform_noise(noise: float) -> Population:
    """x uniform on [0, 1], y = x + a draw from [−noise, noise]: a density with edges, which smooth critics miss.

    >>> round(uniform_noise(0.1).mutual_information, 4), round(uniform_noise(0.75).mutual_information, 4)
    (1.7094, 0.3333)

    Source: I = h(y) − ln 2ε, and h of the trapezoid in closed form.
    """

    def sample(key, n):
        x_key, noise_key = jax.random.split(key)
        x = jax.random.uniform(x_key, (n, 1))
        return x, x + jax.random.uniform(noise_key, (n, 1), minval=-noise, maxval=noise)

    information = noise - math.log(2 * noise) if noise <= 0.5 else 1 / (4 * noise)
    return Population(f"uniform noise {noise:g}", sample, information)


def mixture(name: str, weights: Sequence[float], means: jax.Array, covariances: jax.Array) -> Population:
    """Pairs of numbers from a mixture of Gaussians in the plane.

    Args:
        weights: of the K parts, summing to one.
        means: float[K, 2] of ⟨x, y⟩.
        covariances: float[K, 2, 2].
    Source: quadrature of the log density ratio on a grid; doubling the grid moves the value by less than 1e-4.
    """
    weights, means, covariances = (jnp.asarray(a, jnp.float32) for a in (weights, means, covariances))
    roots = jnp.linalg.cholesky(covariances)

    def sample(key, n):
        part_key, normal_key = jax.random.split(key)
        part = jax.random.choice(part_key, len(weights), (n,), p=weights)
        joint = means[part] + jnp.einsum("nij,nj->ni", roots[part], jax.random.normal(normal_key, (n, 2)))
        return joint[:, :1], joint[:, 1:]

    return Population(name, sample, float(_mixture_information(weights, means, covariances)))


def symbols(name: str, table: jax.Array) -> Population:
    """Two categorical symbols, int32[n, 1] each, with the joint probabilities float[Kx, Ky] of `table`.

    >>> channel = symbols("binary channel", jnp.array([[0.45, 0.05], [0.05, 0.45]]))
    >>> round(channel.mutual_information, 4)
    0.3681
    """
    table = jnp.asarray(table) / jnp.sum(table)

    def sample(key, n):
        cell = jax.random.choice(key, table.size, (n, 1), p=table.ravel())
        return cell // table.shape[1], cell % table.shape[1]

    independent = table.sum(1, keepdims=True) * table.sum(0, keepdims=True)
    terms = jnp.where(table > 0, table * jnp.log(jnp.where(table > 0, table / independent, 1)), 0)
    return Population(name, sample, float(terms.sum()))


def labelled(name: str, weights: Sequence[float], means: Sequence[float], spreads: Sequence[float]) -> Population:
    """A number and the class it was drawn for: x | y = k is Gaussian; x float32[n, 1], y int32[n, 1].

    Source: quadrature of H(y) − H(y | x) on a grid of 20,000 points.
    """
    weights, means, spreads = (jnp.asarray(a, jnp.float32) for a in (weights, means, spreads))

    def sample(key, n):
        class_key, normal_key = jax.random.split(key)
        y = jax.random.choice(class_key, len(weights), (n, 1), p=weights)
        return means[y] + spreads[y] * jax.random.normal(normal_key, (n, 1)), y

    reach = 9 * float(spreads.max())
    low, high = float(means.min()) - reach, float(means.max()) + reach
    grid = jnp.linspace(low, high, 20_000)[:, None]
    given = jnp.exp(-0.5 * ((grid - means) / spreads) ** 2) / (spreads * math.sqrt(2 * math.pi))
    marginal = (given * weights).sum(1, keepdims=True)
    terms = jnp.where(given > 0, weights * given * jnp.log(jnp.where(given > 0, given / marginal, 1)), 0)
    return Population(name, sample, float(terms.sum()) * (high - low) / (20_000 - 1))


def counted(num_values: int) -> Population:
    """A whole number x of 0 … K−1 and y uniform on [x, x + 2]: one side discrete with an order, one continuous.

    >>> round(counted(5).mutual_information, 4)
    1.0549

    Source: ln K − (K−1)/K · ln 2, arXiv:1709.06212 experiment II.
    """

    def sample(key, n):
        x_key, y_key = jax.random.split(key)
        x = jax.random.randint(x_key, (n, 1), 0, num_values)
        return x, x + 2 * jax.random.uniform(y_key, (n, 1))

    information = math.log(num_values) - (num_values - 1) / num_values * math.log(2)
    return Population(f"counts of {num_values}", sample, information)


def product(name: str, *parts: Population) -> Population:
    """The product of independent populations: their x and y are concatenated, and their information adds up."""

    def sample(key, n):
        draws = [part.sample(jax.random.fold_in(key, i), n) for i, part in enumerate(parts)]
        return tuple(jnp.concatenate([draw[side] for draw in draws], axis=1) for side in (0, 1))

    return Population(name, sample, sum(part.mutual_information for part in parts))


def independent(dim_x: int, dim_y: int) -> Population:
    """Standard Gaussian x and y that share nothing."""

    def sample(key, n):
        joint = jax.random.normal(key, (n, dim_x + dim_y))
        return joint[:, :dim_x], joint[:, dim_x:]

    return Population(f"independent {dim_x}+{dim_y}", sample, 0.0)


def mapped(name: str, population: Population, map_x: Map, map_y: Map) -> Population:
    """The population under invertible maps, which leave its information as it was.

    Args:
        map_x, map_y: float[n, dx] → float[n, ex] and float[n, dy] → float[n, ey], one to one on rows.
    """

    def sample(key, n):
        x, y = population.sample(key, n)
        return map_x(x), map_y(y)

    return Population(name, sample, population.mutual_information)


def _cholesky(covariance: jax.Array) -> jax.Array:
    root = jnp.linalg.cholesky(jnp.asarray(covariance, jnp.float32))
    if not bool(jnp.all(jnp.isfinite(root))):
        raise ValueError(f"covariance of shape {jnp.shape(covariance)} is not positive definite")
    return root


def _gaussian_information(covariance: jax.Array, dim_x: int) -> float:
    blocks = covariance[:dim_x, :dim_x], covariance[dim_x:, dim_x:], jnp.asarray(covariance)
    of_x, of_y, joint = (float(jnp.linalg.slogdet(block)[1]) for block in blocks)
    return 0.5 * (of_x + of_y - joint)


@partial(jax.jit, static_argnames="side")
def _mixture_information(weights: jax.Array, means: jax.Array, covariances: jax.Array, side: int = 500) -> jax.Array:
    """∫ p ln p/(p_x p_y) over a grid that reaches seven standard deviations beyond every part."""
    spread = 7 * jnp.sqrt(jnp.diagonal(covariances, axis1=1, axis2=2))
    low, high = (means - spread).min(0), (means + spread).max(0)
    x, y = (jnp.linspace(low[i], high[i], side) for i in (0, 1))

    def log_normal(grid, k, i):
        variance = covariances[k, i, i]
        return jnp.log(weights[k]) - 0.5 * ((grid - means[k, i]) ** 2 / variance + jnp.log(2 * math.pi * variance))

    parts = range(len(weights))
    log_x = logsumexp(jnp.stack([log_normal(x, k, 0) for k in parts]), axis=0)
    log_y = logsumexp(jnp.stack([log_normal(y, k, 1) for k in parts]), axis=0)
    joint = []
    for k in parts:  # p(x) p(y | x) of each part
        slope = covariances[k, 0, 1] / covariances[k, 0, 0]
        rest = covariances[k, 1, 1] - slope * covariances[k, 0, 1]
        off = y[None, :] - means[k, 1] - slope * (x[:, None] - means[k, 0])
        joint.append(log_normal(x, k, 0)[:, None] - 0.5 * (off**2 / rest + jnp.log(2 * math.pi * rest)))
    log_joint = logsumexp(jnp.stack(joint), axis=0)
    terms = jnp.exp(log_joint) * (log_joint - log_x[:, None] - log_y[None, :])
    return terms.sum() * jnp.prod((high - low) / (side - 1))
