"""Vision transformers: an image as a sequence of patches.

An image is worth 16 × 16 words, arXiv:2010.11929; the tiny and the small one are those of DeiT, arXiv:2012.12877.
Parameters at 224 × 224 pixels in three colours and patches of 16, without the classifier and with a class token:

| size | width | heads | features | parameters |
|---|---|---|---|---|
| tiny | 192 | 3 | 192 | 5,524,416 |
| small | 384 | 6 | 384 | 21,665,664 |
| base | 768 | 12 | 768 | 85,798,656 |
"""

import math
from typing import Annotated

import flax.linen as nn
import jax
import jax.numpy as jnp

from mi_coding.encoders.base import DTYPES, Backbone, Shape
from mi_coding.errors import InputError, Setting
from mi_coding.options import OneOf, PositiveInt, option

POOLS = ("mean", "class")
_DEVIATION = 0.02  # of learnt vectors at the start, arXiv:2010.11929


class ViT(Backbone):
    """A transformer of patches: float32[b, H, W, C] → float32[b, width], pre-norm with GELU.

    Position embeddings are learnt for the grid of patches of the first image and resized, by cubic interpolation, for
    images of another size. Features are the mean over places, or the class token, after the last norm.

    >>> net = ViT(width=16, heads=2, depth=1, patch=4)
    >>> x, larger = jnp.zeros((2, 8, 8, 3)), jnp.zeros((2, 16, 12, 3))
    >>> variables = net.init(jax.random.key(0), x, False)
    >>> net.apply(variables, x, False).shape, net.apply(variables, larger, False).shape
    ((2, 16), (2, 16))

    Attributes:
        dtype: of the layers. Parameters, norms' statistics, softmax, and the features are float32 for both.
    """

    width: int = 192
    heads: PositiveInt = option("encoder.heads", 3, "heads of attention; a divisor of the width")
    depth: PositiveInt = option("encoder.depth", 12, "number of blocks, each of attention and two dense layers")
    patch: PositiveInt = option("encoder.patch", 4, "pixels, side of a patch; 16 for photographs of 224 pixels")
    pool: Annotated[str, OneOf(POOLS)] = option("encoder.pool", "mean", "features: mean over places, or a class token")
    remat: bool = option("encoder.remat", False, "recompute blocks in the backward pass: less memory, more time")
    dtype: Annotated[str, OneOf(DTYPES)] = option("encoder.dtype", "float32", "dtype of the layers")

    takes = "images (height, width, 1 or 3) whose sides are multiples of encoder.patch"
    encodes_each_alone = True
    loops_on_cpu = True

    def __post_init__(self) -> None:
        if self.width % self.heads:
            divisors = ", ".join(str(count) for count in range(1, 17) if self.width % count == 0)
            raise InputError(
                Setting("encoder.heads", self.heads),
                f" does not divide the width {self.width} of this transformer; expected one of {divisors}",
            )
        super().__post_init__()

    def can_take(self, shape: Shape) -> bool:
        return super().can_take(shape) and shape[0] % self.patch == shape[1] % self.patch == 0

    @nn.compact
    def __call__(self, x: jax.Array, train: bool, axis_name: str | None = None) -> jax.Array:
        dtype = jnp.dtype(self.dtype)
        x = nn.Dense(self.width, dtype=dtype, name="embed")(_patches(x, self.patch))
        grid = x.shape[1:3]
        x = x + self._positions(grid).astype(dtype)
        places = x.reshape(x.shape[0], -1, self.width)
        if self.pool == "class":
            token = self.param("class_token", nn.initializers.normal(_DEVIATION), (2, self.width))  # and its position
            token = jnp.broadcast_to(jnp.sum(token, axis=0).astype(dtype), (x.shape[0], 1, self.width))
            places = jnp.concatenate([token, places], axis=1)
        block = nn.remat(_Block) if self.remat else _Block
        for index in range(self.depth):
            places = block(self.heads, dtype, name=f"block{index + 1}")(places)
        places = nn.LayerNorm(epsilon=1e-6, dtype=dtype, name="norm")(places).astype(jnp.float32)
        self.keep_places(places[:, -math.prod(grid) :].reshape(-1, *grid, self.width))  # without the class token
        return places[:, 0] if self.pool == "class" else jnp.mean(places, axis=1)

    def _positions(self, grid: Shape) -> jax.Array:
        """float32[h, w, width]: a learnt embedding of each place of a grid."""
        name = "positions"
        if self.is_initializing():
            return self.param(name, nn.initializers.normal(_DEVIATION), (*grid, self.width))
        learnt = self.get_variable("params", name)
        return learnt if learnt.shape[:2] == grid else jax.image.resize(learnt, (*grid, self.width), "cubic")


class ViTTiny(ViT):
    """Width 192, 3 heads."""


class ViTSmall(ViT):
    """Width 384, 6 heads."""

    width: int = 384
    heads: PositiveInt = option("encoder.heads", 6, "heads of attention; a divisor of the width")


class ViTBase(ViT):
    """Width 768, 12 heads."""

    width: int = 768
    heads: PositiveInt = option("encoder.heads", 12, "heads of attention; a divisor of the width")


class _Block(nn.Module):
    """Attention, then two dense layers with four times the width between them; a norm before each, and a shortcut."""

    heads: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        y = nn.LayerNorm(epsilon=1e-6, dtype=self.dtype, name="norm1")(x)
        attention = nn.MultiHeadDotProductAttention(
            self.heads, dtype=self.dtype, force_fp32_for_softmax=True, name="attention"
        )
        x = x + attention(y)
        y = nn.LayerNorm(epsilon=1e-6, dtype=self.dtype, name="norm2")(x)
        y = nn.gelu(nn.Dense(4 * x.shape[-1], dtype=self.dtype, name="dense1")(y))
        return x + nn.Dense(x.shape[-1], dtype=self.dtype, name="dense2")(y)


def _patches(images: jax.Array, side: int) -> jax.Array:
    """float[b, H/side, W/side, side² · C]: the pixels of each patch in a row."""
    b, height, width, channels = images.shape
    cut = images.reshape(b, height // side, side, width // side, side, channels)
    return cut.swapaxes(2, 3).reshape(b, height // side, width // side, -1)
