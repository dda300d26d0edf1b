"""The contract that every contrast method fulfils, and the rules that say which keys are candidates."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax


class Contrast(NamedTuple):
    """What an objective needs of the scores of n queries, without the scores.

    Attributes:
        true_score: float32[n], the score of each query with its true candidate.
        row_lse: float32[n], log-sum-exp over all candidates of each query, the true one among them.
        column_lse: float32[n], the same with the roles exchanged: for the true key of each query, log-sum-exp over
            all queries that have this key among their candidates.
        rank: int32[n], how many distractors score at least as high as the true candidate; 0 is the best.
        num_candidates: N, the true candidate counted.
    """

    true_score: jax.Array
    row_lse: jax.Array
    column_lse: jax.Array
    rank: jax.Array
    num_candidates: int


class Rule(NamedTuple):
    """Which keys are candidates of a query.

    Keys of other devices always are; the rule speaks of the keys on the query's own device only. That is all that
    the losses in use need, and it lets a method leave masks out of every tile but those of its own device.
    """

    name: str

    def true_key(self, num_queries: int) -> jax.Array:
        """int32[n]: the position, on the same device, of each query's true candidate."""
        positions = jnp.arange(num_queries)
        return jnp.roll(positions, num_queries // 2) if self.name == "pool" else positions

    def excluded(self, rows: jax.Array, columns: jax.Array) -> jax.Array:
        """bool[rows, columns]: keys of the query's own device that are no candidates of it."""
        same = rows[:, None] == columns[None, :]
        return {"all": jnp.zeros_like(same), "other_devices": ~same, "pool": same}[self.name]

    def num_candidates(self, num_queries: int, num_devices: int) -> int:
        """N for each query, from the sizes of one shard and of the axis."""
        everything = num_queries * num_devices
        return {"all": everything, "other_devices": everything - num_queries + 1, "pool": everything - 1}[self.name]


ALL = Rule("all")
"""The true y and the ys of all other pairs, on every device: N = B."""

OTHER_DEVICES = Rule("other_devices")
"""The true y and the ys on other devices: N = B − b + 1."""

POOL = Rule("pool")
"""Both views of every pair in one pool, self left out: N = 2B − 1. Queries and keys are the same stacked codes
[x_1 … x_b, y_1 … y_b], and the true candidate of a view is the other view of its pair (NT-Xent, arXiv:2002.05709)."""


def score_products(queries: jax.Array, keys: jax.Array, scale: jax.Array) -> jax.Array:
    """Scores float32[n, m]; the one place that states the precision of a score product.

    HIGHEST, since TPUs and recent GPUs round float32 products to bfloat16 or TF32 by default.
    """
    products = lax.dot_general(
        queries,
        keys,
        (((1,), (1,)), ((), ())),
        precision=lax.Precision.HIGHEST,
        preferred_element_type=scale.dtype,
    )
    limit = float(jnp.finfo(scale.dtype).max) / 8
    return jnp.clip(products * scale, -limit, limit)
