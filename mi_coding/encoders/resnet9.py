"""A residual network of nine layers for small images, which trains fast."""

from functools import partial
from typing import Annotated

import flax.linen as nn
import jax
import jax.numpy as jnp

from mi_coding.encoders.base import DTYPES, Backbone
from mi_coding.encoders.batch_norm import batch_norm
from mi_coding.encoders.resnet import WholeChannels, convolution
from mi_coding.options import OneOf, option


class ResNet9(Backbone):
    """Four convolutions with pools between them and two residual blocks: float32[b, H, W, C] → float32[b, F].

    F is 512 · width_multiplier: the largest value of each channel over all places. 6,568,000 parameters at width 1 and
    with three colours. Three pools leave 1/8 of the resolution.

    >>> net = ResNet9(width_multiplier=1 / 16)
    >>> x = jnp.zeros((2, 16, 16, 3))
    >>> jax.eval_shape(lambda: net.init_with_output(jax.random.key(0), x, False))[0].shape
    (2, 32)

    Source: D. Page, "How to train your ResNet", 2018, the network of DAWNBench's CIFAR-10.
    """

    width_multiplier: Annotated[float, WholeChannels()] = option(
        "encoder.width_multiplier", 1.0, "factor on the original's channels"
    )
    dtype: Annotated[str, OneOf(DTYPES)] = option("encoder.dtype", "float32", "dtype of the convolutions")
    patches: bool = False

    loops_on_cpu = True

    def on(self, platform: str) -> "ResNet9":
        return self.clone(patches=platform == "cpu")

    @nn.compact
    def __call__(self, x: jax.Array, train: bool, axis_name: str | None = None) -> jax.Array:
        conv = partial(convolution, side=3, stride=1, dtype=self.dtype, patches=self.patches)
        norm = partial(batch_norm, train, axis_name, dtype=self.dtype)

        def layer(x: jax.Array, channels: int, name: str) -> jax.Array:
            width = int(channels * self.width_multiplier)
            return nn.relu(norm(name=f"{name}_norm")(conv(width, name=f"{name}_conv")(x)))

        def residual(x: jax.Array, channels: int, name: str) -> jax.Array:
            return x + layer(layer(x, channels, f"{name}_1"), channels, f"{name}_2")

        halved = partial(nn.max_pool, window_shape=(2, 2), strides=(2, 2))
        x = layer(x, 64, "stem")
        x = residual(halved(layer(x, 128, "layer1")), 128, "block1")
        x = halved(layer(x, 256, "layer2"))
        x = residual(halved(layer(x, 512, "layer3")), 512, "block2")
        self.keep_places(x)
        return jnp.max(x, axis=(1, 2)).astype(jnp.float32)

    def can_take(self, shape: tuple[int, ...]) -> bool:
        return super().can_take(shape) and min(shape[:2]) >= _LEAST


_LEAST = 8
"""Smallest side in pixels: three pools leave one place."""
