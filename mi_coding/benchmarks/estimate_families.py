"""Populations that `estimate_mi` was not made for: mixtures, flows, tails, atoms, categories, series, many columns.

Population number i of a family is drawn from the seed [family, i]. Those of even i are for development, those of odd i
were used for reporting alone.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.signal import lfilter
from scipy.special import logsumexp

from mi_coding.pairs.populations import student

PER_HALF = 5
"""Populations of a family in each half."""

_MANY = 200_000
"""Draws over which information without a closed form is averaged: its error is below 0.005 nats."""


class Drawn(NamedTuple):
    """A population, without its name: draws (n, rng) → x, y; its information in nats; and `rows` of `estimate_mi`."""

    sample: Callable[[int, np.random.Generator], tuple[np.ndarray, np.ndarray]]
    nats: float
    rows: str = "independent"


def mixtures(rng: np.random.Generator) -> Drawn:
    """Gaussian mixtures of 2 to 6 components in 2 to 4 columns per side."""
    dims, number = rng.integers(2, 5, 2), rng.integers(2, 7)
    weights = rng.dirichlet(np.full(number, 3.0))
    means = 1.5 * rng.normal(size=(number, dims.sum()))
    roots = 0.6 * rng.normal(size=(number, dims.sum(), dims.sum())) / math.sqrt(dims.sum()) + 0.5 * np.eye(dims.sum())

    def sample(n, rng):
        chosen = rng.choice(number, n, p=weights)
        both = means[chosen] + np.einsum("nij,nj->ni", roots[chosen], rng.normal(size=(n, dims.sum())))
        return both[:, : dims[0]], both[:, dims[0] :]

    def log_density(values, part):
        logs = []
        for weight, mean, root in zip(weights, means, roots, strict=True):
            covariance = (root @ root.T)[part, part]
            away = values - mean[part]
            squares = np.sum(away * np.linalg.solve(covariance, away.T).T, axis=1)
            logs.append(math.log(weight) - 0.5 * (squares + np.linalg.slogdet(2 * np.pi * covariance)[1]))
        return logsumexp(logs, axis=0)

    x, y = sample(_MANY, np.random.default_rng(0))
    joint = log_density(np.concatenate([x, y], axis=1), np.s_[:])
    nats = np.mean(joint - log_density(x, np.s_[: dims[0]]) - log_density(y, np.s_[dims[0] :]))
    return Drawn(sample, float(nats))


def flows(rng: np.random.Generator) -> Drawn:
    """Correlated Gaussians of 2 to 5 columns per side, behind an invertible map of each: shears, bends, rotations."""
    dim = int(rng.integers(2, 6))
    rho = rng.uniform(0.2, 0.95, dim) * (rng.random(dim) < 0.7)
    maps = [_flow(dim, rng) for _ in range(2)]

    def sample(n, rng):
        z, noise = rng.normal(size=(2, n, dim))
        return maps[0](z), maps[1](rho * z + np.sqrt(1 - rho**2) * noise)

    return Drawn(sample, float(-0.5 * np.log1p(-(rho**2)).sum()))


def _flow(dim: int, rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    layers = []
    for _ in range(2):
        turn = np.linalg.qr(rng.normal(size=(dim, dim)))[0]
        weights, slopes = rng.normal(size=dim - 1), rng.uniform(0.5, 1.5)
        layers.append((turn, weights, slopes))

    def apply(values):
        for turn, weights, slope in layers:
            values = values @ turn
            first = values[:, :1] + np.sin(slope * values[:, 1:]) @ weights[:, None]  # a shear: one to one
            values = np.concatenate([first, values[:, 1:]], axis=1)
            values = values + 0.5 * np.tanh(2 * values)
        return values

    return apply


def tails(rng: np.random.Generator) -> Drawn:
    """Student-t with 1 to 3 degrees in 1 to 5 columns per side, rotated; its scale links sides without correlation."""
    dim, degrees = int(rng.integers(1, 6)), float(rng.choice([1.0, 1.5, 2.0, 3.0]))
    rho = rng.uniform(0, 0.8)
    dispersion = np.block([[np.eye(dim), rho * np.eye(dim)], [rho * np.eye(dim), np.eye(dim)]])
    law = student("tails", dispersion, dim, degrees)
    turns = [np.linalg.qr(rng.normal(size=(dim, dim)))[0] for _ in range(2)]
    root = np.linalg.cholesky(dispersion)

    def sample(n, rng):
        both = rng.normal(size=(n, 2 * dim)) @ root.T / np.sqrt(rng.chisquare(degrees, (n, 1)) / degrees)
        return both[:, :dim] @ turns[0], both[:, dim:] @ turns[1]

    return Drawn(sample, law.mutual_information)


def atoms(rng: np.random.Generator) -> Drawn:
    """A correlated Gaussian pair, or with some probability a pair of a few values drawn from a table in its place."""
    share, rho = rng.uniform(0.2, 0.8), rng.uniform(0.3, 0.95)
    number = int(rng.integers(2, 5))
    table = rng.dirichlet(np.full(number * number, 0.5)).reshape(number, number)
    values = np.arange(number) - (number - 1) / 2.0

    def sample(n, rng):
        x, noise = rng.normal(size=(2, n))
        y = rho * x + math.sqrt(1 - rho**2) * noise
        chosen = rng.choice(number * number, n, p=table.ravel())
        is_atom = rng.random(n) < share
        return (np.where(is_atom, values[chosen // number], x), np.where(is_atom, values[chosen % number], y))

    sides = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True)
    of_table = np.sum(table * np.log(np.maximum(table, 1e-300) / np.maximum(sides, 1e-300)))
    # Both sides show which of the two laws holds; what they share beyond that is of that law.
    which = -share * math.log(share) - (1 - share) * math.log(1 - share)
    return Drawn(sample, float(which + share * of_table - (1 - share) * 0.5 * math.log(1 - rho**2)))


def categories(rng: np.random.Generator) -> Drawn:
    """Two nominal columns of 5 to 400 values, where each value of one makes some values of the other likely."""
    numbers = np.round(np.exp(rng.uniform(np.log(5), np.log(400), 2))).astype(int)
    number_x, number_y = numbers
    given = rng.dirichlet(np.full(number_y, rng.choice([0.02, 0.1, 1.0]) if number_y > 20 else 0.5), number_x)
    given = 0.9 * given + 0.1 / number_y
    of_x = rng.dirichlet(np.full(number_x, 2.0))
    of_y = of_x @ given

    def sample(n, rng):
        x = rng.choice(number_x, n, p=of_x)
        y = (np.cumsum(given, axis=1)[x] < rng.random((n, 1))).sum(axis=1).clip(max=number_y - 1)
        return np.array([f"x{i}" for i in x]), np.array([f"y{i}" for i in y])

    return Drawn(sample, float(np.sum(of_x[:, None] * given * np.log(given / of_y))))


def series(rng: np.random.Generator) -> Drawn:
    """Two autoregressive series of one or two columns, driven by correlated noise."""
    phi, rho, dim = rng.uniform(0.3, 0.95), rng.uniform(0, 0.9), int(rng.integers(1, 3))

    def sample(n, rng):
        a, b = rng.normal(size=(2, n + 500, dim))
        b = rho * a + math.sqrt(1 - rho**2) * b
        return tuple(lfilter([1], [1, -phi], noise, axis=0)[500:] for noise in (a, b))

    return Drawn(sample, float(-0.5 * dim * math.log(1 - rho**2)), "series")


def columns(rng: np.random.Generator) -> Drawn:
    """150 to 400 columns, of which one to five, or a combination of all, tell about one or two target columns."""
    count, targets, noise = int(rng.integers(150, 401)), int(rng.integers(1, 3)), rng.uniform(0.3, 1.5)
    weights = np.zeros((count, targets))
    informative = np.arange(count) if rng.random() < 0.4 else rng.choice(count, rng.integers(1, 6), replace=False)
    weights[informative] = rng.normal(size=(len(informative), targets)) / math.sqrt(len(informative))

    def sample(n, rng):
        x = rng.normal(size=(n, count))
        return x, x @ weights + noise * rng.normal(size=(n, targets))

    return Drawn(sample, float(0.5 * np.linalg.slogdet(np.eye(targets) + weights.T @ weights / noise**2)[1]))


FAMILIES = {
    "mixtures": mixtures,
    "flows": flows,
    "tails": tails,
    "atoms": atoms,
    "categories": categories,
    "series": series,
    "columns": columns,
}
"""Name → the function that draws a population of the family."""


def drawn(family: str, number: int) -> Drawn:
    """Population `number` of a family.

    >>> drawn("series", 3).rows
    'series'
    """
    return FAMILIES[family](np.random.default_rng([list(FAMILIES).index(family), number]))
