"""Which examples a batch of pairs is made of.

Pair number i of a batch has a key of its own, folded from the key of the step. So a pair is the same whichever device
makes it, and the number of devices changes nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class PairFunctions(NamedTuple):
    """How one pair is made from an example, as pure functions: methods of a `PairSampler`, which documents them.

    Attributes:
        still: None to use the view under a fixed key, as where a view is deterministic.
        gathered: (key, examples, population, rows) → what `pair` is given for each example that was drawn from a
            population; None for the example itself.
    """

    pair: Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]
    view: Callable[[jax.Array, jax.Array], jax.Array]
    still: Callable[[jax.Array], jax.Array] | None = None
    gathered: Callable[[jax.Array, Any, Any, jax.Array], Any] | None = None


def draw_examples(
    key: jax.Array, rows: jax.Array, *, num_examples: int, distinct_among: int | None = None
) -> jax.Array:
    """int32[b]: the example behind each of the pairs numbered `rows` of a batch.

    Independent draws with replacement, as the bound on mutual information requires. With `distinct_among` no example is
    used in two pairs of the batch: an easier task, whose "bound" is none.

    >>> draw_examples(jax.random.key(0), jnp.arange(4), num_examples=4, distinct_among=4).sort().tolist()
    [0, 1, 2, 3]

    Args: see `sample_pairs`, but
        distinct_among: B, the size of the batch in which no example may be used twice; None draws independently.
    Raises:
        ValueError: if the batch of distinct examples is larger than the data.
    """
    if distinct_among is None:
        draw = lambda row: jax.random.randint(jax.random.fold_in(key, row), (), 0, num_examples)  # noqa: E731
        return jax.vmap(draw)(rows)
    if distinct_among > num_examples:
        raise ValueError(f"a batch of {distinct_among} distinct examples cannot be drawn from {num_examples}")
    return jax.random.permutation(key, num_examples)[rows]


def sample_pairs(
    key: jax.Array,
    data: Any,
    rows: jax.Array,
    *,
    pairs: PairFunctions,
    distinct_among: int | None = None,
) -> tuple[Any, Any]:
    """x, y, float32[b, h, w, C] each: the pairs numbered `rows` of the batch that `key` determines.

    Args:
        key: the key of the whole batch.
        data: all examples: images[n, H, W, C], or a tree of arrays such as (images, labels), as `pairs` takes them.
        rows: int32[b], positions in the global batch; a device passes those of its own shard.
        pairs: how one pair is made.
        distinct_among: see `draw_examples`.
    """
    num_examples = jax.tree.leaves(data)[0].shape[0]
    example_key = jax.random.split(key)[0]
    drawn = draw_examples(example_key, rows, num_examples=num_examples, distinct_among=distinct_among)
    return pairs_of_batch(key, jax.tree.map(lambda leaf: leaf[drawn], data), rows, pairs=pairs, population=data)


def pairs_of_batch(
    key: jax.Array, examples: Any, rows: jax.Array, *, pairs: PairFunctions, population: Any = None
) -> tuple[Any, Any]:
    """A pair from each example of a batch that was drawn elsewhere, such as by a stream from disk.

    Args: see `sample_pairs`, but
        examples: images[b, H, W, C], or a tree of arrays, those numbered `rows` of the batch.
        population: what they were drawn from; None for the examples themselves, as with a stream.
    """
    pair_key = jax.random.split(key)[1]
    if pairs.gathered:
        examples = pairs.gathered(pair_key, examples, examples if population is None else population, rows)
    keys = jax.vmap(lambda row: jax.random.fold_in(pair_key, row))(rows)
    return jax.vmap(pairs.pair)(keys, examples)


def modified_alike(
    sample: Callable[..., tuple[Any, Any]], modify: Callable[[jax.Array, jax.Array], jax.Array]
) -> Callable:
    """The same pairs, all images of a batch under one random augmentation, such as one crop and one turn of colours.

    Every candidate is modified alike, so the augmentation does not give away which one is true; and the same images, of
    which there may be few, look different in another batch.

    >>> sample = lambda key, data, rows: (data[rows], -data[rows])
    >>> modify = lambda key, image: image + jax.random.uniform(key)
    >>> x, y = modified_alike(sample, modify)(jax.random.key(0), jnp.zeros(3), jnp.arange(3))
    >>> len({*x.tolist(), *y.tolist()})
    1

    Args:
        sample: (key, data, rows) → x, y, such as `sample_pairs` with its options.
        modify: (key, image) → image.
    """

    def sample_alike(key: jax.Array, data: Any, rows: jax.Array) -> tuple[Any, Any]:
        pair_key, modify_key = jax.random.split(key)
        x, y = sample(pair_key, data, rows)
        return tuple(jax.vmap(lambda image: modify(modify_key, image))(images) for images in (x, y))

    return sample_alike


def labelled(pairs: PairFunctions, *, with_views: bool = False) -> PairFunctions:
    """The same pairs for examples (image, label): x and y are (view, label), for methods that learn from the label.

    With views, y is instead a view as used to evaluate codes: the image as it is, where x is an augmentation.

    >>> pairs = labelled(PairFunctions(pair=lambda key, image: (image, -image), view=lambda key, image: image))
    >>> x, y = pairs.pair(jax.random.key(0), (jnp.ones(()), jnp.array(7)))
    >>> [float(x[0]), int(x[1])], [float(y[0]), int(y[1])]
    ([1.0, 7], [-1.0, 7])
    """

    def pair(key: jax.Array, example: tuple[jax.Array, jax.Array]) -> tuple[Any, Any]:
        image, label = example
        x, y = pairs.pair(key, image)
        if with_views:
            y = pairs.view(jax.random.fold_in(key, 1), image)
        return (x, label), (y, label)

    def gathered(key: jax.Array, examples: tuple[Any, jax.Array], population: Any, rows: jax.Array) -> tuple[Any, Any]:
        return pairs.gathered(key, examples[0], population[0], rows), examples[1]

    return PairFunctions(
        pair,
        lambda key, example: (pairs.view(key, example[0]), example[1]),
        gathered=gathered if pairs.gathered else None,
    )


@partial(jax.tree_util.register_dataclass, data_fields=["large", "small"], meta_fields=[])
@dataclass(frozen=True)
class Crops:
    """A half of pairs with the small crops of the same examples: float32[k·b, h, w, C], float32[W·b, s, s, C].

    The views of an example lie b apart: all first ones, then all second ones.
    """

    large: jax.Array
    small: jax.Array


def several(
    pairs: PairFunctions, count: int, small: PairFunctions | None = None, small_count: int = 0
) -> PairFunctions:
    """The same pairs, `count` of each example, with a key each: x and y have an additional first axis of that length.

    If `small` is given, `small_count` of its pairs are drawn as well. Both halves of each are small views of the
    example, and x is a `Crops`.

    >>> pairs = several(PairFunctions(pair=lambda key, image: (image, -image), view=None), 3)
    >>> pairs.pair(jax.random.key(0), jnp.ones(2))[1].shape
    (3, 2)
    """

    def drawn(kind: PairFunctions, key: jax.Array, example: Any, number: int) -> tuple[jax.Array, jax.Array]:
        return jax.vmap(kind.pair, in_axes=(0, None))(jax.random.split(key, number), example)

    def pair(key: jax.Array, example: Any) -> tuple[Any, Any]:
        x, y = drawn(pairs, key, example, count)
        if small is None:
            return x, y
        return Crops(x, jnp.concatenate(drawn(small, jax.random.fold_in(key, count), example, small_count))), y

    return PairFunctions(pair, pairs.view, gathered=pairs.gathered)


def view_by_view(half: Any) -> Any:
    """float[k·b, …] of a half float[b, k, …] of several pairs of each example: all first views, then all second ones.

    In a half with labels int[b], each label is repeated once for each view that is not small.
    """
    if isinstance(half, tuple):
        views, labels = half
        large, _ = crops(views)
        return view_by_view(views), jnp.tile(labels, large.shape[1])
    return jax.tree.map(lambda views: jnp.moveaxis(views, 1, 0).reshape(-1, *views.shape[2:]), half)


def crops(half: Any) -> tuple[jax.Array, jax.Array | None]:
    """The views of a half, and its small ones; None where there are none."""
    return (half.large, half.small) if isinstance(half, Crops) else (half, None)


def views(key: jax.Array, images: jax.Array, pairs: PairFunctions) -> jax.Array:
    """float32[n, h, w, C]: one view of each image, drawn as the marginal of x is."""
    return jax.vmap(pairs.view)(jax.random.split(key, jax.tree.leaves(images)[0].shape[0]), images)


def stills(images: jax.Array, pairs: PairFunctions) -> jax.Array:
    """float32[n, h, w, C]: the one view of each image whose code represents it; the same every time.

    >>> stills(jnp.ones((2, 1, 1, 1)), PairFunctions(pair=None, view=lambda key, image: image)).shape
    (2, 1, 1, 1)
    """
    return jax.vmap(pairs.still or (lambda image: pairs.view(jax.random.key(0), image)))(images)
