import jax
import jax.numpy as jnp
import numpy as np

from mi_coding.encoders import ConvNet, ProjectionHead, build

SMALL = ConvNet(widths=(4, 6), feature_dim=10)
HEAD = ProjectionHead(width=8, code_dim=3)


def test_parameters_of_one_convolution_run_with_the_other():
    x = jax.random.normal(jax.random.key(0), (5, 12, 12, 1))
    native, patches = (build(SMALL.clone(patches=p), HEAD) for p in (False, True))
    params, stats = native.init(jax.random.key(1), x)
    results = [jax.jit(e.apply, static_argnums=3)(params, stats, x, True)[0] for e in (native, patches)]
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_features_do_not_depend_on_the_head():
    x = jax.random.normal(jax.random.key(0), (5, 12, 12, 1))
    encoder = build(SMALL, HEAD)
    params, stats = encoder.init(jax.random.key(1), x)
    other = params | {"head": jax.tree.map(lambda leaf: leaf + 1, params["head"])}
    (features, codes), _ = encoder.apply(params, stats, x, False)
    (same_features, other_codes), _ = encoder.apply(other, stats, x, False)
    np.testing.assert_array_equal(features, same_features)
    assert not np.allclose(codes, other_codes)


def test_features_change_little_when_an_object_moves():
    image = jnp.zeros((1, 40, 40, 1)).at[0, 14:20, 14:20].set(1.0)  # far from the walls, whose padding it would see
    moved = jnp.roll(image, (4, 4), axis=(1, 2))  # by the stride of the network
    encoder = build(ConvNet(widths=(8, 8, 8), feature_dim=16), HEAD)
    params, stats = encoder.init(jax.random.key(1), image)
    features, same = (encoder.apply(params, stats, x, False)[0][0] for x in (image, moved))
    np.testing.assert_allclose(features, same, rtol=1e-4, atol=1e-5)


def test_a_spread_code_has_mean_zero_and_the_given_deviation():
    x = 10 * jax.random.normal(jax.random.key(0), (50, 12, 12, 1))  # large beside the epsilon of batch norm
    encoder = build(SMALL, ProjectionHead(width=8, code_dim=6, spread=2.5, group=3))
    params, stats = encoder.init(jax.random.key(1), x)
    (_, codes), later = encoder.apply(params, stats, x, True)
    np.testing.assert_allclose(codes.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(codes.std(0), 2.5, rtol=1e-3)
    kernel = params["head"]["Dense_1"]["kernel"]
    alike = jax.tree.map(lambda leaf: leaf, params)
    alike["head"]["Dense_1"]["kernel"] = jnp.repeat(kernel[:, ::3], 3, axis=1)  # values of a symbol as one function
    assert np.abs(encoder.apply(alike, stats, x, True)[0][1]).max() < 1e-3
    alone, whole = (encoder.apply(params, later, part, False)[0][1] for part in (x[:1], x))
    np.testing.assert_allclose(alone, whole[:1], atol=1e-5)  # without training nobody feels the batch
