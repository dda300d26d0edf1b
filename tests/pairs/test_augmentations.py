"""What holds for every augmentation and every preset, and how they are put together."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from images import image, many, unit

from mi_coding.pairs import sample_pairs, views
from mi_coding.pairs.augmentations import (
    AUGMENTATIONS,
    PRESETS,
    as_float,
    augmented,
    chain,
    composition,
    one_of,
    sometimes,
)

INVERT = lambda key, image: 1 - image  # noqa: E731
SHAPES = [(15, 22, 3), (28, 28, 1)]


def preset(name, **options):
    return PRESETS[name](size=None, **options)


def bit(key, image):
    """Shows one random number of its key in every pixel."""
    return 0 * image + jax.random.uniform(key)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_an_augmentation_keeps_size_and_range_for_bytes_and_floats(name, shape):
    photo = image(*shape)
    photo[:3] = 255
    photo[3:6] = 0
    augmentation = AUGMENTATIONS[name]()
    from_bytes = many(augmentation, photo, 20)
    assert from_bytes.shape == (20, *shape)
    assert 0 <= from_bytes.min() <= from_bytes.max() <= 1
    np.testing.assert_allclose(many(augmentation, unit(photo).astype(np.float32), 20), from_bytes, atol=1e-6)
    half = jax.eval_shape(augmentation, jax.random.key(0), jnp.asarray(unit(photo), jnp.bfloat16))
    assert (half.shape, half.dtype) == (shape, jnp.float32)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_makes_pairs_of_any_size_and_of_one_or_three_channels(name, shape):
    photos = jnp.stack([jnp.asarray(image(*shape, seed=seed)) for seed in range(4)])
    sample = jax.jit(partial(sample_pairs, pairs=preset(name)))
    x, y = sample(jax.random.key(0), photos, jnp.arange(12))
    assert x.shape == y.shape == (12, *shape)
    assert x.dtype == y.dtype == jnp.float32
    for half in (x, y):
        assert 0 <= half.min() <= half.max() <= 1
    floats = sample(jax.random.key(0), photos.astype(jnp.float32) / 255, jnp.arange(12))
    np.testing.assert_allclose(floats, (x, y), atol=1e-6)


@pytest.mark.parametrize("name", PRESETS)
def test_both_halves_are_modified_independently(name):
    pair = jax.jit(jax.vmap(preset(name).pair, in_axes=(0, None)))
    x, y = pair(jax.random.split(jax.random.key(0), 400), jnp.asarray(image(16, 16)))
    difference = np.abs(np.asarray(x) - np.asarray(y)).max((1, 2, 3))
    assert (difference > 0.01).all()
    means = [np.asarray(half).mean((1, 2, 3)) for half in (x, y)]
    assert min(m.std() for m in means) > 0.01
    assert abs(np.corrcoef(*means)[0, 1]) < 5 / 400**0.5
    assert np.mean(means[0]) == pytest.approx(
        np.mean(means[1]), abs=5 * float(means[0].std()) / 200**0.5
    )  # one law for both


@pytest.mark.parametrize("name", PRESETS)
def test_both_halves_are_of_one_image(name):
    levels = np.linspace(0.1, 0.9, 9)
    flat = jnp.asarray(levels[:, None, None, None] * np.ones((1, 8, 8, 3)), jnp.float32)
    # A flat image without jitter and masks is itself, whatever is cropped, so its level is its tag.
    kind = preset(name, jitter=0.0, **({"mask": 0.0} if name == "gray28" else {}))
    x, y = jax.jit(partial(sample_pairs, pairs=kind))(jax.random.key(1), flat, jnp.arange(100))
    np.testing.assert_allclose(x, y, atol=1e-6)
    assert len(np.unique(np.asarray(x)[:, 0, 0, 0].round(4))) == 9


@pytest.mark.parametrize("name", PRESETS)
def test_a_pair_is_decided_by_its_key_and_row_whatever_batch_it_is_in(name):
    photos = jnp.stack([jnp.asarray(image(16, 16, seed=seed)) for seed in range(5)])
    sample = jax.jit(partial(sample_pairs, pairs=preset(name)))
    whole, again, other = (sample(jax.random.key(seed), photos, jnp.arange(16)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(whole, again)
    assert np.abs(np.asarray(whole) - np.asarray(other)).max() > 0.1
    for start in range(0, 16, 4):
        shard = sample(jax.random.key(3), photos, start + jnp.arange(4))
        # A product over a smaller batch may add in another order.
        np.testing.assert_allclose(shard, np.asarray(whole)[:, start : start + 4], atol=1e-6)


@pytest.mark.parametrize("name", PRESETS)
def test_probes_see_the_unmodified_image(name):
    photos = jnp.asarray(image(28, 30))[None]
    shown, small = (jax.jit(partial(views, pairs=PRESETS[name](size=s)))(jax.random.key(0), photos) for s in (None, 20))
    np.testing.assert_array_equal(shown[0], as_float(photos[0]))
    assert small.shape == (1, 20, 20, 3)
    assert float(small.mean()) == pytest.approx(unit(photos).mean(), abs=0.01)


def test_strength_and_probabilities_of_nothing_leave_only_the_crop():
    kind = PRESETS["simclr_imagenet"](size=None, flip=0.0, jitter=0.0, gray=0.0, blur=0.0, min_area=1.0)
    square = image(16, 16)
    pair = jax.jit(jax.vmap(kind.pair, in_axes=(0, None)))
    x, _ = pair(jax.random.split(jax.random.key(0), 50), jnp.asarray(square))
    # The whole area in another aspect never fits, so the only box is the whole image.
    np.testing.assert_allclose(x, unit(square)[None].repeat(50, 0), atol=1e-6)
    gray = jax.jit(PRESETS["simclr_cifar10"](jitter=0.0, gray=1.0).pair)(jax.random.key(0), jnp.asarray(square))[0]
    np.testing.assert_array_equal(gray[..., 0], gray[..., 2])


@pytest.mark.parametrize("p", [0.0, 0.25, 1.0])
def test_sometimes_happens_as_often_as_asked(p):
    happened = many(sometimes(p, INVERT), np.ones((1, 1, 1), np.float32), 2000) == 0
    assert happened.mean() == pytest.approx(p, abs=4 * (p * (1 - p) / 2000) ** 0.5)


def test_whether_it_happens_and_what_happens_are_independent():
    results = many(sometimes(0.5, bit), np.full((1, 1, 1), 2.0, np.float32), 4000).ravel()
    numbers = results[results < 2]
    assert numbers.mean() == pytest.approx(0.5, abs=4 * 12**-0.5 / len(numbers) ** 0.5)


def test_a_chain_keeps_its_order_and_gives_each_step_its_own_key():
    half = lambda key, image: image / 2  # noqa: E731
    one = jnp.ones((1, 1, 1))
    assert chain(half, INVERT)(jax.random.key(0), one).item() == 0.5
    assert chain(INVERT, half)(jax.random.key(0), one).item() == 0.0
    assert chain()(jax.random.key(0), one).item() == 1.0
    apart = lambda key, image: image - jax.random.uniform(key)  # noqa: E731
    assert (np.abs(many(chain(bit, apart), one, 100)) > 1e-4).all()


def test_one_of_chooses_each_equally_often():
    constants = [lambda key, image, c=c: 0 * image + c for c in (0.0, 0.5, 1.0)]
    drawn = many(one_of(*constants), np.ones((1, 1, 1), np.float32), 3000).ravel()
    counts = [np.sum(drawn == c) for c in (0.0, 0.5, 1.0)]
    assert sum(counts) == 3000
    assert max(abs(count - 1000) for count in counts) < 5 * (3000 * 2 / 9) ** 0.5


def test_a_composition_by_names_is_the_chain_it_spells():
    steps = [
        {"name": "cutout", "side": (0.5, 0.5), "fill": 1.0},
        {"name": "solarize", "p": 1.0},
        {"name": "edges", "p": 0},
    ]
    spelled = jax.jit(composition(steps))(jax.random.key(0), jnp.zeros((8, 8, 1)))
    made = chain(AUGMENTATIONS["cutout"](side=(0.5, 0.5), fill=1.0), AUGMENTATIONS["solarize"](), chain())
    np.testing.assert_array_equal(spelled, jax.jit(made)(jax.random.key(0), jnp.zeros((8, 8, 1))))
    assert float(spelled.sum()) == 0  # the white square, inverted
    masked = jax.jit(composition(steps[:1]))(jax.random.key(0), jnp.zeros((8, 8, 1)))
    assert float(masked.sum()) == 16


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sometimes(1.2, INVERT), "p = 1.2 is not a probability"),
        (lambda: sometimes(float("nan"), INVERT), "p = nan"),
        (lambda: one_of(), "at least one"),
        (
            lambda: composition([{"name": "sharpen"}]),
            "no augmentation is called 'sharpen'; expected one of random_resized_crop",
        ),
        (lambda: composition([{"name": "cutout", "sides": 3}]), "'cutout': .*sides"),
        (lambda: composition([{"name": "edges", "p": -1}]), "p = -1 is not a probability"),
        (lambda: PRESETS["simclr_cifar10"](jitter=2.0), "p = 2.0"),
        (lambda: PRESETS["simclr_imagenet"](flip=-0.5), "flip = -0.5"),
        (lambda: PRESETS["gray28"](min_area=0.0), "area"),
    ],
)
def test_a_composition_that_cannot_be_is_refused_before_it_runs(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("shape", [(8, 8), (2, 8, 8, 3), (8, 8, 2), (0, 8, 3)])
def test_what_is_no_image_is_refused(shape):
    for augmentation in (AUGMENTATIONS[name]() for name in AUGMENTATIONS):
        with pytest.raises(ValueError, match="expected \\[height, width, channels\\]"):
            augmentation(jax.random.key(0), jnp.zeros(shape))


def test_integers_other_than_bytes_are_refused():
    with pytest.raises(ValueError, match="image of int32; expected uint8"):
        as_float(jnp.zeros((4, 4, 1), jnp.int32))


def test_a_choice_that_would_change_the_size_is_refused():
    smaller = AUGMENTATIONS["random_resized_crop"](size=1)
    for choice in (sometimes(0.5, smaller), one_of(INVERT, smaller)):
        with pytest.raises(ValueError, match="different shapes"):
            choice(jax.random.key(0), jnp.zeros((4, 4, 1)))


def test_a_crop_larger_than_the_image_is_refused_by_every_preset():
    for name in PRESETS:
        with pytest.raises(ValueError, match="larger than the image of 28 × 28"):
            PRESETS[name](size=32).pair(jax.random.key(0), jnp.zeros((28, 28, 1)))


def test_a_kind_of_pair_can_be_made_of_any_augmentation():
    x, y = augmented(bit).pair(jax.random.key(0), jnp.ones((2, 2, 1)))
    assert 0 <= x[0, 0, 0] != y[0, 0, 0] >= 0


def test_a_view_has_the_size_of_the_pairs_that_it_goes_with():
    crop = composition([{"name": "random_resized_crop", "size": 5}])
    kind = augmented(crop)
    image = jnp.ones((8, 12, 3))
    view, pair = (jax.eval_shape(half, jax.random.key(0), image) for half in (kind.view, kind.pair))
    assert view.shape == pair[0].shape == (5, 5, 3)
    same = augmented(lambda key, image: 1 - image).view(jax.random.key(0), image)
    np.testing.assert_array_equal(same, image)
