"""Critics: how a context is scored with a candidate. Each turns both codes into vectors whose inner product is the
score, so that any contrast method can compute N scores without forming pairs."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Critic(NamedTuple):
    """A critic whose score is an inner product of what it makes of the two codes.

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
        weight = jax.random.normal(key, (num_ahead, context_dim, code_dim)) / jnp.sqrt(context_dim)
        return {"weight": weight}

    return AheadCritic(init, lambda params, contexts: jnp.einsum("k...h,khd->k...d", contexts, params["weight"]))


CRITICS: dict[str, Callable[[], Critic]] = {"inner_product": inner_product, "bilinear": bilinear}
"""Names of `config.critic.name`."""
