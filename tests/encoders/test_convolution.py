import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from mi_coding.encoders.convolution import convolve_by_patches

LAYOUT = ("NHWC", "HWIO", "NHWC")


@pytest.mark.parametrize("padding", ["SAME", "VALID", ((2, 0), (1, 3))])
@pytest.mark.parametrize("strides", [(1, 1), (2, 3)])
@pytest.mark.parametrize("side", [(3, 3), (5, 2)])
def test_patches_give_the_convolution_and_its_gradients(padding, strides, side):
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.normal(size=(2, 9, 7, 3)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(*side, 3, 4)), jnp.float32)

    def both(convolve):
        def loss(images, kernel):
            out = convolve(images, kernel, strides, padding, dimension_numbers=LAYOUT)
            return jnp.sum(jnp.sin(out)), out

        return jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))(images, kernel)

    jax.tree.map(
        lambda ours, theirs: np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4),
        both(convolve_by_patches),
        both(lax.conv_general_dilated),
    )


@pytest.mark.parametrize("option", [{"rhs_dilation": (2, 2)}, {"feature_group_count": 3}])
def test_what_patches_cannot_do_is_refused(option):
    with pytest.raises(ValueError, match="neither dilation nor groups"):
        convolve_by_patches(jnp.ones((1, 5, 5, 3)), jnp.ones((3, 3, 3, 3)), (1, 1), "SAME", **option)
