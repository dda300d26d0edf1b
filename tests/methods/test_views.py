"""More than two views, and small ones: how they lie in a batch, the loss over their pairs, its N, and who refuses."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P
from small_experiment import make_experiment

import mi_coding
from mi_coding.encoders import ConvNet
from mi_coding.encoders.resnet9 import ResNet9
from mi_coding.errors import InputError
from mi_coding.methods import METHODS
from mi_coding.pairs import PAIRS

AXIS, VIEWS, BATCH, SIDE = "devices", 4, 8, 6
PAIRS_OF_VIEWS = PAIRS["augmentations"](preset="gray28", size=SIDE, num_views=VIEWS)


SMALL, SMALL_SIDE = 2, 4
SMALL_CROPS = {"num_small": SMALL, "small_size": SMALL_SIDE, "small_areas": (0.2, 0.5)}
WITH_SMALL = PAIRS["augmentations"](preset="gray28", size=SIDE, **SMALL_CROPS)


def made(name, devices=1, pairs=PAIRS_OF_VIEWS, **options):
    parts = make_experiment()[1].parts._replace(
        encoder=ConvNet(widths=(4,), feature_dim=6), pairs=pairs, batch_size=BATCH, num_devices=devices
    )
    return METHODS[name](name, parts, code_dim=3, **options)


def drawn(pairs, key, images, rows=range(BATCH)):
    """x and y of some rows of a batch; as one program, which compiles in a fifth of the time of one for each step."""
    return jax.jit(partial(pairs.training_batch, batch_size=BATCH))(key, images, jnp.asarray(rows))


def streamed(pairs, key, examples, rows, **options):
    """The halves of examples that a stream has read, compiled as one program."""
    return jax.jit(partial(pairs.streamed_batch, **options))(key, examples, rows)


@pytest.fixture
def batch(key, images):
    """x and y of a batch on one device."""
    return drawn(PAIRS_OF_VIEWS, key, images)


def test_the_views_of_an_example_lie_a_batch_apart_and_all_differ(key):
    constant = jnp.broadcast_to(jnp.linspace(0.1, 1, 6)[:, None, None, None], (6, 8, 8, 1))
    pairs = PAIRS["augmentations"](preset="gray28", size=8, num_views=VIEWS, mask=0.0, jitter=0.0)
    labels = jnp.arange(6)
    halves = streamed(pairs, key, (constant, labels), jnp.arange(6), with_labels=True)
    for views, of_views in halves:
        assert views.shape == (2 * 6, 8, 8, 1)
        np.testing.assert_array_equal(of_views, [*labels, *labels])
        np.testing.assert_allclose(views[:, 4, 4, 0], np.tile(constant[:, 0, 0, 0], 2), rtol=1e-5)
    image = jnp.asarray(np.random.default_rng(0).random((1, 8, 8, 1)), jnp.float32)
    views = jnp.concatenate(streamed(pairs, key, image, jnp.arange(1)))
    assert len({bytes(np.asarray(view).tobytes()) for view in views}) == VIEWS


def test_a_view_is_the_same_whichever_device_draws_it(key, images):
    whole, part = drawn(PAIRS_OF_VIEWS, key, images), drawn(PAIRS_OF_VIEWS, key, images, range(2, 4))
    for all_of_them, some in zip(whole, part, strict=True):
        np.testing.assert_array_equal(
            all_of_them.reshape(2, BATCH, SIDE, SIDE, 1)[:, 2:4].reshape(-1, SIDE, SIDE, 1), some
        )


@pytest.mark.parametrize("name", ["cpc", "nt_xent"])
def test_loss_and_bound_are_means_over_all_pairs_of_views(name, key, batch):
    method = made(name, temperature=0.5)
    params, stats = jax.jit(method.init)(key, *batch)
    loss, (metrics, _) = jax.jit(lambda: method.loss(params, stats, key, *batch, None))()
    codes = method.encoder.apply(params["encoder"], stats, jnp.concatenate(batch), True)[0][1]
    codes = codes.reshape(VIEWS, BATCH, 3)
    function = {"cpc": partial(mi_coding.cpc, normalize=True, symmetric=True), "nt_xent": mi_coding.nt_xent}[name]
    found = [function(codes[v], codes[w], temperature=0.5) for v in range(VIEWS) for w in range(v + 1, VIEWS)]
    assert float(loss) == pytest.approx(np.mean([out.loss for out in found]), rel=1e-5)
    count = BATCH if name == "cpc" else 2 * BATCH - 1
    assert method.num_candidates == found[0].num_candidates == count
    assert float(metrics["mi_lower_bound"]) == pytest.approx(np.log(count) - float(loss), abs=1e-5)


def test_small_views_show_less_of_the_same_examples(key):
    row = jnp.broadcast_to(jnp.linspace(0, 1, 8)[None, :, None], (8, 8, 1))
    examples = jnp.stack([row + 2 * number for number in range(3)]) / 5
    plain = {"mask": 0.0, "jitter": 0.0, "flip": 0.0}
    pairs = PAIRS["augmentations"](preset="gray28", min_area=1.0, num_small=4, small_size=3, **plain)
    (x, labels), (y, _) = streamed(pairs, key, (examples, jnp.arange(3)), jnp.arange(3), with_labels=True)
    assert x.large.shape == y.shape == (3, 8, 8, 1)
    np.testing.assert_allclose(x.large, examples, atol=1e-6)
    np.testing.assert_array_equal(labels, [0, 1, 2])
    assert x.small.shape == (4 * 3, 3, 3, 1)
    small = np.asarray(x.small).reshape(4, 3, -1)
    np.testing.assert_array_equal((5 * small.mean(-1)) // 2, np.tile([0, 1, 2], (4, 1)))
    assert 5 * np.ptp(small, axis=-1).max() < 0.9  # at most 0.3 of the area
    assert len({view.tobytes() for view in small[:, 0]}) == 4


@pytest.mark.parametrize("name", ["cpc", "nt_xent"])
def test_small_views_are_pairs_with_the_others_and_not_with_one_another(name, key, images):
    x, y = drawn(WITH_SMALL, key, images)
    method = made(name, pairs=WITH_SMALL, temperature=0.5)
    params, stats = jax.jit(method.init)(key, x, y)
    loss, (metrics, _) = jax.jit(lambda: method.loss(params, stats, key, x, y, None))()
    encode = partial(method.encoder.apply, params["encoder"], stats, train=True)
    of_two, small = encode(jnp.concatenate([x.large, y]))[0][1].reshape(2, BATCH, 3), encode(x.small)[0][1]
    small = small.reshape(SMALL, BATCH, 3)
    function = {"cpc": partial(mi_coding.cpc, normalize=True, symmetric=True), "nt_xent": mi_coding.nt_xent}[name]
    first = function(*of_two, temperature=0.5)
    others = [function(view, crop, temperature=0.5) for view in of_two for crop in small]
    assert float(loss) == pytest.approx(np.mean([first.loss, *(out.loss for out in others)]), rel=1e-5)
    assert float(metrics["mi_lower_bound"]) == pytest.approx(float(first.mi_lower_bound), abs=1e-5)
    bound_of_small = np.mean([out.mi_lower_bound for out in others])
    assert float(metrics["mi_lower_bound_small"]) == pytest.approx(float(bound_of_small), abs=1e-5)
    assert method.num_candidates == first.num_candidates == others[0].num_candidates


def test_running_statistics_are_those_of_the_large_views(key, images):
    pairs = PAIRS["augmentations"](preset="gray28", size=16, num_small=SMALL, small_size=8)
    large = jnp.repeat(jnp.repeat(images, 4, axis=1), 4, axis=2)
    x, y = drawn(pairs, key, large)
    parts = made("cpc").parts._replace(encoder=ResNet9(width_multiplier=1 / 16), pairs=pairs)
    method = METHODS["cpc"]("cpc", parts, code_dim=3)
    params, stats = jax.jit(method.init)(key, x, y)
    moved = jax.jit(lambda x, y: method.loss(params, stats, key, x, y, None)[1][1])(x, y)
    encode = jax.jit(lambda images: method.encoder.apply(params["encoder"], stats, images, True))
    alone = encode(jnp.concatenate([x.large, y]))[1]
    jax.tree.map(lambda ours, theirs: np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6), moved, alone)


@pytest.mark.parametrize("pairs", [PAIRS_OF_VIEWS, WITH_SMALL], ids=["views", "small"])
def test_four_devices_have_the_loss_of_one(key, images, pairs):
    method, alone = made("cpc", devices=4, pairs=pairs), made("cpc", pairs=pairs)
    draw = partial(pairs.training_batch, key, images, batch_size=BATCH)
    x, y = drawn(pairs, key, images)
    params, stats = jax.jit(alone.init)(key, x, y)
    mesh = jax.make_mesh((4,), (AXIS,), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:4])

    def run(params, rows):
        return method.loss(params, stats, key, *draw(rows), AXIS)[0]

    loss = jax.jit(jax.shard_map(run, mesh=mesh, in_specs=(P(), P(AXIS)), out_specs=P()))(params, jnp.arange(BATCH))
    loss_of_one = jax.jit(lambda x, y: alone.loss(params, stats, key, x, y, None)[0])(x, y)
    assert float(loss) == pytest.approx(float(loss_of_one), rel=1e-5)


def test_views_that_cannot_be_are_refused():
    with pytest.raises(InputError, match=r"pairs.views=3 is odd; expected 2 or 4"):
        PAIRS["augmentations"](num_views=3)
    for name in ("nnclr", "cotraining"):
        with pytest.raises(InputError, match=rf"pairs.views=4; objective '{name}' takes two views, expected 2"):
            METHODS[name](name).check(PAIRS_OF_VIEWS, ConvNet(), BATCH, 1)
        with pytest.raises(InputError, match=rf"pairs.small_views=2; objective '{name}' takes two views, expected 0"):
            METHODS[name](name).check(WITH_SMALL, ConvNet(), BATCH, 1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_small": 3}, "small_views=3 is odd; expected 2 or 4"),
        ({"num_small": 2}, "small_views=2 needs their size in pixels, .*, in config.pairs.small_size"),
        (SMALL_CROPS | {"small_areas": (0.3,)}, r"small_areas=\(0.3,\); expected the smallest and the largest"),
        (SMALL_CROPS | {"small_areas": (0.3, 0.2)}, r"area = \(0.3, 0.2\); expected \(lowest, highest\)"),
        (SMALL_CROPS | {"small_areas": (0.0, 0.2)}, r"small_areas=\(0.0, 0.2\); expected numbers > 0"),
        (SMALL_CROPS | {"preset": "custom", "steps": ({"name": "rotation"},)}, "small_views=2 goes with a preset"),
    ],
)
def test_small_views_that_cannot_be_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        PAIRS["augmentations"](**options)


def test_small_views_must_fit_images_and_microbatches():
    with pytest.raises(InputError, match=r"pairs.small_size=4 is larger than images of 3 pixels; expected at most 3"):
        PAIRS["augmentations"](preset="gray28", **SMALL_CROPS).check_examples("digits", [(3, 3, 1)], None)
    with pytest.raises(InputError, match=r"microbatch_size=4 is for views of one size; expected 0 with .*small"):
        METHODS["cpc"]("cpc", microbatch_size=4).check(WITH_SMALL, ConvNet(), BATCH, 1)
