"""Critics: how a candidate is scored given a context.

A `Critic` turns both codes into vectors whose inner product is the score, so that any contrast method can compute N
scores without forming pairs; training uses these. A `PairCritic` scores any two arrays in any way; estimates of mutual
information use those, on top of a closed form (`EllipticalRatio`) that they correct.
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

Key = jax.Array | np.random.Generator
"""What initial weights are drawn with: in a program, or by NumPy, so that no program of random numbers is compiled."""


class Critic(NamedTuple):
    """A critic whose score is the inner product of two vectors, one computed from each code.

    Attributes:
        init: (key, D) → params; an empty dict for a critic without any.
        apply: (params, z_x float32[b, D], z_y float32[b, D]) → queries, keys, float32[b, D] each;
            score(x_i, y_j) = ⟨queries[i], keys[j]⟩.
    """

    init: Callable[[jax.Array, int], Any]
    apply: Callable[[Any, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]


class AheadCritic(NamedTuple):
    """K critics, one for each number of steps ahead: the score is an inner product of a prediction and a code.

    Attributes:
        init: (key, H, D) → params.
        apply: (params, contexts float32[K, …, H]) → queries float32[K, …, D]; queries[k − 1] predict k steps ahead.
    """

    init: Callable[[jax.Array, int, int], Any]
    apply: Callable[[Any, jax.Array], jax.Array]


def inner_product() -> Critic:
    """The plain critic z_xᵀ z_y; with `normalize` in `mi_coding.cpc` it is the cosine."""
    return Critic(lambda key, dim: {}, lambda params, z_x, z_y: (z_x, z_y))


def bilinear() -> Critic:
    """The critic z_xᵀ W z_y of the CPC paper, arXiv:1807.03748 equation 3.

    W begins as the identity, so training begins as with the inner product.

    >>> critic = bilinear()
    >>> queries, keys = critic.apply({"weight": jnp.array([[0.0, 2.0], [1.0, 0.0]])}, jnp.eye(2), jnp.eye(2))
    >>> (queries @ keys.T).tolist()
    [[0.0, 2.0], [1.0, 0.0]]
    """
    return Critic(
        lambda key, dim: {"weight": jnp.eye(dim)},
        lambda params, z_x, z_y: (z_x @ params["weight"], z_y),
    )


def bilinear_ahead(num_ahead: int) -> AheadCritic:
    """A critic z_{t+k}ᵀ W_k c_t of its own for each of K steps ahead; W_k c_t is the linear prediction of the step.

    >>> critic = bilinear_ahead(3)
    >>> params = critic.init(jax.random.key(0), 6, 4)
    >>> params["weight"].shape, critic.apply(params, jnp.ones((3, 5, 2, 6))).shape
    ((3, 6, 4), (3, 5, 2, 4))

    Source: arXiv:1807.03748 equation 3.
    """

    def init(key: jax.Array, context_dim: int, code_dim: int) -> Any:
        return {"weight": jax.random.normal(key, (num_ahead, context_dim, code_dim)) / jnp.sqrt(context_dim)}

    return AheadCritic(init, lambda params, contexts: jnp.einsum("k...h,khd->k...d", contexts, params["weight"]))


CRITICS: dict[str, Callable[[], Critic]] = {"inner_product": inner_product, "bilinear": bilinear}
"""Names of `config.critic.name`."""


class PairCritic(NamedTuple):
    """A critic of arrays that are not codes: any two widths, and scores that need not be inner products.

    Attributes:
        init: (key, dim_x, dim_y) → params; a JAX key, or a NumPy generator, which gives NumPy arrays.
        scores: (params, x float[n, dim_x], y float[m, dim_y]) → float[n, m], every context with every candidate.
    """

    init: Callable[[Key, int, int], Any]
    scores: Callable[[Any, jax.Array, jax.Array], jax.Array]


class Perceptron(nn.Module):
    """Dense layers with GELU between them; the last is linear, its weights scaled by `last_scale`."""

    widths: tuple[int, ...]
    last_scale: float = 1.0

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for width in self.widths[:-1]:
            x = nn.gelu(nn.Dense(width)(x))
        return nn.Dense(self.widths[-1])(x)

    def draw(self, key: Key, dim: int) -> Any:
        """Parameters for inputs float[n, dim]: normal weights of variance 1/fan-in, and biases of zero.

        All weights are drawn as one array, since random numbers of each layer on their own would take long to compile.
        """
        shapes = list(pairwise((dim, *self.widths)))
        ends = np.cumsum([rows * columns for rows, columns in shapes]).tolist()
        drawn, layers = _normal(key, ends[-1]), {}
        for number, (shape, end) in enumerate(zip(shapes, ends, strict=True)):
            scale = (self.last_scale if end == ends[-1] else 1.0) / math.sqrt(shape[0])
            kernel = scale * drawn[end - math.prod(shape) : end].reshape(shape)
            layers[f"Dense_{number}"] = {"kernel": kernel, "bias": 0 * kernel[0]}
        return {"params": layers}


def _normal(key: Key, size: int) -> Any:
    """float32[size], standard normal."""
    if isinstance(key, np.random.Generator):
        return key.standard_normal(size, np.float32)
    return jax.random.normal(key, (size,))


def _two(key: Key) -> tuple[Key, Key]:
    return (key, key) if isinstance(key, np.random.Generator) else tuple(jax.random.split(key))


def separable(*, width: int = 128, depth: int = 2, rank: int = 32) -> PairCritic:
    """⟨f(x), g(y)⟩ + a(x) + b(y) with a network for each side: n·m scores at the cost of n + m passes.

    Its initial scores are almost zero, so a critic that it corrects starts out unchanged.

    >>> critic = separable(width=8, rank=4)
    >>> params = critic.init(jax.random.key(0), 3, 2)
    >>> critic.scores(params, jnp.ones((5, 3)), jnp.ones((7, 2))).shape
    (5, 7)

    Args:
        width, depth: width and number of the hidden layers.
        rank: of the inner product.
    Source: arXiv:1905.06922 section 4 ("separable critic").
    """
    side = Perceptron((width,) * depth + (rank + 1,), last_scale=0.1)

    def init(key, dim_x, dim_y):
        key_x, key_y = _two(key)
        return {"x": side.draw(key_x, dim_x), "y": side.draw(key_y, dim_y)}

    def scores(params, x, y):
        f, g = side.apply(params["x"], x), side.apply(params["y"], y)
        return f[:, :-1] @ g[:, :-1].T + f[:, -1:] + g[:, -1]

    return PairCritic(init, scores)


def concatenated(*, width: int = 128, depth: int = 2) -> PairCritic:
    """h(x, y) with one network for both: any function of a pair, at the cost of n·m passes.

    >>> critic = concatenated(width=8)
    >>> critic.scores(critic.init(jax.random.key(0), 3, 2), jnp.ones((5, 3)), jnp.ones((7, 2))).shape
    (5, 7)

    Args:
        width, depth: width and number of the hidden layers.
    Source: arXiv:1905.06922 section 4 ("joint critic").
    """
    network = Perceptron((width,) * depth + (1,), last_scale=0.01)

    def scores(params, x, y):
        contexts = jnp.broadcast_to(x[:, None], (len(x), len(y), x.shape[1]))
        candidates = jnp.broadcast_to(y[None], (len(x), len(y), y.shape[1]))
        return network.apply(params, jnp.concatenate([contexts, candidates], axis=-1))[..., 0]

    return PairCritic(lambda key, dim_x, dim_y: network.draw(key, dim_x + dim_y), scores)


def conditional_gaussian(*, width: int = 128, depth: int = 2) -> PairCritic:
    """ln q(y|x), a Gaussian whose mean and variances are networks of x: for upper bounds, to make information *less*.

    Fit q by maximising the mean of the diagonal; then `mi_coding.bounds.club` of the scores is an upper bound to the
    extent that q is right, with a gradient for x. Alternate the two, so that q keeps up with x.

    >>> critic = conditional_gaussian(width=8)
    >>> params = critic.init(jax.random.key(0), 3, 2)
    >>> critic.scores(params, jnp.ones((5, 3)), jnp.ones((7, 2))).shape
    (5, 7)

    Args:
        width, depth: width and number of the hidden layers.
    Source: arXiv:2006.12013 section 3.3 (vCLUB).
    """

    def network(dim_y):
        return Perceptron((width,) * depth + (2 * dim_y,), last_scale=0.01)

    def scores(params, x, y):
        mean, log_variance = jnp.split(network(y.shape[1]).apply(params, x), 2, axis=1)
        squares = (y[None] - mean[:, None]) ** 2 * jnp.exp(-log_variance)[:, None]
        return -0.5 * jnp.sum(squares + log_variance[:, None] + jnp.log(2 * jnp.pi), axis=-1)

    return PairCritic(lambda key, dim_x, dim_y: network(dim_y).draw(key, dim_x), scores)


class EllipticalRatio(NamedTuple):
    """ln p(y|x) − ln p(y) in closed form, for pairs that are jointly Gaussian or Student-t.

    With q(x, y) = own_x + own_y + ⟨cross_x, cross_y⟩ the squared distance of a pair from the centre, the score is
    gain_x + gain_y − (degrees + dim)/2 · ln(1 + q/degrees). It is kept as one vector for each row of an array, so that
    any rows can be scored with any others.

    Attributes:
        cross: float[n, e], one side's factor of the cross term.
        own: float[n], its own part of q.
        gain: float[n], its own part of the score.
    """

    cross: jax.Array
    own: jax.Array
    gain: jax.Array


def elliptical_scores(x: EllipticalRatio, y: EllipticalRatio, degrees: jax.Array, dim: jax.Array) -> jax.Array:
    """float[n, m]: the log density ratio of every row of x with every row of y.

    Args:
        degrees: of freedom; 1e7 stands for the Gaussian, to which it is equal in float32.
        dim: dx + dy.
    """
    squares = x.cross @ y.cross.T + x.own[:, None] + y.own
    return x.gain[:, None] + y.gain - 0.5 * (degrees + dim) * jnp.log1p(jnp.maximum(squares, 0) / degrees)
