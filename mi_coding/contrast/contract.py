"""The contract that every contrast method fulfils: what it is asked for, what it returns, and the candidate rules."""

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
            all queries that have this key among their candidates. None where the caller asked for no columns.
        rank: int32[n], how many distractors score at least as high as the true candidate; 0 is the best.
        num_candidates: N, the true candidate included.
        row_softplus: float32[n], Σ ln(1 + exp(score)) over the distractors of each query; None where the caller did
            not ask for it.
    """

    true_score: jax.Array
    row_lse: jax.Array
    column_lse: jax.Array | None
    rank: jax.Array
    num_candidates: int
    row_softplus: jax.Array | None = None


PRECISIONS: dict[str, lax.Precision | lax.DotAlgorithmPreset] = {
    "highest": lax.Precision.HIGHEST,
    "high": lax.DotAlgorithmPreset.BF16_BF16_F32_X3,
    "bfloat16": lax.Precision.HIGHEST,  # of codes rounded to bfloat16, whose products are exact
}
"""Precisions of the products of float32 codes: name → what `lax.dot_general` takes. All sums are float32.

highest: exact to float32's rounding; six passes of bfloat16 on a TPU, and no tensor cores on a GPU. high: three passes
of bfloat16 on both, products off by 2⁻¹⁶; a CPU computes them as "highest". bfloat16: one pass, codes off by 2⁻⁹.
"""

REDUCTIONS = ("candidates", "distractors", "softplus")
"""What the scores of a query are reduced to, see `ContrastSpec`."""


class Rule(NamedTuple):
    """Which keys are candidates of a query.

    Keys of other devices always are; the rule concerns only the keys on the query's own device. That is all that
    the losses in use need, and it lets a method leave masks out of every tile but those of its own device.
    """

    name: str

    def partner(self, values: jax.Array) -> jax.Array:
        """Entries of this device's keys [n, …] in the order of the queries whose true candidates they are.

        It is its own inverse, so it also brings entries of queries into the order of their true keys.
        """
        return jnp.roll(values, values.shape[0] // 2, axis=0) if self.name == "pool" else values

    def excluded(self, rows: jax.Array, columns: jax.Array, num_queries: int) -> jax.Array:
        """bool[rows, columns]: positions on the query's own device whose key is not a distractor of the query.

        The true candidate is not a distractor, nor is a key that is not a candidate at all.
        """
        same = rows[:, None] == columns[None, :]
        if self.name == "pool":
            return same | ((rows[:, None] + num_queries // 2) % num_queries == columns[None, :])
        return jnp.ones_like(same) if self.name == "other_devices" else same

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


class ContrastSpec(NamedTuple):
    """What a contrast method computes, all of it known before the arrays are.

    Attributes:
        rule: which keys are candidates: `ALL`, `OTHER_DEVICES` or `POOL`.
        columns: whether `column_lse` is wanted; without it a tile costs one exponential per score instead of two.
        block_size: side of a tile, for the methods that compute in tiles; None for what suits the hardware.
        axis_name: the mapped axis that holds the other shards; None where this shard is everything.
        reduction: that of the scores of a query. "candidates": log-sum-exp over all of them, what picking the true one
            needs. "distractors": log-sum-exp without the true one, for bounds that keep the two expectations apart.
            "softplus": `row_softplus`, for logistic regression of true pairs against others; the log-sum-exp over the
            distractors is then a read-out without a gradient. Columns are of "candidates" alone.
        clip: with "softplus", scores of distractors are clipped to ± this in the log-sum-exp; None does not clip.
        precision: of the products, a key of `PRECISIONS`.
    """

    rule: Rule = ALL
    columns: bool = True
    block_size: int | None = None
    axis_name: str | None = None
    reduction: str = "candidates"
    clip: float | None = None
    precision: str = "highest"

    def rounded(self, codes: jax.Array) -> jax.Array:
        """Codes in the precision in which they are multiplied."""
        return codes.astype(jnp.bfloat16) if self.precision == "bfloat16" else codes

    @property
    def with_true(self) -> bool:
        """Whether the true candidate is part of the log-sum-exp."""
        return self.reduction == "candidates"

    @property
    def softplus(self) -> bool:
        """Whether Σ ln(1 + exp(score)) is asked for."""
        return self.reduction == "softplus"

    def clipped(self, scores: jax.Array) -> jax.Array:
        """Scores as they enter the log-sum-exp; −inf, which marks a key that is not a distractor, is kept."""
        if self.clip is None:
            return scores
        return jnp.where(jnp.isneginf(scores), scores, jnp.clip(scores, -self.clip, self.clip))

    @property
    def num_devices(self) -> int:
        """How many shards there are."""
        return 1 if self.axis_name is None else lax.axis_size(self.axis_name)

    @property
    def device_index(self) -> jax.Array | int:
        """int32[]: which of the shards this one is."""
        return 0 if self.axis_name is None else lax.axis_index(self.axis_name)


ALL_PAIRS = ContrastSpec()
"""Every pair of one device against every other, in both directions."""


def check_precision(precision: str, dtype: jnp.dtype) -> None:
    """Raises ValueError for an unknown precision, and for float64 codes at less than the highest precision."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision={precision!r} is unknown; choose one of {str(list(PRECISIONS))[1:-1]}")
    if precision != "highest" and dtype == jnp.float64:
        raise ValueError(f"precision={precision!r} of float64 codes: expected 'highest', or float32 codes")


def code_products(
    a: jax.Array, b: jax.Array, precision: str, dtype: jnp.dtype, *, contract: tuple[int, int] = (1, 1)
) -> jax.Array:
    """Products of two matrices over an axis of each: the one place that states their precision.

    It is stated because TPUs and recent GPUs round float32 products to bfloat16 or TF32 by default; values that are
    already bfloat16 are multiplied exactly. Sums are of `dtype`, float32 or float64.
    """
    exact = lax.Precision.HIGHEST
    return lax.dot_general(
        a,
        b,
        (((contract[0],), (contract[1],)), ((), ())),
        precision=PRECISIONS[precision] if a.dtype == jnp.float32 else exact,
        preferred_element_type=dtype,
    )


def score_products(queries: jax.Array, keys: jax.Array, scale: jax.Array, precision: str) -> jax.Array:
    """Scores float32[n, m], or of the dtype of `scale`."""
    products = code_products(queries, keys, precision, scale.dtype)
    limit = score_limit(scale.dtype)
    return jnp.clip(products * scale, -limit, limit)


def score_limit(dtype: jnp.dtype) -> float:
    """Scores are clipped to ± this, so that sums and differences of a few stay finite; beyond it, no gradient."""
    return float(jnp.finfo(dtype).max) / 8
