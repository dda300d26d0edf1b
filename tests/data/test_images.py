"""Decoding of images: exact pixels, resizing and conversion, and files that are not images."""

import io

import numpy as np
import pytest
from pictures import pixels, write
from PIL import Image, ImageOps

from mi_coding.data.images import ImageSpec, decode, resize_floats


@pytest.mark.parametrize("shape", [(4, 6, 3), (5, 3, 1)])
def test_a_png_is_decoded_exactly(tmp_path, shape):
    path = write(tmp_path / "a.png", 9, shape)
    np.testing.assert_array_equal(decode(path, ImageSpec()), pixels(9, shape))
    np.testing.assert_array_equal(decode(path.read_bytes(), ImageSpec()), pixels(9, shape))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_mode_is_converted_to_grey_or_colour(tmp_path, mode, channels):
    bright = np.full((4, 5), 200, np.uint8)
    image = Image.fromarray(bright.astype(np.uint16) * 256) if mode == "I;16" else Image.fromarray(bright).convert(mode)
    image.save(tmp_path / "a.tif")
    decoded = decode(tmp_path / "a.tif", ImageSpec(channels=channels))
    assert decoded.shape == (4, 5, channels)
    if mode != "1":  # which dithers
        assert abs(decoded.astype(int) - 200).max() <= 1


def test_the_shorter_side_is_resized_and_the_centre_cropped(tmp_path):
    wide = np.zeros((8, 24, 1), np.uint8)
    wide[:, 8:16] = 250
    Image.fromarray(wide[:, :, 0]).save(tmp_path / "wide.png")
    np.testing.assert_array_equal(decode(tmp_path / "wide.png", ImageSpec(image_size=8)), wide[:, 8:16])
    assert decode(tmp_path / "wide.png", ImageSpec(image_size=4)).shape == (4, 4, 1)
    assert decode(tmp_path / "wide.png", ImageSpec(image_size=16)).shape == (16, 16, 1)
    half = Image.fromarray(wide[:, :, 0]).resize((12, 4), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(
        decode(tmp_path / "wide.png", ImageSpec(image_size=4))[:, :, 0], np.asarray(half)[:, 4:8]
    )


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
def test_exif_orientation_is_applied(tmp_path, orientation, suffix):
    image = Image.fromarray(pixels(3, (16, 24, 3)))
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(tmp_path / f"a.{suffix}", exif=exif)
    with Image.open(tmp_path / f"a.{suffix}") as written:
        expected = np.asarray(ImageOps.exif_transpose(written))
    if orientation == 6 and suffix == "png":
        np.testing.assert_array_equal(expected, np.rot90(pixels(3, (16, 24, 3)), -1))
    np.testing.assert_array_equal(decode(tmp_path / f"a.{suffix}", ImageSpec()), expected)


def test_pixels_of_32_bits_are_not_decoded(tmp_path):
    for dtype in (np.int32, np.float32):
        Image.fromarray(np.full((4, 5), 70000, dtype)).save(tmp_path / "a.tif")
        assert decode(tmp_path / "a.tif", ImageSpec()) is None


@pytest.mark.parametrize("transparency", [3, bytes(range(0, 240, 3))])
def test_a_palette_with_transparency_keeps_its_colours(tmp_path, transparency):
    image = Image.fromarray(pixels(3)).quantize(80)
    image.save(tmp_path / "a.png", transparency=transparency)  # warnings are errors here
    np.testing.assert_array_equal(decode(tmp_path / "a.png", ImageSpec()), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("suffix", ["png", "jpeg", "gif", "bmp", "webp", "tiff"])
@pytest.mark.filterwarnings("ignore")  # Pillow's, of damaged files
def test_a_damaged_file_gives_an_image_or_none_but_no_error(suffix):
    image, file, rng = Image.fromarray(pixels(3, (20, 30, 3))), io.BytesIO(), np.random.default_rng(0)
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(file, suffix, **({} if suffix in ("gif", "bmp") else {"exif": exif}))
    whole, broken = np.frombuffer(file.getvalue(), np.uint8), 0
    for _ in range(200):
        damaged = whole.copy()
        damaged[rng.integers(0, min(len(whole), 200), 4)] = rng.integers(0, 256, 4)
        decoded = decode(damaged.tobytes(), ImageSpec(image_size=8, channels=3))
        assert decoded is None or decoded.shape == (8, 8, 3)
        broken += decoded is None
    assert 0 < broken < 200


def test_files_that_are_not_images_give_none(tmp_path):
    whole = write(tmp_path / "a.jpg", shape=(64, 64, 3)).read_bytes()
    for broken in (b"", b"not an image", whole[: len(whole) // 2], whole[:20]):
        assert decode(broken, ImageSpec()) is None
    assert decode(tmp_path / "missing.png", ImageSpec()) is None


def test_a_jpeg_decoded_at_a_fraction_equals_a_resized_one(tmp_path):
    y, x = np.mgrid[:256, :256]
    smooth = np.stack([x, y, 255 - x], axis=-1).astype(np.uint8)
    Image.fromarray(smooth).save(tmp_path / "a.jpg", quality=95)
    expected = np.asarray(Image.fromarray(smooth).resize((16, 16), Image.Resampling.BILINEAR))
    assert abs(decode(tmp_path / "a.jpg", ImageSpec(image_size=16)).astype(int) - expected).max() <= 4


def test_resize_floats_agrees_with_the_resizing_of_bytes():
    images = np.random.default_rng(0).random((3, 8, 8, 1)).astype(np.float32)
    grown = resize_floats(images, ImageSpec(image_size=16, channels=3))
    assert grown.shape == (3, 16, 16, 3)
    assert grown.dtype == np.float32
    expected = np.asarray(Image.fromarray(images[1, :, :, 0]).resize((16, 16), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(grown[1, :, :, 2], expected, atol=1e-6)
    np.testing.assert_array_equal(resize_floats(images, ImageSpec()), images)
