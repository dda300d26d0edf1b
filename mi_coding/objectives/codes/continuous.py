"""Densities of continuous codes: z is the encoder's mean plus Gaussian noise of a fixed scale."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from mi_coding.objectives.codes.encoded import check_codes

_LOG_2PI = math.log(2 * math.pi)
_MOST_STRETCH = 2.0  # of one coupling, as a logarithm: keeps early training finite


class DensityModel(NamedTuple):
    """A density with parameters: a prior p_Ψ(z), or p_Φ(z|z′) given the code of the other half.

    Attributes:
        dim: D.
        conditional: whether it is given a code z′, which then has D dimensions too.
        init: key → params.
        log_prob: (params, z float[b, D], given float[b, D] | None) → float[b], ln p in nats.
        cross_entropy: (params, code, given, key, rows, code_gradient=True) → float[], the mean over a batch of
            −ln p(z) with z = code plus noise and z′ = given plus noise. Its gradient is unbiased (reparametrised).
    """

    dim: int
    conditional: bool
    init: Callable[[jax.Array], Any]
    log_prob: Callable[..., jax.Array]
    cross_entropy: Callable[..., jax.Array]


def gaussian_mixture(dim: int, *, components: int, noise: float = 0.0, conditional: bool = False) -> DensityModel:
    """A mixture of Gaussians with full covariances; given z′, means and weights are affine functions of z′.

    >>> prior = gaussian_mixture(2, components=3)
    >>> log_p = prior.log_prob(prior.init(jax.random.key(0)), jnp.zeros((5, 2)))
    >>> log_p.shape
    (5,)

    Args:
        dim: D.
        components: at least 1.
        noise: standard deviation of the noise that `cross_entropy` adds to both codes.
        conditional: whether it is p(z|z′).
    Raises:
        ValueError: for fewer than one dimension or component, or negative noise.
    """
    _check(dim, noise)
    if components < 1:
        raise ValueError(f"components={components}: a mixture has at least 1")

    def init(key: jax.Array) -> dict[str, jax.Array]:
        params = {
            "weights": jnp.zeros(components),
            "means": jax.random.normal(key, (components, dim)) if components > 1 else jnp.zeros((1, dim)),
            "log_diagonal": jnp.zeros((components, dim)),
            "lower": jnp.zeros((components, dim, dim)),
        }
        if conditional:
            params |= {"slopes": jnp.zeros((components, dim, dim)), "weight_slopes": jnp.zeros((components, dim))}
        return params

    def log_prob(params: dict[str, jax.Array], z: jax.Array, given: jax.Array | None = None) -> jax.Array:
        check_codes(z, given, dim, conditional)
        means, weights = params["means"][:, None], params["weights"][:, None]
        if conditional:
            means = means + jnp.einsum("cij,bj->cbi", params["slopes"], given)
            weights = weights + params["weight_slopes"] @ given.T
        factor = jnp.tril(params["lower"], -1) + jax.vmap(jnp.diag)(jnp.exp(params["log_diagonal"]))
        whitened = jnp.einsum("cij,cbj->cbi", factor, z - means)
        logs = jnp.sum(params["log_diagonal"], axis=1)[:, None] - (jnp.sum(whitened**2, axis=2) + dim * _LOG_2PI) / 2
        return jax.nn.logsumexp(jax.nn.log_softmax(weights, axis=0) + logs, axis=0)

    return DensityModel(dim, conditional, init, log_prob, _cross_entropy_of(log_prob, noise))


def coupling_flow(dim: int, *, layers: int = 4, hidden: int = 64, noise: float = 0.0) -> DensityModel:
    """A standard normal moved by affine couplings: half of the dimensions stretch and shift the other half.

    >>> flow = coupling_flow(3, layers=2, hidden=8)
    >>> log_p = flow.log_prob(flow.init(jax.random.key(0)), jnp.zeros((1, 3)))  # it begins as the standard normal
    >>> print(f"{log_p[0]:.4f}")
    -2.7568

    Args:
        dim: D, at least 2.
        layers: couplings; the halves take turns.
        hidden: units of the one hidden layer of each coupling.
        noise: see `gaussian_mixture`.
    Raises:
        ValueError: for fewer than two dimensions, no layer, no hidden unit, or negative noise.
    Source: real NVP, arXiv:1605.08803.
    """
    _check(dim, noise)
    if dim < 2 or layers < 1 or hidden < 1:
        raise ValueError(f"dim={dim} must be at least 2, layers={layers} and hidden={hidden} at least 1")
    halves = [(jnp.arange(dim) + layer) % 2 for layer in range(layers)]

    def init(key: jax.Array) -> list[dict[str, jax.Array]]:
        return [
            {
                "in": jax.random.normal(k, (dim, hidden)) / jnp.sqrt(dim),
                "bias": jnp.zeros(hidden),
                "stretch": jnp.zeros((hidden, dim)),
                "shift": jnp.zeros((hidden, dim)),
                "scale": jnp.zeros(dim),
                "move": jnp.zeros(dim),
            }
            for k in jax.random.split(key, layers)
        ]

    def log_prob(params: list[dict[str, jax.Array]], z: jax.Array, given: jax.Array | None = None) -> jax.Array:
        check_codes(z, given, dim, conditional=False)
        log_volume = jnp.zeros(len(z))
        for layer, kept in zip(params, halves, strict=True):
            hidden_units = jnp.tanh((z * kept) @ layer["in"] + layer["bias"])
            stretch = _MOST_STRETCH * jnp.tanh(hidden_units @ layer["stretch"] + layer["scale"]) * (1 - kept)
            z = z * jnp.exp(stretch) + (hidden_units @ layer["shift"] + layer["move"]) * (1 - kept)
            log_volume += jnp.sum(stretch, axis=1)
        return log_volume - (jnp.sum(z**2, axis=1) + dim * _LOG_2PI) / 2

    return DensityModel(dim, False, init, log_prob, _cross_entropy_of(log_prob, noise))


def _cross_entropy_of(log_prob: Callable, noise: float) -> Callable:
    """`DensityModel.cross_entropy` of a density, whose codes have noise of this standard deviation."""

    def cross_entropy(
        params: Any,
        code: jax.Array,
        given: jax.Array | None = None,
        key: jax.Array | None = None,
        rows: jax.Array | None = None,
        code_gradient: bool = True,
    ) -> jax.Array:
        del code_gradient  # without it autodiff already leaves out what it would cost
        if noise:
            if key is None:
                raise ValueError("codes with noise are drawn: cross_entropy needs a key")
            own_key, given_key = jax.random.split(key)
            code = code + noise * _normal(own_key, code, rows)
            given = None if given is None else given + noise * _normal(given_key, given, rows)
        return -jnp.mean(log_prob(params, code, given))

    return cross_entropy


def _normal(key: jax.Array, like: jax.Array, rows: jax.Array | None) -> jax.Array:
    """float[b, D]: row i of the global batch draws the same on any number of devices."""
    rows = jnp.arange(len(like)) if rows is None else rows
    return jax.vmap(lambda row: jax.random.normal(jax.random.fold_in(key, row), like.shape[1:]))(rows)


def _check(dim: int, noise: float) -> None:
    if dim < 1 or noise < 0:
        raise ValueError(f"dim={dim} must be at least 1 and noise={noise} at least 0")
