"""A convolutional network along time, for signals."""

from functools import partial
from typing import Annotated, Self

import flax.linen as nn
import jax
import jax.numpy as jnp

from mi_coding.encoders.activation import ACTIVATIONS, MEANING, Activation
from mi_coding.encoders.base import DTYPES, Backbone, Shape
from mi_coding.encoders.convolution import convolve_by_patches
from mi_coding.options import Each, OneOf, PositiveInt, Range, option


class SignalNet(Backbone):
    """Convolutions along time, then means over time, then one dense layer: float32[b, T, C] → float32[b, feature_dim].

    The first convolution looks at 7 samples and the others at 5; each halves the number of samples, as long as there is
    more than one. A mean over all times makes the features blind to where in the signal something is.

    >>> net = SignalNet(widths=(8, 16), feature_dim=4)
    >>> jax.eval_shape(lambda: net.init_with_output(jax.random.key(0), jnp.zeros((3, 50, 2)), False))[0].shape
    (3, 4)

    Attributes:
        dtype: of the convolutions. Parameters, the mean over times and features are float32.
    """

    widths: Annotated[tuple, Each(int, Range(above=0), "(32, 64, 128)")] = option(
        "encoder.widths", (32, 64, 128), "channels of each convolution"
    )
    feature_dim: PositiveInt = option("encoder.feature_dim", 256, "F, dimension of the features that a probe reads")
    activation: Activation = option("encoder.activation", "relu", MEANING)
    dtype: Annotated[str, OneOf(DTYPES)] = option("encoder.dtype", "float32", "dtype of the convolutions")
    patches: bool = False

    takes = "signals (samples, channels)"
    encodes_each_alone = True
    loops_on_cpu = True

    def on(self, platform: str) -> Self:
        return self.clone(patches=platform == "cpu")

    def can_take(self, shape: Shape) -> bool:
        return len(shape) == 2

    @nn.compact
    def __call__(self, x: jax.Array, train: bool, axis_name: str | None = None) -> jax.Array:
        bend = ACTIVATIONS[self.activation]
        convolve = convolve_by_patches if self.patches else None
        he = nn.initializers.he_normal()  # keeps the variance through relu, arXiv:1502.01852
        conv = partial(nn.Conv, dtype=jnp.dtype(self.dtype), kernel_init=he, conv_general_dilated=convolve)
        x = x[:, None]  # an image of one row, so that both ways of convolving take it
        for layer, width in enumerate(self.widths):
            x = bend(conv(width, (1, 5 if layer else 7), (1, 2))(x))
        self.keep_places(x[:, 0])
        return bend(nn.Dense(self.feature_dim, kernel_init=he)(jnp.mean(x.astype(jnp.float32), axis=(1, 2))))
