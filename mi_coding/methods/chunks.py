"""Encoding both halves of pairs: in one batch or each alone, all at once or a few at a time."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from mi_coding.errors import InputError, Setting


def jointly(outputs: Callable[[Any, Any, jax.Array], tuple[Any, Any]]) -> Callable:
    """Both halves in one batch: (params, stats, x, y) → (outputs of x, outputs of y), stats."""

    def both(params: Any, stats: Any, x: jax.Array, y: jax.Array) -> tuple[tuple[Any, Any], Any]:
        joined, stats = outputs(params, stats, jnp.concatenate([x, y]))
        of_x, of_y = (jax.tree.map(lambda leaf, half=half: jnp.split(leaf, 2)[half], joined) for half in (0, 1))
        return (of_x, of_y), stats

    return both


def separately(
    outputs_x: Callable[[Any, Any, jax.Array], tuple[Any, Any]],
    outputs_y: Callable[[Any, Any, jax.Array], tuple[Any, Any]],
) -> Callable:
    """Each half by an encoder of its own: (params, stats, x, y) → (outputs of x, outputs of y), stats."""

    def both(params: Any, stats: Any, x: jax.Array, y: jax.Array) -> tuple[tuple[Any, Any], Any]:
        of_x, stats_x = outputs_x(params["x"], stats["x"], x)
        of_y, stats_y = outputs_y(params["y"], stats["y"], y)
        return (of_x, of_y), {"x": stats_x, "y": stats_y}

    return both


def encode_in_chunks(both: Callable[..., tuple[tuple[Any, Any], Any]], chunk_size: int) -> Callable:
    """Encodes both halves of pairs a few at a time, with the memory of a few, for one exact loss over all of them.

    The forward pass keeps only the codes of a chunk; the backward pass encodes it once more, with the very same
    pairs, and back-propagates. So the number of distractors does not shrink with the chunk, and the gradient is that
    of all pairs at once. An encoder with batch norm normalises over a chunk (together with those that the other devices
    encode at the same time), identically in both passes, and its running statistics move by the mean over the chunks.

    Args:
        both: from `jointly` or `separately`; outputs are codes float[m, D], or a tree such as (features, codes).
        chunk_size: pairs at a time, a divisor of their number; 0 for all at once.
    Returns:
        (params, stats, x float[b, …], y float[b, …]) → outputs of x, outputs of y, stats.
    Source: gradient caching, arXiv:2101.06983, here as rematerialisation of a loop over chunks.
    """

    def encode(params: Any, stats: Any, x: jax.Array, y: jax.Array) -> tuple[Any, Any, Any]:
        if chunk_size in (0, x.shape[0]):
            halves, stats = both(params, stats, x, y)
            return *halves, stats
        chunks = tuple(part.reshape(-1, chunk_size, *part.shape[1:]) for part in (x, y))
        one_chunk = jax.checkpoint(lambda pairs: both(params, stats, *pairs))
        halves, stats_of_chunks = jax.lax.map(one_chunk, chunks)
        joined = jax.tree.map(lambda z: z.reshape(x.shape[0], -1), halves)
        return *joined, jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), stats_of_chunks)

    return encode


def check_microbatch(size: int, batch_size: int, num_devices: int) -> None:
    """Raises InputError for a microbatch size that does not divide the pairs on a device; 0 is all at once."""
    shard = batch_size // num_devices
    if size and shard % size:
        below = next(d for d in range(min(size, shard), 0, -1) if shard % d == 0)
        above = [shard // k for k in range(shard // size, 0, -1) if shard % k == 0][:1]
        raise InputError(
            Setting("microbatch_size", size),
            f" must divide the {shard} pairs of each of {num_devices} device(s); "
            f"the nearest are {' and '.join(map(str, [below, *above]))}; 0 encodes all at once",
        )
