"""Residual networks: their shapes, how they begin, and the two ways to convolve."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import HEAD, KEY, filled, lopsided_images, outputs, shapes_of

from mi_coding.encoders import ENCODERS, build
from mi_coding.encoders.resnet import ResNet


def parameters_by_hand(depth, stem):
    """Every convolution k·k·in·out and every norm 2·channels, walking table 1 of the paper."""
    conv_norm = lambda k, i, o: k * k * i * o + 2 * o  # noqa: E731
    total, inside = conv_norm({"imagenet": 7, "cifar": 3}[stem], 3, 64), 64
    for width, blocks in zip((64, 128, 256, 512), {18: [2] * 4}.get(depth, (3, 4, 6, 3)), strict=True):
        for _ in range(blocks):
            if depth == 50:
                outside = 4 * width
                total += conv_norm(1, inside, width) + conv_norm(3, width, width) + conv_norm(1, width, outside)
            else:
                outside = width
                total += conv_norm(3, inside, width) + conv_norm(3, width, width)
            total += conv_norm(1, inside, outside) if inside != outside else 0
            inside = outside
    return total


@pytest.mark.parametrize(
    ("depth", "with_classifier"),  # of 1000 classes, as torchvision documents its weights
    [(18, 11_689_512), (34, 21_797_672), (50, 25_557_032)],
)
@pytest.mark.parametrize("stem", ["imagenet", "cifar"])
def test_parameters_are_as_many_as_in_the_paper(depth, with_classifier, stem):
    variables = shapes_of(partial(ResNet(depth, stem).init, train=False), jnp.zeros((1, 64, 64, 3)))
    params, stats = (sum(leaf.size for leaf in jax.tree.leaves(variables[c])) for c in ("params", "batch_stats"))
    classifier = 1000 * ((2048 if depth == 50 else 512) + 1)
    smaller_stem = (49 - 9) * 3 * 64 if stem == "cifar" else 0
    assert params == with_classifier - classifier - smaller_stem == parameters_by_hand(depth, stem)
    if stem == "imagenet":
        assert params == {18: 11_176_512, 34: 21_284_672, 50: 23_508_032}[depth]
    norms = [leaf for path, leaf in jax.tree_util.tree_leaves_with_path(variables["params"]) if path[-1].key == "scale"]
    assert stats == 2 * sum(leaf.size for leaf in norms)
    assert len(norms) == depth - 1 + (4 if depth == 50 else 3)  # all layers but the classifier, and the projections


@pytest.mark.parametrize(
    ("stem", "side", "stages"),
    [("imagenet", 224, (56, 28, 14, 7)), ("strided", 32, (16, 8, 4, 2)), ("cifar", 32, (32, 16, 8, 4))],
)
@pytest.mark.parametrize("depth", [18, 34, 50])
def test_stages_have_the_channels_and_resolution_of_the_paper(depth, stem, side, stages):
    layers = outputs(ResNet(depth, stem), jnp.zeros((2, side, side, 3)))
    assert layers["stem_conv"].shape == (2, *(2 * [{"imagenet": 112, "strided": 16, "cifar": 32}[stem]]), 64)
    blocks = (2, 2, 2, 2) if depth == 18 else (3, 4, 6, 3)
    for stage, (num, resolution) in enumerate(zip(blocks, stages, strict=True)):
        channels = 64 * 2**stage * (4 if depth == 50 else 1)
        for block in range(num):
            assert layers[f"stage{stage + 1}_block{block + 1}"].shape == (2, resolution, resolution, channels)
    assert f"stage1_block{blocks[0] + 1}" not in layers
    assert layers[""].shape == (2, 2048 if depth == 50 else 512)


@pytest.mark.parametrize("depth", [18, 50])
def test_a_last_convolution_sets_the_number_of_features(depth):
    x = jnp.zeros((2, 16, 16, 3))
    plain, wide = (ResNet(depth, "cifar", 1 / 16, feature_dim=n) for n in (0, 100))
    layers = outputs(wide, x)
    inside = 2048 // 16 if depth == 50 else 512 // 16
    assert layers["stage4_block2"].shape == (2, 2, 2, inside)
    assert layers["last_conv"].shape == (2, 2, 2, 100)
    assert layers[""].shape == (2, 100)
    counts = [
        sum(leaf.size for leaf in jax.tree.leaves(shapes_of(partial(net.init, train=False), x)["params"]))
        for net in (plain, wide)
    ]
    assert counts[1] - counts[0] == inside * 100 + 2 * 100


def test_the_3_by_3_convolution_of_a_bottleneck_halves_the_resolution():
    layers = outputs(ResNet(50, "imagenet"), jnp.zeros((1, 224, 224, 3)))
    assert [layers[f"stage2_block1/conv{i}"].shape[1] for i in (1, 2, 3)] == [56, 28, 28]
    assert layers["stage2_block1/conv2"].shape[-1] == 128
    assert "stage1_block1/shortcut_conv" in layers  # of the same resolution, with more channels
    assert "stage1_block2/shortcut_conv" not in layers


def test_a_strided_convolution_is_centred_on_every_other_pixel():
    net = ResNet(18, "imagenet", width_multiplier=1 / 16)
    x = lopsided_images(2, side=16)
    variables = filled(shapes_of(partial(net.init, train=False), x))
    stem, later = variables["params"]["stem_conv"], variables["params"]["stage2_block1"]["conv1"]
    for conv in (stem, later):  # put out their first input channel as it is
        middle = conv["kernel"].shape[0] // 2
        conv["kernel"] = jnp.zeros_like(conv["kernel"]).at[middle, middle, 0].set(1.0)
    layers = outputs(net, x, variables=variables)
    before = layers["stage1_block2"]
    np.testing.assert_allclose(layers["stem_conv"][..., 0], x[:, ::2, ::2, 0], rtol=1e-6)
    np.testing.assert_allclose(layers["stage2_block1/conv1"][..., 0], before[:, ::2, ::2, 0], rtol=1e-6)
    assert before.shape[1:3] == (4, 4)


@pytest.mark.parametrize("depth", [18, 50])
def test_every_block_begins_as_its_shortcut(depth):
    net = ResNet(depth, "cifar", width_multiplier=1 / 16)
    x = lopsided_images(3)
    variables = jax.jit(partial(net.init, train=False))(KEY, x)
    layers = outputs(net, x, train=True, variables=variables)
    before = jax.nn.relu(layers["stem_norm"])
    for stage, num in enumerate({18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}[depth], start=1):
        for block in range(1, num + 1):
            name = f"stage{stage}_block{block}"
            projected = layers.get(f"{name}/shortcut_norm")
            assert np.abs(layers[f"{name}/norm1"]).max() > 0.1  # the residual is there and is not used yet
            shortcut = before if projected is None else jax.nn.relu(projected)
            np.testing.assert_allclose(layers[name], shortcut, rtol=1e-5, atol=1e-5)
            before = layers[name]
    assert np.ptp(layers[""]) > 0.1


def test_kernels_begin_with_the_variance_that_relu_keeps():
    net = ResNet(18, "cifar", width_multiplier=1 / 4)
    init = jax.jit(lambda: net.init(KEY, jnp.zeros((1, 8, 8, 3)), False)["params"]["stage4_block2"]["conv2"]["kernel"])
    kernel = init()
    assert kernel.shape == (3, 3, 128, 128)
    assert float(jnp.std(kernel)) == pytest.approx(np.sqrt(2 / (9 * 128)), rel=0.02)  # 147,456 draws


def test_patches_in_bfloat16_are_near_float32_in_inference():
    exact, short = (ResNet(18, "cifar", 1 / 16, dtype, patches=True) for dtype in ("float32", "bfloat16"))
    x = jax.random.uniform(KEY, (4, 16, 16, 3))
    variables = jax.jit(exact.init, static_argnums=2)(KEY, x, False)
    theirs, ours = (jax.jit(partial(net.apply, train=False))(variables, x) for net in (exact, short))
    np.testing.assert_allclose(ours, theirs, rtol=0.05, atol=0.02)


@pytest.mark.parametrize("stem", ["imagenet", "strided", "cifar"])
def test_patches_give_the_same_features(stem):
    native, patches = (ResNet(18, stem, width_multiplier=1 / 16, patches=p) for p in (False, True))
    x = lopsided_images(2, side=19)
    variables = filled(shapes_of(partial(native.init, train=False), x))
    ours, theirs = (jax.jit(partial(net.apply, train=False))(variables, x) for net in (patches, native))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"depth": 20}, "depth=20 .* expected one of 18, 34, 50"),
        ({"depth": 18, "stem": "mnist"}, "stem='mnist' .* expected one of 'imagenet', 'strided', 'cifar'"),
        ({"depth": 18, "dtype": "float16"}, "dtype='float16' .* expected one of 'float32', 'bfloat16'"),
        ({"depth": 18, "width_multiplier": 1 / 128}, "turns 64 channels into 0.5;"),
        ({"depth": 18, "width_multiplier": 0.3}, "turns 64 channels into 19.2;"),
        ({"depth": 18, "width_multiplier": -1}, "turns 64 channels into -64;"),
    ],
)
def test_a_network_that_does_not_exist_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        ResNet(**options)


def test_the_table_of_encoders_builds_each_depth():
    for depth in (18, 34, 50):
        encoder = build(ENCODERS[f"resnet{depth}"](stem="cifar", width_multiplier=1 / 16), HEAD)
        x = jnp.zeros((2, 16, 16, 3))
        params, stats = shapes_of(encoder.init, x)
        assert sum("block" in name for name in params["backbone"]) == {18: 8, 34: 16, 50: 16}[depth]
        (features, codes), new = jax.eval_shape(partial(encoder.apply, train=True), params, stats, x)
        assert (features.shape, codes.shape) == ((2, 128 if depth == 50 else 32), (2, 4))
        assert jax.tree.structure(new) == jax.tree.structure(stats)
