"""Scores that never leave the cores of a GPU: what `tiles` does with XLA, by kernels that keep their scores.

XLA writes a tile of scores to memory and reads it again for every maximum, sum and product computed from it. Here a
block of queries stays on its core while the keys stream past: forward it accumulates its running log-sum-exp and its
ranks, backward the gradient of its queries. Columns are rows with the roles exchanged, at the cost of one more product.

For codes that tensor cores multiply. The kernels are compiled by Triton, by way of `jax.experimental.pallas`.
Source: online softmax arXiv:1805.02867; blocks with recomputation arXiv:2205.14135.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl

from mi_coding.contrast.contract import ContrastSpec, score_products
from mi_coding.contrast.tiles import Keys, Pull, Rows, Scoring, Sums, Work, add, add_to_rows, score_gradient
from mi_coding.varying import match

INTERPRET = False
"""Whether kernels run as plain JAX, which any platform can, slowly."""

_QUERIES, _KEYS = 128, 64  # per block
_NARROWEST, _WIDEST = 16, 256  # least and greatest dimension of padded codes, powers of two
_BYTES_OF_KEYS = 2**14  # per block at most, so that a few blocks and the queries fit side by side


def suit(queries: jax.Array, keys: jax.Array, spec: ContrastSpec) -> bool:
    """Whether kernels can score these codes on a GPU, and do it faster: tensor cores have no float32."""
    exact = queries.dtype == keys.dtype == jnp.bfloat16
    split = queries.dtype == keys.dtype == jnp.float32 and spec.precision == "high"
    count, width = queries.shape
    return (exact or split) and count % _QUERIES == 0 and width <= _WIDEST and not spec.softplus and _gpus_suit()


@cache
def _gpus_suit() -> bool:
    """Whether jaxlib has Triton, and no GPU of this machine is older than Ampere, the first that it compiles for."""
    try:
        _triton()
    except ImportError:
        return False
    try:
        return all(float(device.compute_capability) >= 8 for device in jax.devices("cuda"))
    except RuntimeError:  # there is none: the program is for another machine
        return True


def _triton() -> Any:
    """The module; slow to import, and not in every jaxlib."""
    from jax.experimental.pallas import triton

    return triton


class _Block(NamedTuple):
    """A block of keys, scored by a block of queries.

    Attributes:
        scores: float32[q, k].
        codes: of the keys, float[k, d].
        beside: values that accompany the keys, float32[k] each.
        same: bool[q, k], where query and key have the same index.
    """

    scores: jax.Array
    codes: jax.Array
    beside: Any
    same: jax.Array


def _true_scores(queries: jax.Array, keys: jax.Array, scoring: Scoring) -> jax.Array:
    def step(true_scores: jax.Array, own: None, block: _Block) -> jax.Array:
        return true_scores + jnp.sum(jnp.where(block.same, block.scores, 0), axis=1)

    nothing = match(jnp.zeros(len(queries), scoring.scale.dtype), queries)
    return _run(step, nothing, None, queries, scoring.spec.rule.partner(keys), None, scoring, same_blocks=True)


def _reduce(queries: jax.Array, rows: Rows, keys: Keys, scoring: Scoring, c: jax.Array) -> tuple[Rows, Sums | None]:
    def step_of_row(rows: tuple[Sums, jax.Array], true_score: jax.Array, block: _Block) -> tuple[Sums, jax.Array]:
        rows = add_to_rows(Rows(true_score, *rows), block.scores, scoring.spec)
        return rows.sums, rows.rank

    def step_of_column(sums: Sums, own: None, block: _Block) -> Sums:
        return add(sums, block.scores, scoring.spec, axis=1)

    del c  # there is one tile
    sums, rank = _run(step_of_row, (rows.sums, rows.rank), rows.true_score, queries, keys.codes, None, scoring)
    columns = keys.columns and _run(step_of_column, keys.columns, None, keys.codes, queries, None, scoring)
    return Rows(rows.true_score, sums, rank), columns


def _pull(
    queries: jax.Array, d_queries: jax.Array, rows: Pull, keys: Keys, scoring: Scoring, c: jax.Array
) -> tuple[jax.Array, jax.Array]:
    def step(gradient: jax.Array, own: Pull | None, block: _Block) -> jax.Array:
        own = jax.tree.map(lambda of_row: of_row[:, None], own)
        weights = score_gradient(block.scores, own, block.beside)
        return gradient + scoring.weighted_sum(weights, block.codes, over=1)

    del c  # there is one tile
    d_queries = _run(step, d_queries, rows, queries, keys.codes, keys.columns, scoring)
    return d_queries, _run(step, keys.gradient, keys.columns, keys.codes, queries, rows, scoring)


WORK = Work(_true_scores, _reduce, _pull)
"""What a GPU does with a tile of all keys."""


def _run(
    step: Callable[[Any, Any, _Block], Any],
    running: Any,
    own: Any,
    queries: jax.Array,
    keys: jax.Array,
    beside: Any,
    scoring: Scoring,
    *,
    same_blocks: bool = False,
) -> Any:
    """Applies a step to every block of queries with all blocks of keys in turn.

    Args:
        step: (running, own, block of keys) → running.
        running: float32[n, …] or int32[n], what is accumulated for each query.
        own: float32[n] each, what is known of each query.
        queries, keys: float[n, d].
        beside: float32[n] each, what is known of each key.
        scoring: how they are scored, and by which rule.
        same_blocks: whether a query meets only the keys near its own index, and those without a rule.
    """
    count, width = queries.shape
    wide = max(_NARROWEST, 1 << (width - 1).bit_length())
    block_keys = min(_KEYS, max(16, _BYTES_OF_KEYS // (wide * queries.dtype.itemsize)))
    rule, precision = None if same_blocks else scoring.own, scoring.spec.precision

    def kernel(running, own, queries, keys, beside, scale, out):
        index, here = pl.program_id(0), _read(queries)
        rows, own, scale = index * _QUERIES + jnp.arange(_QUERIES), jax.tree.map(_read, own), scale[0]

        def visit(j, running):
            at = pl.ds(j * block_keys, block_keys)
            codes, columns = keys[at, :], j * block_keys + jnp.arange(block_keys)
            scores = score_products(here, codes, scale, precision)
            if rule is not None:
                scores = jnp.where(rule.excluded(rows, columns, count), -jnp.inf, scores)
            same = rows[:, None] == columns[None, :]
            return step(running, own, _Block(scores, codes, jax.tree.map(lambda ref: ref[at], beside), same))

        each = _QUERIES // block_keys
        first, last = (index * each, (index + 1) * each) if same_blocks else (0, count // block_keys)
        found = lax.fori_loop(first, last, visit, jax.tree.map(_read, running))
        jax.tree.map(_write, out, found)

    running, queries, keys = jax.tree.map(lambda array: _widened(array, wide), (running, queries, keys))
    arguments = running, own, queries, keys, beside, scoring.scale[None]
    specs = [jax.tree.map(_in_blocks, arguments[:3]), jax.tree.map(_whole, arguments[3:])]
    (found,) = pl.pallas_call(
        kernel,
        grid=(count // _QUERIES,),
        in_specs=[*specs[0], *specs[1]],
        out_specs=(jax.tree.map(_in_blocks, running),),
        out_shape=(jax.eval_shape(lambda: running),),  # with the mesh axes that it varies over
        compiler_params=_triton().CompilerParams(num_warps=8, num_stages=2),
        interpret=INTERPRET,
    )(*arguments)
    return jax.tree.map(lambda one: one[:, :width] if one.ndim == 2 else one, found)


def _read(ref: Any) -> jax.Array:
    return ref[...]


def _write(ref: Any, value: jax.Array) -> None:
    ref[...] = value


def _widened(array: jax.Array, wide: int) -> jax.Array:
    """Codes padded with zeros to a dimension that is a power of two."""
    return jnp.pad(array, ((0, 0), (0, wide - array.shape[1]))) if array.ndim == 2 else array


def _in_blocks(array: jax.Array) -> pl.BlockSpec:
    """One block of queries for each program."""
    return pl.BlockSpec((_QUERIES, *array.shape[1:]), lambda index: (index, *[0] * (array.ndim - 1)))


def _whole(array: jax.Array) -> pl.BlockSpec:
    return pl.BlockSpec(array.shape, lambda index: (0,) * array.ndim)
