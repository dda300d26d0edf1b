"""A convolution as one matrix product over patches.

XLA's CPU backend computes the gradient of a strided convolution three to six times slower than that of the matrix
product it is equal to. This function takes the place of `lax.conv_general_dilated` inside `flax.linen.Conv`, so the
parameters are the same and a model trained with one runs with the other.
"""

import jax
import jax.numpy as jnp
from jax import lax


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

    Args:
        images: float[b, H, W, I].
        kernel: float[h, w, I, O].
        window_strides: steps between patches.
        padding: "SAME", "VALID" or pairs of pixels for each of the two spatial dimensions.
        precision, preferred_element_type: of the product.
        neutral: lhs_dilation, rhs_dilation and feature_group_count, only their neutral values; dimension_numbers, which
            flax always passes for NHWC and HWIO.
    Raises:
        ValueError: for a dilation or groups.
    """
    _check_neutral(**neutral)
    height, width = kernel.shape[:2]
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(images.shape[1:3], (height, width), window_strides, padding)
    padded = jnp.pad(images, ((0, 0), *padding, (0, 0)))
    down, right = window_strides
    rows = (padded.shape[1] - height) // down + 1
    columns = (padded.shape[2] - width) // right + 1
    taps = [
        padded[:, i : i + (rows - 1) * down + 1 : down, j : j + (columns - 1) * right + 1 : right]
        for i in range(height)
        for j in range(width)
    ]
    patches = jnp.concatenate(taps, axis=-1).reshape(-1, height * width * images.shape[-1])
    kernel = kernel.reshape(-1, kernel.shape[-1])
    product = jnp.matmul(patches, kernel, precision=precision, preferred_element_type=preferred_element_type)
    return product.reshape(images.shape[0], rows, columns, -1)


def _check_neutral(lhs_dilation=None, rhs_dilation=None, dimension_numbers=None, feature_group_count: int = 1) -> None:
    if feature_group_count != 1 or any(step != 1 for d in (lhs_dilation, rhs_dilation) for step in d or ()):
        raise ValueError("convolve_by_patches supports neither dilation nor groups; use lax.conv_general_dilated")
