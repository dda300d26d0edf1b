"""The base class of all encoders: a Flax module whose fields are its options."""

from typing import ClassVar, Self

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.errors import ScopeParamShapeError

Shape = tuple[int, ...]

DTYPES = ("float32", "bfloat16")


INTERMEDIATES, PLACES = "intermediates", "places"
"""The Flax collection of intermediate values, and the name of the features of places in it."""


class Backbone(nn.Module):
    """An encoder up to its features: float32[b, …] → float32[b, F]. A new one adds itself to `ENCODERS`.

    A field made by `options.option` is an option of configs; other fields are for code.

    Attributes:
        takes: what an example must be, in a few words.
        encodes_each_alone: whether the features of an example do not depend on its batch, in training too. Required
            for the steps of a sequence: statistics of the batch would carry the future into the context.
        loops_on_cpu: whether steps in a loop on the device are fast on CPU: not with XLA's own convolutions, which are
            13 times as slow there.
        dtype: that of its products.
    """

    takes: ClassVar[str] = "images (height, width, 1 or 3)"
    encodes_each_alone: ClassVar[bool] = False
    loops_on_cpu: ClassVar[bool] = False
    dtype = "float32"  # not annotated: as a field of this class it would come before the options of others

    def __call__(self, x: jax.Array, train: bool, axis_name: str | None = None) -> jax.Array:
        """float32[b, F]; while training, statistics of the batch are those of all devices along `axis_name`."""
        raise NotImplementedError

    def keep_places(self, x: jax.Array) -> None:
        """Stores float[b, …, C], the features of each place before pooling, for callers that ask for them."""
        self.sow(INTERMEDIATES, PLACES, x)

    def on(self, platform: str) -> Self:
        """The same encoder in the form that is fast on "cpu", "gpu" or "tpu"."""
        return self

    def can_take(self, shape: Shape) -> bool:
        """Whether examples of a shape can be encoded."""
        return len(shape) == 3 and shape[2] in (1, 3)

    def encodes_both(self, shape: Shape, other: Shape) -> bool:
        """Whether parameters for examples of a shape also encode those of another, into as many features."""
        key, (first, second) = jax.random.key(0), (jnp.zeros((1, *one)) for one in (shape, other))
        features, variables = jax.eval_shape(lambda: self.init_with_output(key, first, False))
        try:
            return jax.eval_shape(lambda v: self.apply(v, second, False), variables).shape == features.shape
        except ScopeParamShapeError:
            return False
