import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi_coding.pairs.augmentations.geometry import rotate
from mi_coding.pairs.clips import Clips
from mi_coding.pairs.frames import Frames
from mi_coding.pairs.moving import Pose, bounce, draw, draw_posed


def centre(frame):
    """Row and column of the centre of mass."""
    mass = np.asarray(frame, np.float64)[..., 0]
    places = np.indices(mass.shape)
    return (places * mass).sum((1, 2)) / mass.sum()


@pytest.fixture
def blob():
    """An image whose rows and columns differ, so that an exchange of the axes shows."""
    return jnp.asarray(np.random.default_rng(0).random((6, 8, 1)) * np.arange(1, 9)[None, :, None], jnp.float32)


def test_a_shift_by_a_fraction_of_a_pixel_moves_the_centre_by_just_that(blob):
    still = centre(draw(blob, jnp.array([2.0, 3.0]), 20))
    for shift in ([0.25, 0.0], [0.0, 0.5], [1.125, 2.75]):
        moved = centre(draw(blob, jnp.array([2.0, 3.0]) + jnp.array(shift), 20))
        np.testing.assert_allclose(moved - still, shift, atol=1e-5)


def test_drawing_keeps_the_sum_and_at_whole_places_the_pixels(blob):
    frame = draw(blob, jnp.array([4.0, 5.0]), 16)
    np.testing.assert_allclose(frame[4:10, 5:13], blob, atol=1e-6)
    assert float(draw(blob, jnp.array([4.3, 5.9]), 16).sum()) == pytest.approx(float(blob.sum()), rel=1e-5)


def test_a_path_stays_between_walls_and_moves_at_constant_speed():
    room, times = jnp.array(5.0), jnp.linspace(0, 20, 2001)
    path = np.asarray(bounce(1.0 + 1.7 * times, room))
    assert path.min() >= 0
    assert path.max() <= 5
    steps = np.abs(np.diff(path))
    np.testing.assert_allclose(steps[steps > steps.max() - 1e-4], 0.017, atol=1e-4)
    assert np.mean(steps > 0.0165) > 0.98  # all but the steps that hit a wall


def test_an_image_as_large_as_the_window_stays_where_it_is():
    assert bounce(jnp.array([3.7, -2.0]), jnp.zeros(2)).tolist() == [0, 0]


def test_x_and_y_show_one_image_and_nothing_is_cut_off(blob):
    pair = jax.jit(jax.vmap(Frames(window=16).pair, in_axes=(0, None)))
    x, y = pair(jax.random.split(jax.random.key(0), 200), blob)
    np.testing.assert_allclose(x.sum((1, 2, 3)), float(blob.sum()), rtol=1e-5)
    np.testing.assert_allclose(y.sum((1, 2, 3)), float(blob.sum()), rtol=1e-5)


def test_y_is_the_gap_away_from_x_at_the_speed_of_the_clip(blob):
    frames = Frames(window=64, seconds=2.0, frame_rate=10.0, gap=0.5, speed=6.0)  # 3 pixels in half a second
    x, y = jax.vmap(frames.pair, in_axes=(0, None))(jax.random.split(jax.random.key(1), 300), blob)
    moved = np.array([np.linalg.norm(centre(b) - centre(a)) for a, b in zip(x, y, strict=True)])
    assert moved.max() < 3.001
    assert np.mean(np.abs(moved - 3) < 1e-3) > 0.85  # the rest met a wall on their way


def test_directions_are_uniform_and_start_times_differ(blob):
    frames = Frames(window=64, seconds=2.0, frame_rate=10.0, gap=0.5, speed=6.0)
    x, y = jax.vmap(frames.pair, in_axes=(0, None))(jax.random.split(jax.random.key(2), 400), blob)
    moves = np.array([centre(b) - centre(a) for a, b in zip(x, y, strict=True)])
    angles = np.arctan2(moves[:, 0], moves[:, 1])
    assert np.histogram(angles, bins=4, range=(-np.pi, np.pi))[0].min() > 60  # of 100 expected, 4 standard errors


