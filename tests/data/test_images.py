"""Decoding of images: exact pixels, resizing and conversion, and files that are not images."""

import io

import numpy as np
import pytest
from pictures import pixels, write
from PIL import Image, ImageOps

from mi_coding.data.images import ImageSpec, decode, is_image_file, resize_floats, why_too_large


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


@pytest.mark.parametrize(
    ("dtype", "suffix", "values", "white", "shown"),
    [
        (np.uint16, "png", (0, 32768, 65535), 0, (0, 128, 255)),
        (np.uint16, "png", (0, 2048, 4095), 4095, (0, 128, 255)),  # of a camera of 12 bits
        (np.uint16, "tif", (0, 512, 5000), 1023, (0, 128, 255)),  # what is brighter than white is white
        (np.int32, "tif", (0, 2**19, 2**20 - 1), 2**20 - 1, (0, 128, 255)),
        (np.float32, "tif", (0.0, 0.5, 1.0), 0, (0, 127, 255)),
        (np.float32, "tif", (-1.0, np.nan, 2.0), 1, (0, 0, 255)),
        (np.float32, "tif", (0.0, 0.1, 0.2), 0.2, (0, 127, 255)),
        (np.float32, "tif", (0.0, 0.75, 1.5), 1.5, (0, 127, 255)),
        (np.uint16, "tif", (0, 8, 16), 16, (0, 127, 255)),
    ],
)
def test_values_of_more_than_8_bits_are_scaled_so_that_white_is_white(tmp_path, dtype, suffix, values, white, shown):
    Image.fromarray(np.array([values], dtype)).save(tmp_path / f"a.{suffix}")
    decoded = decode(tmp_path / f"a.{suffix}", ImageSpec(white=white))
    assert decoded[0, :, 0].tolist() == list(shown)


TRANSPARENT, HALF = (200, 10, 30, 0), (0, 100, 200, 128)


@pytest.mark.parametrize(
    ("mode", "suffix", "pixel", "shown"),
    [
        ("RGBA", "png", TRANSPARENT, [255, 255, 255]),
        ("RGBA", "png", HALF, [127, 177, 227]),
        ("RGBA", "webp", TRANSPARENT, [255, 255, 255]),
        ("RGBA", "tif", TRANSPARENT, [255, 255, 255]),
        ("LA", "png", (10, 0), [255]),
        ("LA", "png", (0, 128), [127]),
        ("RGBA", "png", (1, 2, 3, 255), [1, 2, 3]),
    ],
)
def test_transparent_pixels_are_shown_on_white(tmp_path, mode, suffix, pixel, shown):
    options = {"lossless": True, "exact": True} if suffix == "webp" else {}
    Image.new(mode, (4, 4), pixel).save(tmp_path / f"a.{suffix}", **options)
    np.testing.assert_allclose(decode(tmp_path / f"a.{suffix}", ImageSpec())[1, 2], shown, atol=1)


def test_transparent_colours_of_palettes_and_of_colour_images_are_shown_on_white(tmp_path):
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "P")
    image.putpalette([9, 9, 9, 50, 60, 70, 80, 90, 100])
    image.save(tmp_path / "a.png", transparency=1)  # warnings are errors here
    assert decode(tmp_path / "a.png", ImageSpec())[0].tolist() == [[9, 9, 9], [255, 255, 255], [80, 90, 100]]
    image.save(tmp_path / "a.png", transparency=bytes((255, 255, 0)))
    assert decode(tmp_path / "a.png", ImageSpec())[0].tolist() == [[9, 9, 9], [50, 60, 70], [255, 255, 255]]
    Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)).save(tmp_path / "a.png", transparency=(1, 2, 3))
    assert decode(tmp_path / "a.png", ImageSpec())[0].tolist() == [[255, 255, 255], [4, 5, 6]]


@pytest.mark.parametrize("suffix", ["jfif", "jpe", "pgm", "ppm", "pnm", "jp2", "tga", "avif", "PNG", "txt"])
def test_what_is_in_a_file_decides_whether_it_is_an_image(tmp_path, suffix):
    path, image = tmp_path / f"a.{suffix}", Image.fromarray(pixels(3, (16, 24, 3)))
    image.convert("L" if suffix == "pgm" else "RGB").save(path, **({"format": "PNG"} if suffix == "txt" else {}))
    assert is_image_file(path)
    assert decode(path, ImageSpec(channels=3)).shape == (16, 24, 3)
    path.write_text("words")
    assert is_image_file(path) == (suffix == "PNG")  # a usual suffix is believed until the file is decoded


def test_a_large_jpeg_is_decoded_at_a_fraction_and_counts_as_too_large_otherwise(tmp_path):
    Image.new("L", (14_000, 13_000), 7).save(tmp_path / "a.jpg")  # 182 million pixels
    assert decode(tmp_path / "a.jpg", ImageSpec(image_size=32)).tolist() == np.full((32, 32, 1), 7).tolist()
    assert decode(tmp_path / "a.jpg", ImageSpec()) is None
    assert why_too_large(tmp_path / "a.jpg") == "182 million pixels, more than 179"


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
