import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi_coding import encoders

SMALL = {"widths": (4, 6), "feature_dim": 10, "head_width": 8, "code_dim": 3}


def test_parameters_of_one_convolution_run_with_the_other():
    x = jax.random.normal(jax.random.key(0), (5, 12, 12, 1))
    native, patches = (encoders.build("convnet", patches=p, **SMALL) for p in (False, True))
    params, stats = native.init(jax.random.key(1), x)
    results = [jax.jit(e.apply, static_argnums=3)(params, stats, x, True)[0] for e in (native, patches)]
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_features_do_not_depend_on_the_head():
    x = jax.random.normal(jax.random.key(0), (5, 12, 12, 1))
    encoder = encoders.build("convnet", **SMALL)
    params, stats = encoder.init(jax.random.key(1), x)
    other = params | {"head": jax.tree.map(lambda leaf: leaf + 1, params["head"])}
    (features, codes), _ = encoder.apply(params, stats, x, False)
    (same_features, other_codes), _ = encoder.apply(other, stats, x, False)
    np.testing.assert_array_equal(features, same_features)
    assert not np.allclose(codes, other_codes)


def test_features_change_little_when_an_object_moves():
    image = jnp.zeros((1, 40, 40, 1)).at[0, 14:20, 14:20].set(1.0)  # far from the walls, whose padding it would see
    moved = jnp.roll(image, (4, 4), axis=(1, 2))  # by the stride of the network
    encoder = encoders.build("convnet", widths=(8, 8, 8), feature_dim=16, head_width=8, code_dim=3)
    params, stats = encoder.init(jax.random.key(1), image)
    features, same = (encoder.apply(params, stats, x, False)[0][0] for x in (image, moved))
    np.testing.assert_allclose(features, same, rtol=1e-4, atol=1e-5)


def test_an_unknown_encoder_is_refused():
    with pytest.raises(ValueError, match="'resnet9' is unknown"):
        encoders.build("resnet9", **SMALL)
