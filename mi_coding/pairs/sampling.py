"""Which examples a batch of pairs is made of.

Pair number i of a batch has a key of its own, folded from the key of the step. So a pair is the same whichever device
makes it, and the number of devices changes nothing.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax


class PairKind(NamedTuple):
    """One way to make pairs of an example; both functions are pure and take one example at a time.

    Attributes:
        pair: (key, image float32[H, W, C]) → x, y, one independent draw of ⟨x, y⟩.
        view: (key, image) → x, what the encoder is shown where a code of the example is wanted (probes, neighbours).
    """

    pair: Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]
    view: Callable[[jax.Array, jax.Array], jax.Array]


def draw_examples(
    key: jax.Array, rows: jax.Array, *, num_examples: int, distinct_among: int | None = None
) -> jax.Array:
    """int32[b]: the example behind each of the pairs numbered `rows` of a batch.

    Independent draws with replacement, as the bound on mutual information demands. With `distinct_among` no example
    serves two pairs of the batch: an easier task, whose "bound" is none.

    >>> draw_examples(jax.random.key(0), jnp.arange(4), num_examples=4, distinct_among=4).sort().tolist()
    [0, 1, 2, 3]

    Args:
        key: of the whole batch.
        rows: int32[b], positions in the global batch.
        num_examples: how many there are to draw from.
        distinct_among: B, the size of the batch in which no example may serve twice; None draws independently.
    Raises:
        ValueError: if the batch of distinct examples is larger than the data.
    """
    if distinct_among is None:
        draw = lambda row: jax.random.randint(jax.random.fold_in(key, row), (), 0, num_examples)  # noqa: E731
        return jax.vmap(draw)(rows)
    if distinct_among > num_examples:
        raise ValueError(f"a batch of {distinct_among} distinct examples asked of {num_examples}")
    return jax.random.permutation(key, num_examples)[rows]


def sample_pairs(
    key: jax.Array,
    images: jax.Array,
    rows: jax.Array,
    *,
    kind: PairKind,
    distinct_among: int | None = None,
) -> tuple[jax.Array, jax.Array]:
    """The pairs numbered `rows` of the batch that `key` stands for.

    Args:
        key: the key of the whole batch.
        images: float32[n, H, W, C], all examples.
        rows: int32[b], positions in the global batch; a device passes those of its own shard.
        kind: how one pair is made.
        distinct_among: see `draw_examples`.
    Returns:
        x, y: float32[b, h, w, C].
    """
    example_key, pair_key = jax.random.split(key)
    examples = draw_examples(example_key, rows, num_examples=images.shape[0], distinct_among=distinct_among)
    keys = jax.vmap(lambda row: jax.random.fold_in(pair_key, row))(rows)
    return jax.vmap(kind.pair)(keys, images[examples])


def views(key: jax.Array, images: jax.Array, kind: PairKind) -> jax.Array:
    """float32[n, h, w, C]: one view of each image, drawn as the marginal of x is."""
    return jax.vmap(kind.view)(jax.random.split(key, images.shape[0]), images)
