"""Where distractors come from: one contract, several methods, the same numbers.

A method scores the queries of one device's shard against every candidate on every device and returns, for each
query, the only things an objective needs: the score of the true candidate, the log-sum-exp over all candidates, and
the rank of the true one. Which keys are candidates is a `Rule`; how the scores are computed is a method.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from mi_coding.contrast.contract import ALL, OTHER_DEVICES, POOL, Contrast, Rule
from mi_coding.contrast.gather import dense, gather

__all__ = ["ALL", "METHODS", "OTHER_DEVICES", "POOL", "Contrast", "Rule", "contrast"]

METHODS: dict[str, Callable[..., Contrast]] = {"dense": dense, "gather": gather}


def contrast(
    queries: jax.Array,
    keys: jax.Array,
    *,
    scale: jax.Array | float = 1.0,
    rule: Rule = ALL,
    method: str = "auto",
    block_size: int | None = None,
    axis_name: str | None = None,
) -> Contrast:
    """Scores every query with every candidate and keeps what an objective needs of it.

    The score of query i and key j is `scale · ⟨queries[i], keys[j]⟩`. Products are accumulated in float32 (float64
    for float64 codes) at the highest precision of the hardware, in every method and for true and false candidates
    alike: a true score of another precision than its normaliser is a biased loss. Scores are held within an eighth
    of the largest finite float, so no scale makes an infinity.

    >>> out = contrast(2 * jnp.eye(3), jnp.eye(3))
    >>> out.true_score.tolist(), out.rank.tolist(), out.num_candidates
    ([2.0, 2.0, 2.0], [0, 0, 0], 3)

    Args:
        queries: float[n, d], this device's shard.
        keys: float[n, d], this device's shard; by `rule`, keys[i] or its partner in the pool is the true one of
            queries[i].
        scale: one over the temperature.
        rule: which keys are candidates: `ALL`, `OTHER_DEVICES` or `POOL`.
        method: "auto", or one of `METHODS`.
        block_size: side of a tile, for the methods that compute in tiles.
        axis_name: the mapped axis that holds the other shards; None where this shard is everything.
    Returns:
        A `Contrast`, one entry for each query of this shard.
    Raises:
        ValueError: for an unknown method, or `dense` under a mapped axis.
    """
    if method == "auto":
        method = "dense" if axis_name is None else "gather"
    if method not in METHODS:
        raise ValueError(f"method={method!r} is unknown; choose one of 'auto', {str(list(METHODS))[1:-1]}")
    del block_size  # no method with tiles yet
    num_devices = 1 if axis_name is None else lax.axis_size(axis_name)
    num_candidates = rule.num_candidates(queries.shape[0], num_devices)
    if num_candidates < 2:
        raise ValueError(
            f"{num_candidates} candidate(s) for each query: rule {rule.name!r} on {num_devices} device(s) with "
            f"{queries.shape[0]} queries each leaves no distractor; use more devices or a larger batch"
        )
    dtype = jnp.promote_types(jnp.result_type(queries, keys), jnp.float32)
    return METHODS[method](queries, keys, jnp.asarray(scale, dtype), rule, axis_name)
