"""Features of every place: what the features pool, place by place, of every encoder that has places."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi_coding.encoders import ENCODERS, HeadOptions, build
from mi_coding.errors import InputError

IMAGES = jnp.asarray(np.random.default_rng(0).random((3, 16, 24, 1)), jnp.float32)
SIGNALS = jnp.asarray(np.random.default_rng(0).random((3, 64, 2)), jnp.float32)
SMALL = {"convnet": {"widths": (4, 8), "feature_dim": 6}, "signal": {"widths": (4, 8), "feature_dim": 6}}
SMALL |= {"resnet9": {"width_multiplier": 1 / 16}, "resnet18": {"width_multiplier": 1 / 16, "stem": "cifar"}}
SMALL |= {"vit_tiny": {"patch": 8}}


def quarters(places):
    """The mean of each quarter, row by row, the middle row or column in both where their number is odd."""
    rows, columns = ((slice(0, -(-side // 2)), slice(side // 2, side)) for side in places.shape[1:3])
    return np.concatenate([places[:, row, column].mean((1, 2)) for row in rows for column in columns], axis=1)


def made(name, **options):
    encoder = build(ENCODERS[name](**SMALL[name] | options), HeadOptions(width=4).build(3))
    x = SIGNALS if name == "signal" else IMAGES
    return encoder, x, *encoder.init(jax.random.key(0), x)


@pytest.mark.parametrize(
    ("name", "shape", "pooled"),
    [
        ("convnet", (8, 12, 8), None),  # a dense layer comes after the mean
        ("signal", (16, 8), None),
        ("resnet9", (2, 3, 32), lambda places: places.max((1, 2))),
        ("resnet18", (2, 3, 32), lambda places: places.mean((1, 2))),
        ("vit_tiny", (2, 3, 192), lambda places: places.mean((1, 2))),
    ],
)
def test_places_pool_to_the_features(name, shape, pooled):
    encoder, x, params, stats = made(name)
    assert "intermediates" not in stats
    places = jax.jit(encoder.places)(params, stats, x)
    assert (places.shape, places.dtype) == ((3, *shape), jnp.float32)
    if pooled:
        (features, _), _ = encoder.apply(params, stats, x, False)
        np.testing.assert_allclose(pooled(places), features, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "options"), [("convnet", {"feature_dim": 0}), ("resnet18", {}), ("resnet18", {"feature_dim": 6})]
)
def test_a_grid_of_means_is_the_features(name, options):
    for grid, pooled in ((1, lambda places: places.mean((1, 2))), (2, quarters)):
        encoder, x, params, stats = made(name, grid=grid, **options)
        (features, _), _ = jax.jit(encoder.apply, static_argnums=3)(params, stats, x, False)
        np.testing.assert_allclose(pooled(encoder.places(params, stats, x)), features, rtol=1e-5, atol=1e-6)


def test_a_change_of_one_corner_changes_the_places_near_it():
    encoder, x, params, stats = made("convnet")
    changed = encoder.places(params, stats, x.at[:, :4, :4].add(1.0)) - encoder.places(params, stats, x)
    moved = np.abs(changed).max((0, 3)) > 0
    assert moved[0, 0]
    assert not moved[-1].any()
    assert not moved[:, -1].any()


def test_the_class_token_is_no_place():
    encoder, x, params, stats = made("vit_tiny", pool="class")
    assert encoder.places(params, stats, x).shape == (3, 2, 3, 192)


def test_a_network_without_places_says_so():
    encoder = build(ENCODERS["mlp"](widths=(4,), feature_dim=4), HeadOptions(width=4).build(3))
    params, stats = encoder.init(jax.random.key(0), jnp.zeros((2, 5)))
    with pytest.raises(InputError, match="has no layer 'places'; expected features or codes"):
        encoder.places(params, stats, jnp.zeros((2, 5)))
