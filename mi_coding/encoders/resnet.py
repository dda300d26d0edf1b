"""Residual networks of 18, 34 and 50 layers, for photographs and for images as small as CIFAR's.

Deep residual learning, arXiv:1512.03385. Parameters without the classifier, at width 1 and with three colours:

| depth | features | ImageNet stem | CIFAR stem |
|---|---|---|---|
| 18 | 512 | 11,176,512 | 11,168,832 |
| 34 | 512 | 21,284,672 | 21,276,992 |
| 50 | 2048 | 23,508,032 | 23,500,352 |
"""

from functools import partial
from typing import Annotated, Self

import flax.linen as nn
import jax
import jax.numpy as jnp

from mi_coding.encoders import pooling
from mi_coding.encoders.base import DTYPES, Backbone
from mi_coding.encoders.batch_norm import batch_norm
from mi_coding.encoders.convolution import convolve_by_patches
from mi_coding.options import NotNegativeInt, OneOf, PositiveInt, option

STEMS = {"imagenet": (7, 2), "strided": (5, 2), "cifar": (3, 1)}
"""Side in pixels and stride of the first convolution of each stem."""
_EXPANSION = 4  # a bottleneck block outputs four times the channels it computes with


class WholeChannels:
    """A check of a width: a multiple of 1/64, so that 64 channels become a whole number."""

    def complaint(self, value: float) -> str:
        if value > 0 and value * 64 % 1 == 0:
            return ""
        return "; expected a number > 0 and a multiple of 1/64, so that 64 channels become a whole number"

    def __str__(self) -> str:
        return "multiple of 1/64"


class ResNet(Backbone):
    """A residual network up to its mean over all places: float32[b, H, W, C] → float32[b, F].

    F is 512 · width_multiplier for 18 and 34 layers and four times that for 50, or feature_dim, for each cell of the
    grid. The ImageNet stem, a 7 × 7 convolution and a pool, leaves a quarter of the resolution to the four stages and
    they leave 1/32; the CIFAR stem, one 3 × 3 convolution, leaves it whole and the stages leave 1/8. "strided", one
    5 × 5 convolution, is between them: for small images it costs a quarter of the CIFAR stem's network. The 50 layers
    are "v1.5", where the 3 × 3 convolution of a bottleneck halves the resolution and not the 1 × 1 before it. The last
    norm of a block begins with a scale of zero, so that every block begins as its shortcut (arXiv:1706.02677, section
    5.1). A last 1 × 1 convolution to feature_dim channels, as in MobileNetV2 (arXiv:1801.04381, table 2), gives a
    narrow network many features for little more time, since it works at the lowest resolution.

    >>> net = ResNet(depth=18, stem="cifar", width_multiplier=1 / 16)
    >>> x = jnp.zeros((2, 16, 16, 3))
    >>> features, variables = jax.eval_shape(lambda: net.init_with_output(jax.random.key(0), x, False))
    >>> features.shape, variables["params"]["stem_conv"]["kernel"].shape
    ((2, 32), (3, 3, 3, 4))

    Attributes:
        depth: 18, 34 or 50.
        width_multiplier: 1 is the paper's, 1/16 is for tests.
        dtype: "bfloat16" convolves in half the memory and much faster on accelerators. Parameters, batch statistics,
            the mean over places and the features are float32 for both.
        patches: convolve by patches and matrix products, with the same result; on CPU two to three times faster to
            train, and in bfloat16 the only way: there, XLA's own convolutions return NaN when compiled for inference
            (jaxlib 0.12.0).
    Raises:
        ValueError: on construction, for an unknown depth, stem or dtype, or a width that is not a whole number.
    """

    depth: int = 18
    stem: Annotated[str, OneOf(tuple(STEMS))] = option(
        "encoder.stem", "cifar", "cifar keeps the resolution of small images, strided halves it, imagenet quarters it"
    )
    width_multiplier: Annotated[float, WholeChannels()] = option(
        "encoder.width_multiplier", 1.0, "factor on the paper's channels"
    )
    dtype: Annotated[str, OneOf(DTYPES)] = option("encoder.dtype", "float32", "dtype of the convolutions")
    feature_dim: NotNegativeInt = option(
        "encoder.feature_dim", 0, "F, width of a last 1 × 1 convolution before the means; 0 for none"
    )
    grid: PositiveInt = option("encoder.grid", 1, pooling.MEANING)
    patches: bool = False

    loops_on_cpu = True

    def __post_init__(self) -> None:
        for name, choices in (("depth", tuple(_STAGES)), ("stem", tuple(STEMS)), ("dtype", DTYPES)):
            if getattr(self, name) not in choices:
                expected = ", ".join(map(repr, choices))
                raise ValueError(f"{name}={getattr(self, name)!r} of a ResNet is unknown; expected one of {expected}")
        width = 64 * self.width_multiplier
        if width < 1 or width != int(width):
            raise ValueError(
                f"width_multiplier={self.width_multiplier} turns 64 channels into {width:g}; "
                f"expected a multiple of 1/64, such as 1, 2 or 1/16"
            )
        super().__post_init__()

    def on(self, platform: str) -> Self:
        return self.clone(patches=platform == "cpu")

    @nn.compact
    def __call__(self, x: jax.Array, train: bool, axis_name: str | None = None) -> jax.Array:
        width = int(64 * self.width_multiplier)
        conv = partial(convolution, dtype=self.dtype, patches=self.patches)
        norm = partial(batch_norm, train, axis_name, dtype=self.dtype)
        side, stride = STEMS[self.stem]
        x = nn.relu(norm(name="stem_norm")(conv(width, side, stride, name="stem_conv")(x)))
        if self.stem == "imagenet":
            x = nn.max_pool(x, (3, 3), (2, 2), padding=((1, 1), (1, 1)))
        block, num_blocks = _STAGES[self.depth]
        for stage, blocks in enumerate(num_blocks):
            for index in range(blocks):
                stride = 2 if stage > 0 and index == 0 else 1
                x = block(width * 2**stage, stride, conv, norm, name=f"stage{stage + 1}_block{index + 1}")(x)
        if self.feature_dim:
            x = nn.relu(norm(name="last_norm")(conv(self.feature_dim, 1, 1, name="last_conv")(x)))
        self.keep_places(x)
        return pooling.mean_over_cells(x, self.grid)


