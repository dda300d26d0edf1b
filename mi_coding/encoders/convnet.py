"""A small convolutional network for small images."""

from functools import partial
from typing import Annotated, Self

import flax.linen as nn
import jax
import jax.numpy as jnp

from mi_coding.encoders import pooling
from mi_coding.encoders.activation import ACTIVATIONS, MEANING, Activation
from mi_coding.encoders.base import DTYPES, Backbone
from mi_coding.encoders.convolution import convolve_by_patches
from mi_coding.options import Each, NotNegativeInt, OneOf, PositiveInt, Range, option


class ConvNet(Backbone):
    """Convolutions, then means over places, then at most one dense layer: float32[b, H, W, C] → float32[b, F].

    F is feature_dim; without the dense layer it is grid · grid · the last width.

    The first convolution looks at 5 × 5 pixels and the others at 3 × 3; all but the last of several halve the
    resolution. A mean over all places makes the features almost blind to where the object is, which is what two frames
    of a clip differ in; where objects are centred, a finer grid of means keeps what is above and what is below.

    Attributes:
        patches: convolve by patches and matrix products, with the same result; on CPU faster to train.
        dtype: of the convolutions. Parameters, the mean over places and features are float32.
    """

    widths: Annotated[tuple, Each(int, Range(above=0), "(32, 64, 128)")] = option(
        "encoder.widths", (32, 64, 128), "channels of each convolution"
    )
    feature_dim: NotNegativeInt = option(
        "encoder.feature_dim", 256, "F, width of a last dense layer; 0 for none, so that the means are the features"
    )
    grid: PositiveInt = option("encoder.grid", 1, pooling.MEANING)
    activation: Activation = option("encoder.activation", "relu", MEANING)
    dtype: Annotated[str, OneOf(DTYPES)] = option("encoder.dtype", "float32", "dtype of the convolutions")
    patches: bool = False

    encodes_each_alone = True
    loops_on_cpu = True

    def on(self, platform: str) -> Self:
        return self.clone(patches=platform == "cpu")

    @nn.compact
    def __call__(self, x: jax.Array, train: bool, axis_name: str | None = None) -> jax.Array:
        bend = ACTIVATIONS[self.activation]
        convolve = convolve_by_patches if self.patches else None
        conv = partial(nn.Conv, dtype=jnp.dtype(self.dtype), kernel_init=_HE, conv_general_dilated=convolve)
        for layer, width in enumerate(self.widths):
            side = 5 if layer == 0 else 3
            stride = 1 if 0 < layer == len(self.widths) - 1 else 2
            x = bend(conv(width, (side, side), stride)(x))
        self.keep_places(x)
        means = pooling.mean_over_cells(x, self.grid)
        return bend(nn.Dense(self.feature_dim, kernel_init=_HE)(means)) if self.feature_dim else means


_HE = nn.initializers.he_normal()  # keeps the variance through relu, arXiv:1502.01852
