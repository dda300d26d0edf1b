"""Convolutions for CPUs: matrix products over patches, of a few images at a time.

XLA's CPU backend computes the gradient of the kernel four to five times slower than the forward pass, and that of the
images, under a stride, two to three times slower. All three are products of patches with a matrix; what makes them fast
is that the patches of a few images stay in the cache, while those of a whole batch would be written to memory and read
again.
This function takes the place of `lax.conv_general_dilated` inside `flax.linen.Conv`, so the parameters are the same
and a model trained with one runs with the other.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from mi_coding.varying import match

_CACHED = 5 * 2**19
"""Bytes of patches held at a time, 2.5 MiB; all of 1 to 5 MiB perform alike on two cores with 1 MiB of cache each."""

_COLOURS = 4
"""Images of at most this many channels are assumed to be input pixels, whose gradient is not needed.

The gradient of the kernel is then computed on its own.
"""


class _Window(NamedTuple):
    """The geometry of a convolution's windows: sides, strides, and padding in pixels (negative padding crops)."""

    sides: tuple[int, int]
    strides: tuple[int, int]
    padding: tuple[tuple[int, int], tuple[int, int]]
    precision: Any = None  # of matrix products
    dtype: Any = None  # of the output; None for that of the images

    def multiply(self, patches: jax.Array, kernel: jax.Array) -> jax.Array:
        """float[b, H′, W′, O]: patches with a kernel float[h, w, I, O]."""
        matrix = kernel.reshape(-1, kernel.shape[-1])
        return jnp.matmul(patches, matrix, precision=self.precision, preferred_element_type=self.dtype)

    def places(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """H′, W′: numbers of windows down and right, in images of a shape [b, H, W, I]."""
        padded = [size + sum(pad) for size, pad in zip(shape[1:3], self.padding, strict=True)]
        return tuple((n - side) // by + 1 for n, side, by in zip(padded, self.sides, self.strides, strict=True))

    def patches(self, images: jax.Array) -> jax.Array:
        """float[b, H′, W′, h · w · I]: what each window sees."""
        (rows, columns), (down, right) = self.places(images.shape), self.strides
        zero = jnp.zeros((), images.dtype)
        padded = lax.pad(images, zero, ((0, 0, 0), *((*pad, 0) for pad in self.padding), (0, 0, 0)))
        taps = [
            padded[:, i : i + (rows - 1) * down + 1 : down, j : j + (columns - 1) * right + 1 : right]
            for i in range(self.sides[0])
            for j in range(self.sides[1])
        ]
        return jnp.concatenate(taps, axis=-1)

    def convolved(self, images: jax.Array, kernel: jax.Array) -> jax.Array:
        """float[b, H′, W′, O], all at once."""
        return self.multiply(self.patches(images), kernel)

    def chunk(self, images: jax.Array) -> int:
        """How many images at a time have patches that stay in the cache: a divisor of the number of images."""
        rows, columns = self.places(images.shape)
        one = max(1, rows * columns * self.sides[0] * self.sides[1] * images.shape[3] * images.dtype.itemsize)
        count = images.shape[0]
        most = max(1, min(count, _CACHED // one))
        return next((size for size in range(most, 0, -1) if count % size == 0), 1)

    def transposed(self) -> "_Window":
        """For strides of one pixel: the window of the convolution that computes the gradient of the images."""
        padding = tuple(
            (side - 1 - low, side - 1 - high) for side, (low, high) in zip(self.sides, self.padding, strict=True)
        )
        return self._replace(padding=padding)


def convolve_by_patches(
    images: jax.Array,
    kernel: jax.Array,
    window_strides: tuple[int, int],
    padding,
    *,
    precision=None,
    preferred_element_type=None,
    **neutral,
) -> jax.Array:
    """float[b, H', W', O]: as `lax.conv_general_dilated` for NHWC images and an HWIO kernel, no dilation or groups.

    Its gradient, of first order and in reverse mode, stores no patches: they are computed a second time.

    >>> images, kernel = jnp.ones((2, 4, 4, 3)), jnp.ones((3, 3, 3, 5))
    >>> convolve_by_patches(images, kernel, (2, 2), "SAME")[0, :, :, 0].tolist()
    [[27.0, 18.0], [18.0, 12.0]]

    Args:
        images: float[b, H, W, I].
        kernel: float[h, w, I, O].
        window_strides: strides between patches.
        padding: "SAME", "VALID" or pairs of pixels for each of the two spatial dimensions.
        precision, preferred_element_type: of the product.
        neutral: lhs_dilation, rhs_dilation and feature_group_count, only their neutral values; dimension_numbers, which
            flax always passes for NHWC and HWIO.
    Raises:
        ValueError: for a dilation or groups.
    """
    _check_neutral(**neutral)
    sides, strides = kernel.shape[:2], tuple(window_strides)
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(images.shape[1:3], sides, strides, padding)
    window = _Window(sides, strides, tuple(map(tuple, padding)), precision, preferred_element_type)
    either = images.ravel()[0] + kernel.ravel()[0]  # varies where one of them does, and so do both gradients
    return _convolve(match(images, either), match(kernel, either), window)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _convolve(images: jax.Array, kernel: jax.Array, window: _Window) -> jax.Array:
    return _in_chunks(lambda images: window.convolved(images, kernel), window.chunk(images), images)


def _forward(images: jax.Array, kernel: jax.Array, window: _Window) -> tuple[jax.Array, Any]:
    return _convolve(images, kernel, window), (images, kernel)


def _backward(window: _Window, saved: tuple[jax.Array, jax.Array], gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    images, kernel = saved
    if window.strides == (1, 1) and images.shape[-1] > _COLOURS:
        return _both_gradients(window, images, kernel, gradient)
    return _images_gradient(window, images, kernel, gradient), _kernel_gradient(window, images, kernel, gradient)


_convolve.defvjp(_forward, _backward)


def _both_gradients(
    window: _Window, images: jax.Array, kernel: jax.Array, gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """For strides of one pixel: patches of the gradient give that of the images and, with the images, the kernel's."""
    sides, channels = kernel.shape[:2], kernel.shape[2:]
    window = window.transposed()

    def of_chunk(gradient: jax.Array, images: jax.Array) -> tuple[jax.Array, jax.Array]:
        patches = window.patches(gradient)
        d_images = window.multiply(patches, _turned(kernel)).astype(images.dtype)
        return _sum_of_products(images, patches, window.precision), d_images

    turned, d_images = _added_up(of_chunk, window.chunk(gradient), gradient, images)
    turned = turned.reshape(channels[0], *sides, channels[1])
    return d_images, jnp.moveaxis(turned, 0, 2)[::-1, ::-1].astype(kernel.dtype)


def _images_gradient(window: _Window, images: jax.Array, kernel: jax.Array, gradient: jax.Array) -> jax.Array:
    """For strides of one pixel, a convolution with the kernel turned round; for others, patches are added up."""
    if window.strides == (1, 1):
        return _convolve(gradient, _turned(kernel), window.transposed()).astype(images.dtype)

    def of_chunk(gradient: jax.Array) -> jax.Array:
        anywhere = match(jnp.zeros((len(gradient), *images.shape[1:]), images.dtype), gradient)  # it is linear
        return jax.vjp(lambda images: window.convolved(images, kernel), anywhere)[1](gradient)[0]

    return _in_chunks(of_chunk, window.chunk(images), gradient)


def _kernel_gradient(window: _Window, images: jax.Array, kernel: jax.Array, gradient: jax.Array) -> jax.Array:
    """Products of the gradient with patches of the images."""

    def of_chunk(images: jax.Array, gradient: jax.Array) -> tuple[jax.Array, None]:
        return _sum_of_products(gradient, window.patches(images), window.precision), None

    total, _ = _added_up(of_chunk, window.chunk(images), images, gradient)
    return total.T.reshape(kernel.shape).astype(kernel.dtype)


def _turned(kernel: jax.Array) -> jax.Array:
    """float[h, w, O, I], turned by 180 degrees: the kernel of the convolution that is the gradient of the images."""
    return jnp.swapaxes(kernel[::-1, ::-1], 2, 3)


def _sum_of_products(channels: jax.Array, patches: jax.Array, precision: Any) -> jax.Array:
    """[C, P] in at least float32, over all places of all images; the other way round it takes twice the time."""
    dtype = jnp.promote_types(patches.dtype, jnp.float32)
    channels, patches = (values.reshape(-1, values.shape[-1]) for values in (channels, patches))
    return jnp.matmul(channels.T, patches, precision=precision, preferred_element_type=dtype)


def _in_chunks(function: Callable[[jax.Array], jax.Array], chunk: int, values: jax.Array) -> jax.Array:
    """Applies a function that treats each image alone to a few images at a time."""
    if chunk == len(values):
        return function(values)
    outputs = lax.map(function, values.reshape(-1, chunk, *values.shape[1:]))
    return outputs.reshape(len(values), *outputs.shape[2:])


def _added_up(
    function: Callable[..., tuple[jax.Array, jax.Array | None]], chunk: int, *values: jax.Array
) -> tuple[jax.Array, jax.Array | None]:
    """The sum of a function's first result over chunks of images, and its second for each image."""
    if chunk == len(values[0]):
        return function(*values)
    chunks = tuple(of_all.reshape(-1, chunk, *of_all.shape[1:]) for of_all in values)
    shape = jax.eval_shape(function, *(of_all[0] for of_all in chunks))[0]
    nothing = match(jnp.zeros(shape.shape, shape.dtype), values[0])

    def add(total: jax.Array, chunk: tuple[jax.Array, ...]) -> tuple[jax.Array, jax.Array | None]:
        added, of_each = function(*chunk)
        return total + added, of_each

    total, of_each = lax.scan(add, nothing, chunks)
    return total, None if of_each is None else of_each.reshape(-1, *of_each.shape[2:])


def _check_neutral(lhs_dilation=None, rhs_dilation=None, dimension_numbers=None, feature_group_count: int = 1) -> None:
    if feature_group_count != 1 or any(step != 1 for d in (lhs_dilation, rhs_dilation) for step in d or ()):
        raise ValueError("convolve_by_patches supports neither dilation nor groups; use lax.conv_general_dilated")