def test_a_view_has_the_law_of_x(blob):
    frames = Frames(window=16)
    keys = jax.random.split(jax.random.key(3), 4000)
    views = np.asarray(jax.vmap(frames.view, in_axes=(0, None))(keys, blob))
    xs = np.asarray(jax.vmap(frames.pair, in_axes=(0, None))(keys, blob)[0])
    # Means over 4,000 frames of pixels below 8: standard error at most 0.06.
    np.testing.assert_allclose(views.mean(0), xs.mean(0), atol=0.25)
    np.testing.assert_allclose(views.std(0), xs.std(0), atol=0.25)


@pytest.mark.parametrize("gap", [0.04, 4.0, 10.0])
def test_a_gap_that_no_clip_has_is_refused(gap):
    with pytest.raises(ValueError, match="gap"):
        Frames(seconds=4.0, frame_rate=10.0, gap=gap)


@pytest.mark.parametrize(("window", "place"), [(16, (5, 4)), (15, (4, 3)), (8, (1, 0))])
def test_a_still_shows_the_image_in_its_middle_pixel_by_pixel(blob, window, place):
    still = Frames(window=window).still(blob)
    down, right = place
    expected = np.zeros((window, window, 1), np.float32)
    expected[down : down + 6, right : right + 8] = blob
    np.testing.assert_allclose(still, expected, atol=1e-7)


UPRIGHT = Pose(jnp.float32(0), jnp.float32(1), jnp.float32(1))


def test_a_pose_turns_grows_and_fades_about_the_centre(blob):
    middle = jnp.array([5.0, 4.0])  # of a window of 16
    for place in (middle, middle + 0.3):  # between pixels, too
        np.testing.assert_allclose(draw_posed(blob, place, UPRIGHT, 16), draw(blob, place, 16), atol=1e-5)
    blob = blob / blob.max()  # `rotate` is of images in [0, 1]
    turned = draw_posed(blob, middle, UPRIGHT._replace(degrees=jnp.float32(30)), 16)
    np.testing.assert_allclose(turned, rotate(draw(blob, middle, 16), 30), atol=1e-5)
    faded = draw_posed(blob, middle, UPRIGHT._replace(brightness=jnp.float32(0.25)), 16)
    np.testing.assert_allclose(faded, 0.25 * draw(blob, middle, 16), atol=1e-6)
    square = jnp.ones((4, 4, 1))
    doubled = draw_posed(square, jnp.array([6.0, 5.0]), UPRIGHT._replace(size=jnp.float32(2)), 16)
    assert float(doubled.sum()) == pytest.approx(4 * 16, rel=1e-5)
    np.testing.assert_allclose(centre(doubled), centre(draw(square, jnp.array([6.0, 5.0]), 16)), atol=1e-5)


@pytest.mark.parametrize(
    ("option", "most", "measured"),
    [
        ("fade", 0.4, lambda frames: 1 - frames.sum((2, 3, 4)) / frames.sum((2, 3, 4)).max()),
        ("grow", 0.5, lambda frames: np.sqrt(frames.sum((2, 3, 4)) / 36) - 1),
    ],
)
def test_a_clip_swings_slowly_between_its_ends(option, most, measured):
    clips = Clips(window=32, seconds=20.0, frame_rate=10.0, speed=0.0, **{option: most})
    keys = jax.random.split(jax.random.key(0), 8)
    frames = np.asarray(jax.jit(jax.vmap(clips.view, in_axes=(0, None)))(keys, jnp.ones((6, 6, 1))))
    found = measured(frames)
    assert found.max() == pytest.approx(most, abs=0.03)
    assert found.min() == pytest.approx(0 if option == "fade" else 1 / (1 + most) - 1, abs=0.03)
    assert np.abs(np.diff(found, axis=1)).max() < 0.3 * most  # from one frame to the next
    assert len({tuple(np.round(one, 3)) for one in found}) == 8  # each clip by itself


def test_both_frames_of_a_pair_swing_and_its_view_does_not(blob):
    frames = Frames(window=24, turn=40.0, grow=0.3, fade=0.5)
    x, y = jax.jit(jax.vmap(frames.pair, in_axes=(0, None)))(jax.random.split(jax.random.key(0), 100), blob)
    for half in (x, y):
        assert np.std(half.sum((1, 2, 3))) > 0.1 * float(blob.sum())
    views = jax.vmap(frames.view, in_axes=(0, None))(jax.random.split(jax.random.key(1), 20), blob)
    np.testing.assert_allclose(views.sum((1, 2, 3)), float(blob.sum()), rtol=1e-5)
