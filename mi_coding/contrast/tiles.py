"""Scores computed a tile at a time and never kept: what `blockwise` and `ring` have in common.

The queries of this device stay where they are; the keys of one device after another come by. A tile of t × t scores
serves both directions at once: forward it enters the running log-sum-exp of its rows and of its columns, backward it
is recomputed and gives the gradient of its queries and of its keys.

The true pairs never enter a tile. They are known beforehand, so the running sums start from them, and their part
of the gradient, p − 1, is computed in one piece; the tiles add distractors only.

Source: online softmax arXiv:1805.02867; tiles with recomputation arXiv:2205.14135; both directions of a contrastive
loss in one pass of tiles arXiv:2410.17243.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from mi_coding.contrast.contract import ContrastSpec, Rule, code_products, score_limit, score_products
from mi_coding.varying import match


class Tiling(NamedTuple):
    """`size` entries in `count` tiles of `block`; the last tile ends with the entries and may overlap the one before.

    Overlap needs no padded copy of the codes, which would cost more memory than the method itself.
    """

    size: int
    block: int
    count: int

    def start(self, index: jax.Array) -> jax.Array:
        """int32[]: where tile `index` starts."""
        return jnp.minimum(index * self.block, self.size - self.block)

    def repeated(self, index: jax.Array) -> jax.Array:
        """bool[block]: entries of tile `index` that the previous tile contains already."""
        return self.start(index) + jnp.arange(self.block) < index * self.block

    @property
    def is_exact(self) -> bool:
        """Whether no tile overlaps."""
        return self.block * self.count == self.size


class Sums(NamedTuple):
    """A running log-sum-exp, float32[n] each: the largest score so far, and Σ exp(score − largest).

    Beside it, where asked for, `softplus` is Σ ln(1 + exp(score)).
    """

    peak: jax.Array
    total: jax.Array
    softplus: jax.Array | None = None

    def lse(self) -> jax.Array:
        """float32[n]: log-sum-exp of all scores so far."""
        return jnp.log(self.total) + self.peak

    def pull(self, gradient: jax.Array, of_softplus: jax.Array | None = None) -> "Pull":
        """The `Pull` of the sums on their scores, given the gradients of the sums; with a softplus, of that alone."""
        if self.softplus is not None:
            return Pull(softplus=of_softplus)
        return Pull(self.peak, gradient / self.total)


def no_sums(shape: tuple[int, ...], like: jax.Array, dtype: jnp.dtype, *, softplus: bool = False) -> Sums:
    """Sums of no scores; the peak is below every score and finite, for −inf − (−inf) would be no number."""
    nothing = jnp.zeros(shape, dtype)
    peak = jnp.full(shape, -2 * score_limit(dtype), dtype)
    return match(Sums(peak, nothing, nothing if softplus else None), like)


class Rows(NamedTuple):
    """The state of each query in the forward pass: true score, running sums, and rank so far."""

    true_score: jax.Array
    sums: Sums
    rank: jax.Array


class Pull(NamedTuple):
    """The backward pass from a log-sum-exp of n rows or columns to its scores; float32[n] each.

    A score gets factor · exp(score − peak). The factor is the gradient of the log-sum-exp, over Σ exp(score − peak).
    Peak and sum are kept apart since exp(score − lse) would lose the digits that lse has lost. From a sum of softplus,
    a score gets softplus · σ(score).
    """

    peak: jax.Array | None = None
    factor: jax.Array | None = None
    softplus: jax.Array | None = None

    def on(self, scores: jax.Array) -> jax.Array:
        """The gradient of scores, before `free_gradient`.

        No score exceeds the peak of its sum, but a recomputed one may, by its last bit; at extreme temperatures that
        bit is a large number, and its exponential infinite.
        """
        if self.softplus is not None:
            return self.softplus * jax.nn.sigmoid(scores)
        return self.factor * jnp.exp(jnp.minimum(scores - self.peak, 0))


class Keys(NamedTuple):
    """The keys of one device, with everything that travels along when they move to another.

    Attributes:
        codes: float[n, d].
        columns: forward the running sums of each key, backward their `Pull`; None where no columns are asked for.
        gradient: float32[n, d], backward the gradient of the keys so far, without its factor `scale`.
    """

    codes: jax.Array
    columns: Sums | Pull | None = None
    gradient: jax.Array | None = None


Send = Callable[[Keys], Keys] | None
"""What happens to a tile of keys once it has been scored; None: it stays."""


class Work(NamedTuple):
    """What is computed from scores, and how: by XLA a tile at a time (`BY_XLA`), or by kernels for all keys at once.

    Attributes:
        true_scores: (queries, keys, scoring) → float32[n], the score of each query with its true candidate.
        reduce: (queries, rows, key_tile, scoring, c) → (rows, columns), with one more tile of keys.
        pull: (queries, d_queries, rows, key_tile, scoring, c) → (d_queries, d_keys), without their factor `scale`.
    """

    true_scores: Callable
    reduce: Callable
    pull: Callable


class Scoring(NamedTuple):
    """How the tiles of one device's keys are scored.

    Attributes:
        scale: float32[], one over the temperature.
        tiles: how the n entries are tiled.
        work: the implementation.
        spec: what is asked for.
        own: the rule, if these keys are of the queries' own device.
    """

    scale: jax.Array
    tiles: Tiling
    work: Work
    spec: ContrastSpec
    own: Rule | None = None

    def scores(self, queries: jax.Array, keys: jax.Array, r: jax.Array, c: jax.Array) -> jax.Array:
        """Scores of tile (r, c); −inf where the key is not a distractor, or an overlapping tile has counted it."""
        tiles, scores = self.tiles, score_products(queries, keys, self.scale, self.spec.precision)
        if self.own is not None:
            rows, columns = (tiles.start(i) + jnp.arange(tiles.block) for i in (r, c))
            scores = jnp.where(self.own.excluded(rows, columns, tiles.size), -jnp.inf, scores)
        if not tiles.is_exact:
            repeated = tiles.repeated(r)[:, None] | tiles.repeated(c)[None, :]
            scores = jnp.where(repeated, -jnp.inf, scores)
        return scores

    def weighted_sum(self, weights: jax.Array, codes: jax.Array, *, over: int) -> jax.Array:
        """Σ weights · codes over rows (0) or columns (1) of a tile: float32[t, d].

        Weights take the dtype of the codes: tensor cores multiply bfloat16 with bfloat16, and the sums are float32.
        """
        precision, dtype = self.spec.precision, weights.dtype
        return code_products(weights.astype(codes.dtype), codes, precision, dtype, contract=(over, 0))


BLOCK_ON_CPU, BLOCK = 512, 4096
"""Sides of a tile that suit a CPU, whose cache is small, and accelerators."""


def tiling(size: int, block_size: int) -> Tiling:
    """Tiles of at most `block_size`, as even as a multiple of eight allows."""
    even = -(-size // -(-size // min(block_size, size)))
    block = min(even + -even % 8, block_size, size)
    return Tiling(size, block, -(-size // block))


def visit(queries: jax.Array, rows: Rows, keys: Keys, scoring: Scoring, *, send: Send = None) -> tuple[Rows, Keys]:
    """Scores this device's queries, float[n, d], with one device's keys; returns rows, and the keys that came back."""
    tiles = scoring.tiles

    def column_tile(c, carry):
        rows, keys = carry
        key_tile = _take(keys, tiles.start(c), tiles)
        rows, sums = scoring.work.reduce(queries, rows, key_tile, scoring, c)
        if send is None:
            return rows, keys._replace(columns=_put(keys.columns, sums, tiles.start(c)))
        return rows, _exchange(keys, send(key_tile._replace(columns=sums)), c, tiles)

    return lax.fori_loop(0, tiles.count, column_tile, (rows, keys))


def visit_back(
    queries: jax.Array, d_queries: jax.Array, rows: Pull, keys: Keys, scoring: Scoring, *, send: Send = None
) -> tuple[jax.Array, Keys]:
    """The backward pass of `visit`: adds the gradients of queries and keys, both without their factor `scale`."""
    tiles = scoring.tiles

    def column_tile(c, carry):
        d_queries, keys = carry
        key_tile = _take(keys, tiles.start(c), tiles)
        d_queries, d_keys = scoring.work.pull(queries, d_queries, rows, key_tile, scoring, c)
        if send is None:
            return d_queries, keys._replace(gradient=_put(keys.gradient, d_keys, tiles.start(c)))
        return d_queries, _exchange(keys, send(key_tile._replace(gradient=d_keys)), c, tiles)

    return lax.fori_loop(0, tiles.count, column_tile, (d_queries, keys))


def _true_scores(queries: jax.Array, keys: jax.Array, scoring: Scoring) -> jax.Array:
    """Read off whole tiles, since only a product of the same shape rounds identically, and a tie must stay a tie: codes
    that have collapsed to one point would otherwise be ranked by rounding errors."""
    tiles, scale, spec = scoring.tiles, scoring.scale, scoring.spec
    keys = spec.rule.partner(keys)

    def step(index, scores):
        start = tiles.start(index)
        tile = score_products(_take(queries, start, tiles), _take(keys, start, tiles), scale, spec.precision)
        return lax.dynamic_update_slice_in_dim(scores, jnp.diagonal(tile), start, 0)

    return lax.fori_loop(0, tiles.count, step, match(jnp.zeros(tiles.size, scale.dtype), queries))


def _reduce(queries: jax.Array, rows: Rows, keys: Keys, scoring: Scoring, c: jax.Array) -> tuple[Rows, Sums | None]:
    tiles = scoring.tiles

    def row_tile(r, carry):
        rows, sums = carry
        at_row = tiles.start(r)
        row = _take(rows, at_row, tiles)
        scores = scoring.scores(_take(queries, at_row, tiles), keys.codes, r, c)
        return _put(rows, add_to_rows(row, scores, scoring.spec), at_row), sums and add(
            sums, scores, scoring.spec, axis=0
        )

    return lax.fori_loop(0, tiles.count, row_tile, (rows, keys.columns))


def _pull(
    queries: jax.Array, d_queries: jax.Array, rows: Pull, keys: Keys, scoring: Scoring, c: jax.Array
) -> tuple[jax.Array, jax.Array]:
    tiles = scoring.tiles

    def row_tile(r, carry):
        d_queries, d_keys = carry
        at_row = tiles.start(r)
        query_tile, row = _take((queries, rows), at_row, tiles)
        scores = scoring.scores(query_tile, keys.codes, r, c)
        weights = score_gradient(scores, jax.tree.map(lambda of_row: of_row[:, None], row), keys.columns)
        d_query_tile = _take(d_queries, at_row, tiles) + scoring.weighted_sum(weights, keys.codes, over=1)
        return _put(d_queries, d_query_tile, at_row), d_keys + scoring.weighted_sum(weights, query_tile, over=0)

    return lax.fori_loop(0, tiles.count, row_tile, (d_queries, keys.gradient))


BY_XLA = Work(_true_scores, _reduce, _pull)
"""One tile of scores after another, in every dtype and on every platform."""


def score_gradient(scores: jax.Array, row: Pull | None, column: Pull | None) -> jax.Array:
    """The gradient that each score gets from the sums of its row and of its column, where there are any."""
    pulls = [pull.on(scores) for pull in (row, column) if pull is not None]
    return free_gradient(scores, sum(pulls))


def free_gradient(scores: jax.Array, gradient: jax.Array) -> jax.Array:
    """The gradient of scores, but none for those that `score_products` clips to the limit."""
    return jnp.where(jnp.abs(scores) < score_limit(scores.dtype), gradient, 0)


def add_to_rows(rows: Rows, scores: jax.Array, spec: ContrastSpec) -> Rows:
    """What is known of each query with one more tile of scores; −inf adds nothing."""
    rank = rows.rank + jnp.sum(scores >= rows.true_score[:, None], axis=1, dtype=jnp.int32)
    return Rows(rows.true_score, add(rows.sums, scores, spec, axis=1), rank)


def add(sums: Sums, scores: jax.Array, spec: ContrastSpec, axis: int) -> Sums:
    """Running sums with one more tile of scores; −inf adds nothing."""
    softplus = sums.softplus
    if softplus is not None:
        softplus += jnp.sum(jax.nn.softplus(scores), axis=axis)
    scores = spec.clipped(scores)
    peak = jnp.maximum(sums.peak, jnp.max(scores, axis=axis))
    added = jnp.sum(jnp.exp(scores - jnp.expand_dims(peak, axis)), axis=axis)
    return Sums(peak, sums.total * jnp.exp(sums.peak - peak) + added, softplus)


def _take(values, start: jax.Array, tiles: Tiling):
    return jax.tree.map(lambda x: lax.dynamic_slice_in_dim(x, start, tiles.block), values)


def _put(values, tile, start: jax.Array):
    return jax.tree.map(lambda x, t: lax.dynamic_update_slice_in_dim(x, t, start, 0), values, tile)


def _exchange(values, came, c: jax.Array, tiles: Tiling):
    """Puts the tile that came in the place of tile c, but for entries that the previous tile has exchanged already."""
    start = tiles.start(c)
    if not tiles.is_exact:
        repeated = tiles.repeated(c)
        keep = lambda old, new: jnp.where(repeated.reshape(-1, *[1] * (new.ndim - 1)), old, new)  # noqa: E731
        came = jax.tree.map(keep, _take(values, start, tiles), came)
    return _put(values, came, start)