class ResNet18(ResNet):
    """18 layers in basic blocks."""

    depth: int = 18


class ResNet34(ResNet):
    """34 layers in basic blocks."""

    depth: int = 34


class ResNet50(ResNet):
    """50 layers in bottleneck blocks."""

    depth: int = 50


class _Basic(nn.Module):
    """Two 3 × 3 convolutions and a shortcut, for 18 and 34 layers."""

    width: int
    stride: int
    conv: partial
    norm: partial

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        y = nn.relu(self.norm(name="norm1")(self.conv(self.width, 3, self.stride, name="conv1")(x)))
        y = self.conv(self.width, 3, 1, name="conv2")(y)
        y = self.norm(name="norm2", scale_init=nn.initializers.zeros)(y)
        return nn.relu(_shortcut(self, x, self.width) + y)


class _Bottleneck(nn.Module):
    """1 × 1, 3 × 3 and 1 × 1 convolutions and a shortcut, for 50 layers."""

    width: int
    stride: int
    conv: partial
    norm: partial

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        y = nn.relu(self.norm(name="norm1")(self.conv(self.width, 1, 1, name="conv1")(x)))
        y = nn.relu(self.norm(name="norm2")(self.conv(self.width, 3, self.stride, name="conv2")(y)))
        y = self.conv(_EXPANSION * self.width, 1, 1, name="conv3")(y)
        y = self.norm(name="norm3", scale_init=nn.initializers.zeros)(y)
        return nn.relu(_shortcut(self, x, _EXPANSION * self.width) + y)


_STAGES = {18: (_Basic, (2, 2, 2, 2)), 34: (_Basic, (3, 4, 6, 3)), 50: (_Bottleneck, (3, 4, 6, 3))}


def _shortcut(block: _Basic | _Bottleneck, x: jax.Array, width: int) -> jax.Array:
    """The input, projected where its shape changes (option B of the paper)."""
    if block.stride == 1 and x.shape[-1] == width:
        return x
    return block.norm(name="shortcut_norm")(block.conv(width, 1, block.stride, name="shortcut_conv")(x))


def convolution(width: int, side: int, stride: int, *, dtype: str, patches: bool, name: str) -> nn.Conv:
    """A square convolution centred on its place, on CPU by patches."""
    return nn.Conv(
        width,
        (side, side),
        stride,
        padding=side // 2,  # the same on all sides, as in the papers' code; "SAME" would shift an image of even size
        use_bias=False,  # the norm after it has one
        dtype=jnp.dtype(dtype),
        kernel_init=nn.initializers.he_normal(),  # keeps the variance through relu, arXiv:1502.01852
        conv_general_dilated=convolve_by_patches if patches else None,
        name=name,
    )
