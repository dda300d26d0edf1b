import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import PartitionSpec as P

from mi_coding.encoders import convolution
from mi_coding.encoders.convolution import convolve_by_patches

LAYOUT = ("NHWC", "HWIO", "NHWC")


@pytest.mark.parametrize("channels", [3, 6])  # pixels, and features, whose gradients are computed together
@pytest.mark.parametrize("cached", [1, 2**20])  # one image at a time, and all at once
@pytest.mark.parametrize("padding", ["SAME", "VALID", ((2, 0), (1, 3))])
@pytest.mark.parametrize("strides", [(1, 1), (2, 3)])
@pytest.mark.parametrize("side", [(3, 3), (5, 2)])
def test_patches_give_the_convolution_and_its_gradients(padding, strides, side, cached, channels, monkeypatch):
    monkeypatch.setattr(convolution, "_CACHED", cached)
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.normal(size=(3, 9, 7, channels)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(*side, channels, 4)), jnp.float32)

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


@pytest.mark.parametrize("strides", [(1, 1), (2, 2)])
@pytest.mark.parametrize("channels", [3, 6])
def test_on_several_devices_the_gradient_of_one_kernel_is_added_up(strides, channels, monkeypatch):
    monkeypatch.setattr(convolution, "_CACHED", 1)
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.normal(size=(8, 6, 6, channels)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(3, 3, channels, 4)), jnp.float32)

    def gradients(convolve, axis=None):
        def loss(images, kernel):
            total = jnp.sum(jnp.sin(convolve(images, kernel, strides, "SAME", dimension_numbers=LAYOUT)))
            return total if axis is None else lax.psum(total, axis)

        return jax.grad(loss, argnums=(0, 1))

    mesh = jax.make_mesh((4,), ("d",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:4])
    mapped = jax.shard_map(
        gradients(convolve_by_patches, "d"), mesh=mesh, in_specs=(P("d"), P()), out_specs=(P("d"), P())
    )
    wanted = jax.jit(gradients(lax.conv_general_dilated))(images, kernel)
    jax.tree.map(
        lambda ours, theirs: np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4),
        jax.jit(mapped)(images, kernel),
        wanted,
    )


def test_the_number_of_images_at_a_time_divides_them():
    window = convolution._Window((3, 3), (1, 1), ((1, 1), (1, 1)))
    chunks = [window.chunk(jax.ShapeDtypeStruct((count, 32, 32, 16), jnp.float32)) for count in (512, 6, 7, 1)]
    assert chunks == [4, 3, 1, 1]  # 2.5 MiB hold patches of four
