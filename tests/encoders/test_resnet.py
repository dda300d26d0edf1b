"""Residual networks: their shapes, how they begin, and batch norm that does not know how many devices there are."""

from contextlib import contextmanager
from functools import partial
from itertools import pairwise

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import AxisType, PartitionSpec

from mi_coding.encoders import ENCODERS, ConvNet, HeadOptions, ProjectionHead, ResNet18, build, resnet
from mi_coding.encoders.batch_norm import batch_norm
from mi_coding.encoders.resnet import ResNet
from mi_coding.methods import Parts
from mi_coding.methods.cpc import CPC
from mi_coding.objectives.gradient import mean_gradient
from mi_coding.pairs import PairSampler
from mi_coding.training import optimizers
from mi_coding.training.devices import AXIS, data_parallel
from mi_coding.training.experiment import Experiment
from mi_coding.training.step import init_state, make_step

KEY = jax.random.key(0, impl="rbg")  # whose draws compile ten times faster than threefry's on CPU
TINY = ResNet18(stem="cifar", width_multiplier=1 / 16)
HEAD = ProjectionHead(width=8, code_dim=4)
WAYS = ("shard_map", "shard_map unchecked", "pmap")


def shapes_of(init, *arguments):
    return jax.eval_shape(init, KEY, *arguments)


def filled(shapes, seed=0):
    """Numbers near the usual ones, but no scale zero, no bias zero and no two channels alike."""
    rng = np.random.default_rng(seed)

    def fill(path, leaf):
        name = path[-1].key
        if name == "kernel":
            values = rng.normal(size=leaf.shape) * np.sqrt(2 / np.prod(leaf.shape[:-1]))
        else:
            values = rng.uniform(0.5, 1.5, leaf.shape) - (name in ("bias", "mean"))
        return jnp.asarray(values, leaf.dtype)

    return jax.tree_util.tree_map_with_path(fill, shapes)


def lopsided_images(num, side=8, seed=0):
    """Every image has its own mean and contrast, so that a device's statistics are far from the batch's."""
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(num, side, side, 3)) * np.linspace(0.3, 2, num)[:, None, None, None]
    return jnp.asarray(images + np.linspace(-2, 3, num)[:, None, None, None], jnp.float32)


def on_eight_devices(how, fn):
    """fn(replicated, shard) → tree, run on eight devices: (replicated, batch) → tree with a row for each device.

    It waits for the end: whatever runs beside eight virtual devices takes threads that their exchanges wait for.
    """
    if how == "pmap":
        mapped = jax.pmap(fn, axis_name=AXIS, in_axes=(None, 0))
        return lambda tree, batch: jax.block_until_ready(mapped(tree, batch.reshape(8, -1, *batch.shape[1:])))
    mesh = jax.make_mesh((8,), (AXIS,), axis_types=(AxisType.Auto,))
    mapped = jax.jit(
        jax.shard_map(
            lambda tree, shard: jax.tree.map(lambda leaf: leaf[None], fn(tree, shard)),
            mesh=mesh,
            in_specs=(PartitionSpec(), PartitionSpec(AXIS)),
            out_specs=PartitionSpec(AXIS),
            check_vma=how == "shard_map",
        )
    )
    return lambda tree, batch: jax.block_until_ready(mapped(tree, batch))


def the_same_everywhere(tree):
    """The tree of one device, once it is certain that all devices hold the very same bits."""
    jax.tree.map(lambda leaf: np.testing.assert_array_equal(leaf, np.broadcast_to(leaf[:1], leaf.shape)), tree)
    return jax.tree.map(lambda leaf: leaf[0], tree)


# The networks


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


def outputs(net, x, *, train=False, variables=None):
    """The output of every layer by its path, and that of the network under ""; shapes alone without variables."""

    captured = {"capture_intermediates": True, "mutable": True}
    if variables is None:
        tree = shapes_of(partial(net.init_with_output, train=train, **captured), x)[1]["intermediates"]
    else:
        tree = jax.jit(lambda variables: net.apply(variables, x, train, **captured)[1]["intermediates"])(variables)
    return {
        "/".join(key.key for key in path[:-2]): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }  # the last two keys are __call__ and a position


