"""Sequences as examples of pairs: every step with the steps before it is a pair ⟨past, future⟩."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np

from mi_coding.errors import InputError, Setting
from mi_coding.options import NotNegativeInt, Positive, PositiveInt, Range, option
from mi_coding.pairs.base import SequenceSampler, Shape
from mi_coding.pairs.moving import LARGEST_WINDOW, check_window, draw_anywhere

_LEAST_SPREAD = 0.01
"""Standard deviation of a signal below which, or above whose inverse, an encoder would hardly learn."""


@dataclass(frozen=True, eq=False)
class Sequences(SequenceSampler):
    """Cuts an example along its first axis into steps; x is the sequence of steps, which holds every pair, y is ().

    An image of H rows is a sequence of H steps, and a signal of T samples one of T / step_size steps. No sample is in
    two steps: where steps overlap, the future can be read off the past. Examples uint8 or float[T', …] become
    x float32[T, step_size, …], or float32[T, …] for steps of one sample.

    Examples of unequal length are padded with NaN, which no cut reaches: with `num_steps` a cut lies anywhere before
    it, and examples that are shorter are left out.

    >>> x, _ = Sequences(step_size=2).pair(jax.random.key(0), jnp.arange(7.0))
    >>> x.tolist()
    [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
    """

    step_size: PositiveInt = option("pairs.step_size", 1, "samples per step; for an image, rows per step")
    num_steps: NotNegativeInt = option("pairs.num_steps", 0, "T, steps of a cut at a random place; 0 for no cut")
    scale: Positive = option("pairs.scale", 1.0, "divides the samples; about their standard deviation")
    window: Annotated[int, Range(least=0, most=LARGEST_WINDOW)] = option(
        "pairs.window",
        0,
        "pixels, side of a square in which an image is placed at random; 0 leaves examples as they are",
    )

    def view(self, key: jax.Array, example: jax.Array) -> jax.Array:
        if self.window:
            key, place_key = jax.random.split(key)
            example = draw_anywhere(place_key, example, self.window)
        steps = self.num_steps or len(example) // self.step_size
        length = steps * self.step_size
        if not 0 < length <= len(example):
            raise ValueError(
                f"sequences of {len(example)} samples are shorter than {max(steps, 1)} step(s) of {self.step_size}; "
                f"expected at least {max(steps, 1) * self.step_size}"
            )
        first = jax.random.randint(key, (), 0, _num_samples(example) - length + 1) if self.num_steps else 0
        cut = jax.lax.dynamic_slice_in_dim(example, first, length).astype(jnp.float32)
        cut = cut / (255 * self.scale if example.dtype == jnp.uint8 else self.scale)
        return cut if self.step_size == 1 else cut.reshape(steps, self.step_size, *cut.shape[1:])

    def check_examples(self, source: str, shapes: Sequence[Shape], split: Any) -> None:
        if self.window and len(shapes) == 1:
            if len(shapes[0]) != 3:
                hint = f" is for images; given examples of shape {shapes[0]}: use "
                raise InputError(Setting("pairs.window", self.window), hint, Setting("pairs.window", 0, flag=True))
            check_window(self.window, shapes)
        super().check_examples(source, shapes, split)
        self._check_values(source, split)

    def too_short(self, split: Any) -> tuple[np.ndarray, str] | None:
        lengths = split.lengths if self.num_steps and not self.window else None
        least = self.num_steps * self.step_size
        if lengths is None or split.examples.shape[1] < least:  # `check_examples` reports the latter
            return None
        return lengths < least, f"shorter than {least:,} samples"

    def takes_shape(self, shape: Shape, trained: Shape) -> bool:
        if not self.num_steps or self.window:
            return shape == trained
        return shape[1:] == trained[1:] and shape[0] >= self.num_steps * self.step_size

    def _check_values(self, source: str, split: Any) -> None:
        """Raises InputError unless values are finite, of a learnable scale, and uncut examples of one length."""
        try:
            lengths = split.lengths
        except ValueError as error:
            raise InputError(f"the values of {source} are not all finite: {error}") from None
        if lengths is None:
            return
        shortest, longest = int(lengths.min()), int(lengths.max())
        if not self.num_steps and shortest < split.examples.shape[1]:
            steps = max(shortest // self.step_size, 1)
            found = f"sequences of {source} have {shortest:,} to {longest:,} samples; expected a cut, such as "
            cut = Setting("pairs.num_steps", steps, flag=True)
            raise InputError(found, cut, ", at a random place: shorter sequences are left out")
        spread = float(np.nanstd(split.examples, dtype=np.float64))
        if not _LEAST_SPREAD <= spread / self.scale <= 1 / _LEAST_SPREAD:
            far = f" have a standard deviation of {spread / self.scale:.3g}, far from 1; expected "
            proposal = (
                ["about ", Setting("pairs.scale", f"{spread:.3g}", flag=True)] if spread else ["sequences that differ"]
            )
            raise InputError(f"the values of {source} divided by ", Setting("pairs.scale", self.scale), far, *proposal)

    def _described(self, shape: Shape) -> str:
        return " × ".join(map(str, shape))


def _num_samples(example: jax.Array) -> int | jax.Array:
    """Samples of one example before its padding."""
    if not jnp.issubdtype(example.dtype, jnp.floating):
        return len(example)
    return jnp.sum(~jnp.isnan(example.reshape(len(example), -1)[:, 0]))
