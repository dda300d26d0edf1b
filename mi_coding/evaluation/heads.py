"""The R discrete codes of a co-training run: which codes held-out examples have, and which head is chosen."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mi_coding.data import Split, blocks
from mi_coding.evaluation.base import Trained, view_each
from mi_coding.evaluation.code_statistics import CodeInformation, information
from mi_coding.methods import Variables
from mi_coding.objectives.codes import sample_codes

BLOCK = 4096  # examples read at a time
_AT_ONCE = 512  # examples, or pairs, shown and encoded at a time


class Head(NamedTuple):
    """One of the R codes of a run: its number, the price β it was trained at, and its figures on held-out pairs."""

    number: int
    beta: float
    found: CodeInformation


def best_head(trained: Trained, variables: Variables, num_pairs: int) -> Head:
    """The head with the largest J on validation pairs, at the price `config.objective.beta`; labels play no part."""
    kept, heads = 1 - trained.method.beta, all_heads(trained, variables, "validation", num_pairs)
    return max(heads, key=lambda head: kept * head.found.entropy - head.found.conditional_entropy)


def all_heads(trained: Trained, variables: Variables, split: str, num_pairs: int) -> list[Head]:
    """Every head with its figures on `num_pairs` pairs of the "validation" or the "test" split."""
    z_x, z_y = pair_codes(trained, variables, split, num_pairs)
    prices = enumerate(trained.method.betas)
    return [Head(r, beta, head_information(trained, variables, r, z_x, z_y)) for r, beta in prices]


def head_information(
    trained: Trained, variables: Variables, head: int, z_x: np.ndarray, z_y: np.ndarray
) -> CodeInformation:
    """Entropies and information of one head on pairs of codes int[R, n, M]."""
    method = trained.method
    return information(method.prior, method.conditional, *method.models_of(variables[1], head), z_x[head], z_y[head])


def pair_codes(trained: Trained, variables: Variables, split: str, num_pairs: int) -> tuple[np.ndarray, np.ndarray]:
    """int[R, n, M] each: codes of independent pairs of a split, drawn from the encoder's distribution."""
    population = trained.population(split)
    pair_key, *draw_keys = jax.random.split(trained.key(split), 3)

    def block(rows: jax.Array) -> list[np.ndarray]:
        halves = _pairs(pair_key, population, rows, trained.pairs)
        return [np.asarray(trained.method.log_q(*variables, half)) for half in halves]

    both = _in_blocks(block, jnp.arange(num_pairs))
    return tuple(np.stack([_draw(k, own) for own in log_q]) for k, log_q in zip(draw_keys, both, strict=True))


def most_likely_codes(trained: Trained, variables: Variables, split: Split, key: jax.Array, head: int) -> np.ndarray:
    """int[n, M]: the most likely code of one view of each example of a split, read a block at a time."""
    parts = []
    for block in blocks(split, BLOCK):
        key, own = jax.random.split(key)
        parts.append(log_q_of_views(trained, variables, own, block.examples)[head].argmax(-1))
    return np.concatenate(parts)


def log_q_of_views(trained: Trained, variables: Variables, key: jax.Array, examples: np.ndarray) -> np.ndarray:
    """float32[R, n, M, K]: log-probabilities of the symbols of one view of each example in memory."""
    keys = jax.random.split(key, len(examples))

    def block(rows: jax.Array) -> list[np.ndarray]:
        shown = view_each(keys[rows], jnp.asarray(examples[np.asarray(rows)]), trained.pairs)
        return [np.asarray(trained.method.log_q(*variables, shown))]

    (log_q,) = _in_blocks(block, jnp.arange(len(examples)))
    return log_q


def one_hot_symbols(trained: Trained, variables: Variables, head: int) -> Callable[[jax.Array], jax.Array]:
    """A function from views to the most likely symbols of a head, float32[n, M·K], which a probe reads."""

    def one_hot(x: jax.Array) -> jax.Array:
        log_q = trained.method.log_q(*variables, x)[head]
        return jax.nn.one_hot(jnp.argmax(log_q, -1), log_q.shape[-1]).reshape(len(x), -1)

    return one_hot


def _in_blocks(block: Callable[[jax.Array], list[np.ndarray]], rows: jax.Array) -> list[np.ndarray]:
    """The arrays that `block` returns for blocks of rows of one size, joined along their second axis."""
    count, size = len(rows), min(len(rows), _AT_ONCE)
    padded = jnp.pad(rows, (0, -count % size), mode="edge").reshape(-1, size)
    parts = zip(*(block(some) for some in padded), strict=True)
    return [np.concatenate(part, axis=1)[:, :count] for part in parts]


_pairs = jax.jit(lambda key, population, rows, pairs: pairs.sample(key, population, rows), static_argnums=3)
_draw = jax.jit(sample_codes)