@pytest.mark.parametrize(
    ("stem", "side", "stages"), [("imagenet", 224, (56, 28, 14, 7)), ("cifar", 32, (32, 16, 8, 4))]
)
@pytest.mark.parametrize("depth", [18, 34, 50])
def test_stages_have_the_channels_and_resolution_of_the_paper(depth, stem, side, stages):
    layers = outputs(ResNet(depth, stem), jnp.zeros((2, side, side, 3)))
    assert layers["stem_conv"].shape == (2, *(2 * [112 if stem == "imagenet" else 32]), 64)
    blocks = (2, 2, 2, 2) if depth == 18 else (3, 4, 6, 3)
    for stage, (num, resolution) in enumerate(zip(blocks, stages, strict=True)):
        channels = 64 * 2**stage * (4 if depth == 50 else 1)
        for block in range(num):
            assert layers[f"stage{stage + 1}_block{block + 1}"].shape == (2, resolution, resolution, channels)
    assert f"stage1_block{blocks[0] + 1}" not in layers
    assert layers[""].shape == (2, 2048 if depth == 50 else 512)


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


@pytest.mark.parametrize("stem", ["imagenet", "cifar"])
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
        ({"depth": 18, "stem": "mnist"}, "stem='mnist' .* expected one of 'imagenet', 'cifar'"),
        ({"depth": 18, "dtype": "float16"}, "dtype='float16' .* expected one of 'float32', 'bfloat16'"),
        ({"depth": 18, "width_multiplier": 1 / 128}, "0.5 channels"),
        ({"depth": 18, "width_multiplier": 0.3}, "19.2 channels"),
        ({"depth": 18, "width_multiplier": -1}, "-64 channels"),
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


# Batch norm


def batch_norm_by_hand(x, scale, bias, weights, old):
    """Output, gradients of Σ weights · output, and running statistics, in float64."""
    x, scale, bias, weights = (np.asarray(a, np.float64) for a in (x, scale, bias, weights))
    places = (0, 1, 2)
    mean, var = x.mean(places), ((x - x.mean(places)) ** 2).mean(places)
    normal = (x - mean) / np.sqrt(var + 1e-5)
    through = weights - weights.mean(places) - normal * (weights * normal).mean(places)
    gradients = {"bias": weights.sum(places), "scale": (weights * normal).sum(places)}
    running = {"mean": 0.9 * old["mean"] + 0.1 * mean, "var": 0.9 * old["var"] + 0.1 * var}
    return scale * normal + bias, gradients, scale * through / np.sqrt(var + 1e-5), running


@pytest.mark.parametrize("how", ["alone", *WAYS])
def test_batch_norm_is_the_formula_over_the_global_batch(how):
    x, weights = lopsided_images(16, side=3), lopsided_images(16, side=3, seed=1)
    params = {"scale": jnp.array([0.5, 1.0, 2.0]), "bias": jnp.array([-1.0, 0.0, 3.0])}
    old = {"mean": jnp.array([1.0, 2.0, 3.0]), "var": jnp.array([0.1, 1.0, 5.0])}
    axis_name = None if how == "alone" else AXIS

    def weighted(params, x, weights):
        variables = {"params": params, "batch_stats": old}
        y, new = batch_norm(True, axis_name).apply(variables, x, mutable=["batch_stats"])
        return jnp.sum(y * weights), (y, new["batch_stats"])

    def everything(params, both):
        x, weights = both[:, 0], both[:, 1]
        # Gradients as everywhere in training/: of the mean over devices for parameters, of one's own share for x.
        if how == "alone":
            (_, aux), gradients = jax.value_and_grad(weighted, has_aux=True)(params, x, weights)
        else:

            def mean(params):
                loss, aux = weighted(params, x, weights)
                return lax.pmean(loss, AXIS), aux

            (_, aux), gradients = mean_gradient(mean, AXIS)(params)
            gradients = jax.tree.map(lambda g: 8 * g, gradients)
        return aux, gradients, jax.grad(lambda x: weighted(params, x, weights)[0])(x)

    both = jnp.stack([x, weights], axis=1)
    if how == "alone":
        (y, running), gradients, gradient_x = jax.jit(everything)(params, both)
    else:
        (y, running), gradients, gradient_x = on_eight_devices(how, everything)(params, both)
        running, gradients = the_same_everywhere((running, gradients))
        y, gradient_x = y.reshape(x.shape), gradient_x.reshape(x.shape)
    expected = batch_norm_by_hand(x, params["scale"], params["bias"], weights, old)
    chex.assert_trees_all_close((y, gradients, gradient_x, running), expected, rtol=1e-4, atol=1e-4)
    far = np.abs(np.asarray(x[:2]).mean((0, 1, 2)) - np.asarray(x).mean((0, 1, 2))).min()
    assert far > 1  # one device's own statistics would not have passed


