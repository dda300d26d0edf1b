"""Invertible maps of x or y alone: they leave the information of a population as it is, and hide its law."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtr

Map = Callable[[jax.Array], jax.Array]

BENDS: dict[str, Map] = {
    "asinh": jnp.arcsinh,
    "cdf": ndtr,
    "exp": jnp.exp,
    "half-cube": lambda x: x * jnp.sqrt(jnp.abs(x)),
    "wiggly": lambda x: x + 0.4 * jnp.sin(x) + 0.2 * jnp.sin(1.7 * x + 1) + 0.03 * jnp.sin(3.3 * x - 2.5),
}
"""Elementwise maps, all strictly increasing: they change the law of each column but no rank."""


def rotation(dim: int, seed: int) -> Map:
    """x ↦ x Q with a fixed random orthogonal Q: mixes the coordinates, so that no single column reveals its law."""
    q, r = jnp.linalg.qr(jax.random.normal(jax.random.key(seed), (dim, dim)))
    return lambda x: x @ (q * jnp.sign(jnp.diag(r)))


def spiral(speed: float, plane: tuple[int, int] = (0, 1)) -> Map:
    """Turns every x in a plane of two coordinates, by speed · |x|² radians: the farther out, the more.

    The length of x does not change, so the map is invertible.

    Source: arXiv:2306.11078, appendix on spiral diffeomorphisms.
    """
    i, j = plane

    def turn(x):
        angle = speed * jnp.sum(x * x, axis=1)
        cosine, sine = jnp.cos(angle), jnp.sin(angle)
        return x.at[:, i].set(cosine * x[:, i] - sine * x[:, j]).at[:, j].set(sine * x[:, i] + cosine * x[:, j])

    return turn


def roll(x: jax.Array) -> jax.Array:
    """A number in [0, 1] rolled up in the plane, one turn and a half; float[n, 1] → float[n, 2]."""
    angle = 1.5 * math.pi * (1 + 2 * x[:, 0])
    return jnp.stack([angle * jnp.cos(angle), angle * jnp.sin(angle)], axis=1) / 21
