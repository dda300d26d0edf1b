"""Which examples a batch of pairs is made of.

Pair number i of a batch has a key of its own, folded from the key of the step. So a pair is the same whichever device
makes it, and the number of devices changes nothing.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp


class PairKind(NamedTuple):
    """One way to make pairs of an example; both functions are pure and take one example at a time.

    Attributes:
        pair: (key, image float32[H, W, C]) → x, y, one independent draw of ⟨x, y⟩.
        view: (key, image) → x, what the encoder is shown where a code of the example is wanted (probes, neighbours).
    """

    pair: Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]
    view: Callable[[jax.Array, jax.Array], jax.Array]


def draw_examples(
    key: jax.Array, rows: jax.Array, *, num_examples: int, batch_size: int, distinct: bool = False
) -> jax.Array:
    """int32[b]: the example behind each of the pairs numbered `rows` in a batch of `batch_size`.

    Independent draws with replacement, as the bound on mutual information demands. With `distinct` no example serves
    two pairs of the batch: an easier task, whose "bound" is none (see `mi_coding.cpc`).

    >>> rows = jnp.arange(4)
    >>> draw_examples(jax.random.key(0), rows, num_examples=4, batch_size=4, distinct=True).sort().tolist()
    [0, 1, 2, 3]

    Raises:
        ValueError: if distinct examples are asked for and the batch is larger than the data.
    """
    if not distinct:
        draw = lambda row: jax.random.randint(jax.random.fold_in(key, row), (), 0, num_examples)  # noqa: E731
        return jax.vmap(draw)(rows)
    if batch_size > num_examples:
        raise ValueError(f"batch_size={batch_size} distinct pairs asked of {num_examples} examples")
    return jax.random.permutation(key, num_examples)[rows]


def sample_pairs(
    key: jax.Array,
    images: jax.Array,
    rows: jax.Array,
    *,
    kind: PairKind,
    batch_size: int,
    distinct: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """The pairs numbered `rows` of the batch of `batch_size` that `key` stands for.

    Args:
        key: the key of the whole batch.
        images: float32[n, H, W, C], all examples.
        rows: int32[b], positions in the global batch; a device passes those of its own shard.
        kind: how one pair is made.
        batch_size: B, the global batch.
        distinct: see `draw_examples`.
    Returns:
        x, y: float32[b, h, w, C].
    """
    example_key, pair_key = jax.random.split(key)
    examples = draw_examples(
        example_key, rows, num_examples=images.shape[0], batch_size=batch_size, distinct=distinct
    )
    keys = jax.vmap(lambda row: jax.random.fold_in(pair_key, row))(rows)
    return jax.vmap(kind.pair)(keys, images[examples])


def views(key: jax.Array, images: jax.Array, kind: PairKind) -> jax.Array:
    """float32[n, h, w, C]: one view of each image, drawn as the marginal of x is."""
    return jax.vmap(kind.view)(jax.random.split(key, images.shape[0]), images)