def test_inference_uses_the_running_statistics_and_needs_no_axis():
    encoder = build(TINY, HEAD.clone(batch_norm=True))
    x = lopsided_images(5)
    params, stats = filled(shapes_of(encoder.init, x))
    infer = jax.jit(lambda x, stats=stats: encoder.apply(params, stats, x, False, AXIS))
    (features, codes), same_stats = infer(x)
    chex.assert_trees_all_equal(same_stats, stats)
    (others, other_codes), _ = infer(jnp.concatenate([x[3:], 9 * x[:3] - 5]))  # two of them in quite another batch
    chex.assert_trees_all_close((others[:2], other_codes[:2]), (features[3:], codes[3:]), rtol=1e-4, atol=1e-5)
    (other_features, _), _ = infer(x, jax.tree.map(lambda leaf: leaf + 1, stats))
    assert not np.allclose(other_features, features, rtol=0.1)


@contextmanager
def one_block_a_stage():
    """The 18 layers are ten, with each kind of block and of norm: what is compiled for eight devices is half."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(resnet._STAGES, 18, (resnet._STAGES[18][0], (1, 1, 1, 1)))
        yield


@pytest.fixture(scope="module")
def of_one_device():
    """A network with every kind of norm, its batch, and what one device makes of it."""
    encoder = build(TINY, HEAD.clone(layers=3, batch_norm=True))
    x = lopsided_images(16)
    with one_block_a_stage():
        params, stats = filled(shapes_of(encoder.init, x))
    weights = jnp.asarray(np.random.default_rng(2).normal(size=(16, 4)), jnp.float32)

    def loss(params, x, weights, axis_name):
        (features, codes), new = encoder.apply(params, stats, x, True, axis_name)
        # Not additive in the examples' codes, but its mean over devices is the mean over the batch.
        return jnp.mean(jnp.sin(codes) * weights), (features, codes, new)

    with one_block_a_stage():
        alone = jax.jit(jax.value_and_grad(partial(loss, axis_name=None), has_aux=True))(params, x, weights)
    return params, x, weights, loss, alone


@pytest.mark.parametrize("how", WAYS)
def test_eight_devices_give_the_features_statistics_and_gradients_of_one(of_one_device, how):
    params, x, weights, loss, ((_, (features, codes, stats)), gradients) = of_one_device

    def everything(params, shard):
        mine = lax.dynamic_slice_in_dim(weights, lax.axis_index(AXIS) * 2, 2)

        def global_loss(params):
            value, aux = loss(params, shard, mine, AXIS)
            return lax.pmean(value, AXIS), aux

        (_, aux), gradients = mean_gradient(global_loss, AXIS)(params)
        return aux, gradients

    with one_block_a_stage():
        (z, c, new), ours = on_eight_devices(how, everything)(params, x)
    new, ours = the_same_everywhere((new, ours))
    chex.assert_trees_all_close(z.reshape(features.shape), features, rtol=1e-3, atol=1e-4)
    chex.assert_trees_all_close(c.reshape(codes.shape), codes, rtol=1e-3, atol=1e-4)
    chex.assert_trees_all_close(new, stats, rtol=1e-4, atol=1e-4)
    scale = max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(gradients))
    chex.assert_trees_all_close(ours, gradients, rtol=2e-3, atol=1e-4 * scale)


# Numbers in half the memory


def test_bfloat16_computes_close_to_float32_with_float32_parameters_statistics_and_outputs():
    x = lopsided_images(6)
    full, half = (build(TINY.clone(dtype=d), HEAD) for d in ("float32", "bfloat16"))
    params, stats = filled(shapes_of(half.init, x))
    results = [jax.jit(partial(e.apply, train=True))(params, stats, x) for e in (full, half)]
    chex.assert_trees_all_equal_dtypes(params, jax.tree.map(lambda leaf: leaf.astype(jnp.float32), params))
    chex.assert_trees_all_equal_dtypes(*results)
    (features, codes), new = results[0]
    assert {leaf.dtype for leaf in jax.tree.leaves((features, codes, new))} == {jnp.dtype("float32")}
    for ours, theirs in zip(results[1][0], results[0][0], strict=True):
        error = np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)
        assert (
            1e-5 < error < 0.1
        )  # some forty roundings of up to 2⁻⁸, which norms over few channels amplify; and not none
    chex.assert_trees_all_close(results[1][1], new, rtol=0.05, atol=0.02)


def test_statistics_of_bfloat16_inputs_are_taken_in_float32():
    x = lopsided_images(64).astype(jnp.bfloat16)
    norm = batch_norm(True, None, dtype="bfloat16")
    variables = shapes_of(norm.init, x)
    start = {"mean": jnp.zeros(3), "var": jnp.zeros(3)}
    run = jax.jit(lambda params: norm.apply({"params": params, "batch_stats": start}, x, mutable=["batch_stats"]))
    y, new = run(filled(variables["params"]))
    exact = np.asarray(x, np.float64)
    expected = {"mean": 0.1 * exact.mean((0, 1, 2)), "var": 0.1 * exact.var((0, 1, 2))}
    chex.assert_trees_all_close(new["batch_stats"], expected, rtol=1e-4)
    assert y.dtype == jnp.bfloat16


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_convolutions_and_norms_put_out_the_stated_dtype(dtype):
    layers = outputs(ResNet(50, "cifar", width_multiplier=1 / 16, dtype=dtype), jnp.zeros((2, 8, 8, 3)))
    features = layers.pop("")
    assert features.dtype == jnp.float32
    assert {leaf.dtype for leaf in layers.values()} == {jnp.dtype(dtype)}


def test_the_small_network_computes_in_bfloat16_too():
    net, x = ConvNet(widths=(8, 8), feature_dim=16), lopsided_images(4)
    full, half = (build(net.clone(dtype=d), HEAD) for d in ("float32", "bfloat16"))
    params, stats = filled(shapes_of(half.init, x))
    assert stats == {}
    theirs, ours = (jax.jit(partial(e.apply, train=True))(params, stats, x)[0] for e in (full, half))
    assert {leaf.dtype for leaf in jax.tree.leaves((theirs, ours, params))} == {jnp.dtype("float32")}
    chex.assert_trees_all_close(ours, theirs, rtol=0.05, atol=0.05)
    assert not np.array_equal(ours[0], theirs[0])


# Heads


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_head_is_dense_layers_with_relu_between_them(layers):
    head = ProjectionHead(width=6, code_dim=3, layers=layers)
    x = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    variables = filled(shapes_of(partial(head.init, train=False), x))
    kernels = [variables["params"][f"Dense_{i}"] for i in range(layers)]
    widths = [7, *[6] * (layers - 1), 3]
    assert [k["kernel"].shape for k in kernels] == list(pairwise(widths))
    assert len(variables["params"]) == layers
    expected = np.float64(x)
    for number, k in enumerate(kernels):
        expected = np.maximum(expected, 0) if number else expected
        expected = expected @ np.float64(k["kernel"]) + np.float64(k["bias"])
    np.testing.assert_allclose(head.apply(variables, x, True), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_head_normalises_its_hidden_layers_and_never_the_code(layers):
    head = ProjectionHead(width=6, code_dim=3, layers=layers, batch_norm=True)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(50, 7)), jnp.float32)
    variables = shapes_of(partial(head.init, train=False), x)
    assert len(variables.get("batch_stats", {})) == layers - 1
    biases = ["bias" in variables["params"][f"Dense_{i}"] for i in range(layers)]
    assert biases == [False] * (layers - 1) + [True]
    codes, _ = jax.jit(lambda v: head.apply(v, x, True, mutable=["batch_stats"]))(filled(variables))
    moved, _ = jax.jit(lambda v: head.apply(v, 7 * x, True, mutable=["batch_stats"]))(filled(variables))
    assert np.allclose(codes, moved, atol=1e-3) == (layers > 1)  # a norm forgets the contrast of its input


@pytest.mark.parametrize("layers", [0, 4])
def test_a_head_of_no_layers_or_too_many_is_refused(layers):
    with pytest.raises(ValueError, match=f"head of {layers} layers is unknown; expected 1 to 3"):
        ProjectionHead(width=8, code_dim=4, layers=layers)


# Training


class Filled(CPC):
    """CPC whose parameters are `filled`."""

    def init(self, key, x, y):
        return filled(jax.eval_shape(super().init, key, x, y))


def train(encoder, images, *, how, devices, microbatch_size=0, head=HeadOptions(width=8), steps=2):  # noqa: B008
    """State and last metrics of a few steps; a pair is an image and its mirror image."""

    def sample_pairs(key, data, rows):
        del key
        return data[rows], data[rows, :, ::-1]

    method = Filled(
        parts=Parts(encoder, PairSampler(), 16, 1, 100, images.shape[1:], 0),
        head=head,
        temperature=0.5,
        symmetric=False,
        code_dim=4,
        critic_name="bilinear",
        microbatch_size=microbatch_size,
    )
    optimizer = optimizers.build(
        "sgd",
        learning_rate=0.02,
        warmup_steps=0,
        num_steps=100,
        weight_decay=1e-3,
        momentum=0.9,
        gradient_clip=1.0,
    )
    experiment = Experiment(sample_pairs, method.init, method.loss, optimizer, 16)
    way = data_parallel(how, jax.local_devices()[:devices])
    step = way.parallel(make_step(experiment, jax.random.key(0), devices))
    state, data = way.replicate(init_state(experiment, jax.random.key(0), images)), way.replicate(images)
    for _ in range(steps):
        state, metrics = step(state, data)
    return jax.device_get((way.fetch(state), way.fetch(metrics)))


@pytest.fixture(scope="module")
def trained_alone():
    with one_block_a_stage():
        return train(TINY, lopsided_images(16), how="shard_map", devices=1)


@pytest.mark.parametrize("how", ["shard_map", "pmap"])
def test_eight_devices_train_the_network_of_one(trained_alone, how):
    with one_block_a_stage():
        eight = train(TINY, lopsided_images(16), how=how, devices=8)
        begun = filled(shapes_of(build(TINY, HEAD).init, lopsided_images(1)))
    np.testing.assert_allclose(eight[1]["loss"], trained_alone[1]["loss"], rtol=1e-5)
    ours, theirs = ((state.params["encoder"], state.stats) for state, _ in (eight, trained_alone))
    error = jax.tree.map(lambda a, b, old: np.linalg.norm(a - b) / np.linalg.norm(b - old), ours, theirs, begun)
    assert (
        np.max(jax.tree.leaves(error)) < 5e-3
    )  # of how far two steps moved each array; 2e-4 here, NaN if it stood still


@pytest.mark.parametrize("how", ["shard_map", "pmap"])
def test_a_chunk_is_normalised_over_all_devices(how):
    encoder, head = ConvNet(widths=(4,), feature_dim=8), HeadOptions(layers=3, width=8, batch_norm=True)
    images = lopsided_images(16)
    # Chunk c of eight devices is pair c of every device's two; one device meets the same pairs in this order.
    reordered = images.reshape(8, 2, *images.shape[1:]).swapaxes(0, 1).reshape(images.shape)
    eight = train(encoder, images, how=how, devices=8, microbatch_size=1, head=head)
    alone = train(encoder, reordered, how="shard_map", devices=1, microbatch_size=8, head=head)
    chex.assert_trees_all_close(eight, alone, rtol=1e-3, atol=1e-5)
