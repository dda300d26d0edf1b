"""Sequences as examples of pairs: every step with the steps before it is a pair ⟨past, future⟩."""

import jax
import jax.numpy as jnp

from mi_coding.pairs.frames import draw_anywhere
from mi_coding.pairs.sampling import PairKind


def sequences(*, step_size: int = 1, num_steps: int = 0, scale: float = 1.0, window: int = 0) -> PairKind:
    """Cuts an example along its first axis into steps; x is the sequence of steps, which holds every pair, y is ().

    An image of H rows is a sequence of H steps, and a signal of T samples one of T / step_size steps. No sample is in
    two steps: where steps overlap, the future can be read off the past.

    >>> kind = sequences(step_size=2)
    >>> x, _ = kind.pair(jax.random.key(0), jnp.arange(7.0))
    >>> x.tolist()
    [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]

    Args:
        step_size: samples in a step.
        num_steps: T; a longer example is cut out at a random sample. 0 takes all steps that an example has.
        window: an image is first drawn at a random place of a square of so many pixels; 0 leaves an example as it is.
        scale: what samples are divided by, such as their standard deviation; bytes are first brought into [0, 1].
    Returns:
        A `PairKind` of examples uint8 or float[T', …] → x float32[T, step_size, …], or float32[T, …] for steps of one
        sample.
    Raises:
        ValueError: for sizes < 0, and, by its functions, for examples that are too short.
    """
    if step_size < 1 or num_steps < 0 or window < 0 or not scale > 0:
        raise ValueError(
            f"step_size={step_size}, num_steps={num_steps}, window={window}, scale={scale}: expected at least 1, at "
            "least 0, at least 0, above 0"
        )

    def view(key: jax.Array, example: jax.Array) -> jax.Array:
        if window:
            key, place_key = jax.random.split(key)
            example = draw_anywhere(place_key, example, window)
        steps = num_steps or len(example) // step_size
        length = steps * step_size
        if not 0 < length <= len(example):
            raise ValueError(
                f"sequences of {len(example)} samples are shorter than {max(steps, 1)} step(s) of {step_size}; "
                f"expected at least {max(steps, 1) * step_size}"
            )
        first = jax.random.randint(key, (), 0, len(example) - length + 1) if num_steps else 0
        cut = jax.lax.dynamic_slice_in_dim(example, first, length).astype(jnp.float32)
        cut = cut / (255 * scale if example.dtype == jnp.uint8 else scale)
        return cut if step_size == 1 else cut.reshape(steps, step_size, *cut.shape[1:])

    return PairKind(lambda key, example: (view(key, example), ()), view)
