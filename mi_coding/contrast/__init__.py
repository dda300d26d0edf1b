"""Where distractors come from: one contract, several methods, the same numbers.

A method scores the queries of one device's shard against every candidate on every device and returns, for each
query, the only things an objective needs: the score of the true candidate, the log-sum-exp over all candidates, and
the rank of the true one. Which keys are candidates is a `Rule`; how the scores are computed is a method.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from mi_coding.contrast.blockwise import blockwise
from mi_coding.contrast.contract import (
    ALL,
    ALL_PAIRS,
    OTHER_DEVICES,
    POOL,
    PRECISIONS,
    REDUCTIONS,
    Contrast,
    ContrastSpec,
    Rule,
    check_precision,
)
from mi_coding.contrast.gather import dense, gather
from mi_coding.contrast.ring import ring
from mi_coding.contrast.sampled import contrast_sampled

METHODS: dict[str, Callable[..., Contrast]] = {"dense": dense, "gather": gather, "blockwise": blockwise, "ring": ring}
"""Name → method. Scores held per device, with B pairs in total, b of them on the device, and codes of d numbers:

dense: B². gather: b · B. blockwise: none, but the gathered keys, B · d. ring: none, a few times b · d in total.
"""

_SCORES_IN_FULL = 2**18
"""Up to this many scores per device, `auto` holds them all: that compiles faster, and has derivatives of every kind."""


def contrast(
    queries: jax.Array,
    keys: jax.Array,
    scale: jax.Array | float = 1.0,
    spec: ContrastSpec = ALL_PAIRS,
    *,
    method: str = "auto",
) -> Contrast:
    """Scores every query with every candidate and keeps what an objective needs of the scores.

    The score of query i and key j is `scale · ⟨queries[i], keys[j]⟩`. Products are accumulated in float32 (float64
    for float64 codes), at the precision that `spec` names, in every method and for true and false candidates alike: a
    true score of another precision than its normaliser would bias the loss. Scores are clipped to ± an eighth
    of the largest finite float, so no scale produces an infinity.

    All fields have gradients to queries, keys and scale (rank has none): of first order and in reverse mode, since
    `blockwise` and `ring` recompute their scores in a backward pass of their own.

    >>> out = contrast(2 * jnp.eye(3), jnp.eye(3))
    >>> out.true_score.tolist(), out.rank.tolist(), out.num_candidates
    ([2.0, 2.0, 2.0], [0, 0, 0], 3)

    Args:
        queries: float[n, d], this device's shard.
        keys: float[n, d], this device's shard; by the rule, keys[i] or its partner in the pool is the true one of
            queries[i].
        scale: one over the temperature.
        spec: the candidates, and what is computed of their scores.
        method: one of `METHODS`, or "auto": all scores at once while they are few, then `blockwise` on one device
            and `ring` on several.
    Returns:
        A `Contrast`, one entry for each query of this shard.
    Raises:
        ValueError: for an unknown method, reduction or precision, columns or a clip that a reduction does not have,
            `dense` under a mapped axis, a block size < 1, fewer than two candidates, or float64 codes at less than the
            highest precision.
    """
    if method == "auto":
        is_small = queries.shape[0] ** 2 * spec.num_devices <= _SCORES_IN_FULL
        on_one, on_several = ("dense", "gather") if is_small else ("blockwise", "ring")
        method = on_one if spec.axis_name is None else on_several
    if method not in METHODS:
        raise ValueError(f"method={method!r} is unknown; choose one of 'auto', {str(list(METHODS))[1:-1]}")
    if spec.block_size is not None and spec.block_size < 1:
        raise ValueError(f"block_size={spec.block_size}: the side of a tile must be at least 1")
    if spec.reduction not in REDUCTIONS:
        raise ValueError(f"reduction={spec.reduction!r} is unknown; choose one of {str(REDUCTIONS)[1:-1]}")
    if spec.columns and not spec.with_true:
        raise ValueError(f"columns of reduction={spec.reduction!r} are not computed; expected columns=False")
    if spec.clip is not None and not spec.softplus:
        raise ValueError(f"clip={spec.clip} with reduction={spec.reduction!r}: clip applies to 'softplus' only")
    num_candidates = spec.rule.num_candidates(queries.shape[0], spec.num_devices)
    if num_candidates < 2:
        raise ValueError(
            f"{num_candidates} candidate(s) for each query: rule {spec.rule.name!r} on {spec.num_devices} device(s) "
            f"with {queries.shape[0]} queries each leaves no distractor; use more devices or a larger batch"
        )
    dtype = jnp.promote_types(jnp.result_type(queries, keys), jnp.float32)
    check_precision(spec.precision, dtype)
    return METHODS[method](spec.rounded(queries), spec.rounded(keys), jnp.asarray(scale, dtype), spec)
