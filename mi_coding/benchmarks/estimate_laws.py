"""The populations that `estimate_mi` is benchmarked on; none was used to tune anything on its true value."""

from collections.abc import Collection

import jax.numpy as jnp

from mi_coding.pairs.population_maps import BENDS, roll, rotation, spiral
from mi_coding.pairs.populations import (
    Population,
    counted,
    dense_covariance,
    gaussian,
    labelled,
    mapped,
    mixture,
    paired_covariance,
    product,
    staircase,
    student,
    symbols,
    uniform_noise,
)

QUICK = ("dense Gaussian 2", "six symbols")
"""What --quick keeps of the table."""


def populations(names: Collection[str] | None = None) -> list[Population]:
    """The rows of the table, or those with these names, in its order."""
    laws = [*_gaussians(), *_students(), *_uniform_noises(), *_mixtures(), *_others()]
    return laws if names is None else [law for law in laws if law.name in names]


def _gaussians() -> list[Population]:
    """As they are, bent, rotated and wound into spirals."""
    wound = [(_sparse(dim), dim) for dim in (2, 3, 5, 25)] + [(_dense(5), 5), (_bent("cdf", _sparse(3)), 3)]
    return [
        _gaussian(),
        *map(_dense, (2, 5, 25)),
        *map(_sparse, (3, 25)),
        _bent("wiggly", _gaussian()),
        _bent("asinh", _dense(3)),
        _bent("exp", _dense(5)),
        _bent("half-cube", _sparse(5)),
        _bent("cdf", _sparse(25)),
        _rotated(_bent("cdf", _sparse(2)), 2),
        _rotated(_bent("half-cube", _sparse(3)), 3),
        _rotated(_bent("exp", _sparse(3)), 3),
        _rotated(_bent("cdf", _sparse(5)), 5),
        _rotated(_bent("half-cube", _sparse(25)), 25),
        *(_spiralled(law, dim) for law, dim in wound),
    ]


def _students() -> list[Population]:
    heavy = student("Student-t(2) 3", jnp.eye(6), 3, 2)
    return [
        student("Student-t(1) 1", jnp.eye(2), 1, 1),
        student("Student-t(1) 2", jnp.eye(4), 2, 1),
        heavy,
        student("Student-t(2) 5", jnp.eye(10), 5, 2),
        student("dense Student-t(3) 5", dense_covariance(5, 5, 0.5), 5, 3),
        student("Student-t(3) 25", jnp.eye(50), 25, 3),
        _bent("asinh", heavy),
    ]


def _uniform_noises() -> list[Population]:
    narrow = uniform_noise(0.1)
    return [narrow, uniform_noise(0.75), mapped("rolled uniform noise 0.1", narrow, roll, lambda y: y)]


def _mixtures() -> list[Population]:
    cross = mixture("crossed Gaussians", [0.5, 0.5], jnp.zeros((2, 2)), [[[1, 0.9], [0.9, 1]], [[1, -0.9], [-0.9, 1]]])
    corners = mixture(
        "four corners",
        [0.3, 0.3, 0.2, 0.2],
        [[-1.5, -1.5], [1.5, 1.5], [-1.5, 1.5], [1.5, -1.5]],
        [[[0.5, 0.2], [0.2, 0.5]]] * 2 + [[[0.3, 0.0], [0.0, 0.3]]] * 2,
    )
    return [cross, corners, _rotated(product("two mixtures", cross, corners), 2)]


def _others() -> list[Population]:
    return [
        symbols("six symbols", jnp.eye(6) + 0.1 * jnp.arange(1, 7)[:, None] * jnp.ones((6, 6))),
        labelled("three classes", [0.5, 0.3, 0.2], [-1, 1, 3], [1, 0.5, 1]),
        counted(5),
        staircase(2.0),
        staircase(4.0),
    ]


def _gaussian() -> Population:
    return gaussian("Gaussian 1", dense_covariance(1, 1, 0.75), 1)


def _dense(dim: int) -> Population:
    return gaussian(f"dense Gaussian {dim}", dense_covariance(dim, dim, 0.5), dim)


def _sparse(dim: int) -> Population:
    return gaussian(f"sparse Gaussian {dim}", paired_covariance(dim, dim, (0.8, 0.8)), dim)


def _bent(name: str, population: Population) -> Population:
    return mapped(f"{name} of {population.name}", population, BENDS[name], BENDS[name])


def _rotated(population: Population, dim: int) -> Population:
    return mapped(f"rotated {population.name}", population, rotation(dim, 1), rotation(dim, 2))


def _spiralled(population: Population, dim: int) -> Population:
    plane = (1, 2) if dim > 2 else (0, 1)
    return mapped(f"spiral of {population.name}", population, spiral(1 / dim), spiral(1 / dim, plane))
