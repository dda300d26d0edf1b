"""Encoded images: decoding to one size and number of channels, and recognising files that are not images."""

import io
import os
import struct
import warnings
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from PIL.Image import DecompressionBombError, DecompressionBombWarning, Transpose
from PIL.JpegImagePlugin import JpegImageFile

from mi_coding.errors import InputError, Setting

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff")  # recognised without opening
DEEP_MODES = {"I;16": 65535, "I;16L": 65535, "I;16B": 65535, "I;16N": 65535, "I": 65535, "F": 1}  # → white by default
_GREY_MODES = ("1", "L", "LA", "La", *DEEP_MODES)
_BACKGROUND = "white"  # on which transparent pixels are shown
_MOST_PIXELS = 2**28 // 3 * 2  # decoded of one image at most, 179 million as in Pillow: half a gigabyte
# Excluded are formats that start other programs (EPS), that Pillow knows but does not read (MPEG, HDF5), or that only a
# suffix distinguishes from other files (TGA).
_FORMATS = (
    *("PNG", "JPEG", "GIF", "BMP", "DIB", "WEBP", "TIFF", "AVIF", "JPEG2000", "PPM", "QOI", "PCX", "ICO", "ICNS"),
    *("SGI", "SUN", "PSD", "DDS"),
)
_UNMARKED = {".tga": ("TGA",), ".icb": ("TGA",), ".vda": ("TGA",), ".vst": ("TGA",)}
_ORIENTATION = 0x0112  # EXIF
_UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
# What Pillow 13 raised for 80,000 damaged files, and the base classes of these errors.
BROKEN = (OSError, ValueError, TypeError, LookupError, SyntaxError, EOFError, struct.error, DecompressionBombError)
warnings.simplefilter("ignore", DecompressionBombWarning)  # a scan of 100 million pixels is an image, and fits
_MAX_CHUNK = 256  # images that one thread decodes in a row


class ImageSpec(NamedTuple):
    """Size and channels of decoded images."""

    image_size: int = 0  # pixels; the shorter side is resized to it, the central square is cropped; 0 keeps the size
    channels: int = 0  # 1 or 3 converts to grey or colour; 0 keeps the channels
    white: float = 0  # value that is white in images of more than 8 bits; 0 for the largest that their format has


class LazyImages(ABC):
    """Images that are decoded on demand; can be pickled for other processes. `shape` is (n, H, W, C).

    All have one shape: that of the spec or, where it keeps sizes or channels, of the first image that can be decoded.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, count: int, spec: ImageSpec):
        """Decodes the first image; `encoded` and `name` must work before this is called."""
        self._count, self._spec = count, spec
        first = next((i for i in range(count) if self._decode(i) is not None), None)
        if first is None:
            none = f"none of {count} images can be decoded, such as {self.described(0)}"
            raise InputError(f"{none}; expected PNG, JPEG or similar")
        self._first, self.shape = first, (count, *self._decode(first).shape)

    def __len__(self) -> int:
        return self._count

    def read(self, i: int) -> np.ndarray | None:
        """uint8[H, W, C], or None if the file cannot be decoded; InputError if its shape differs from the rest."""
        image = self._decode(i)
        if image is not None:
            _check_same_shape(self.name(i), image.shape, self.name(self._first), self.shape[1:])
        return image

    def settle_white(self, white: float) -> None:
        """Sets the value that is white in images of more than 8 bits."""
        self._spec = self._spec._replace(white=white)

    def check_like(self, other: "LazyImages") -> None:
        """Raises InputError, naming one image of each, unless images have the same shape as another split's."""
        _check_same_shape(self.name(self._first), self.shape[1:], other.name(other._first), other.shape[1:])

    def described(self, i: int) -> str:
        """The name of an image that cannot be decoded, with the reason where it is too large."""
        reason = why_too_large(self.encoded(i))
        return f"{self.name(i)} ({reason})" if reason else self.name(i)

    @abstractmethod
    def name(self, i: int) -> str:
        """The name of image i for the user, such as its path."""

    @abstractmethod
    def encoded(self, i: int) -> Path | bytes:
        """The file of image i, or its content."""

    def _decode(self, i: int) -> np.ndarray | None:
        return decode(self.encoded(i), self._spec)


class JoinedImages(LazyImages):
    """The concatenation of several sets of images."""

    def __init__(self, parts: list[LazyImages], spec: ImageSpec):
        self._parts, self._ends = parts, np.cumsum([len(part) for part in parts])
        super().__init__(int(self._ends[-1]), spec)

    def name(self, i: int) -> str:
        part, i = self._place(i)
        return part.name(i)

    def encoded(self, i: int) -> Path | bytes:
        part, i = self._place(i)
        return part.encoded(i)

    def _place(self, i: int) -> tuple[LazyImages, int]:
        number = int(np.searchsorted(self._ends, i, side="right"))
        return self._parts[number], i - (int(self._ends[number - 1]) if number else 0)


def decode(encoded: Path | bytes, spec: ImageSpec) -> np.ndarray | None:
    """Decodes an image file to uint8[H, W, C]; returns None where it is not an image, is truncated or broken.

    EXIF orientation is applied, transparent pixels are shown on white, only an animation's first frame is decoded, and
    values of more than 8 bits are scaled so that `spec.white` is white. A large JPEG is decoded at a fraction of its
    size where `spec.image_size` allows; what then still has more than 179 million pixels is not decoded.

    >>> decode(b"not an image", ImageSpec()) is None
    True
    """
    try:
        with open_image(encoded) as image:
            if spec.image_size:
                image.draft(None, (2 * spec.image_size,) * 2)  # a large JPEG is decoded at a fraction of its size
            return None if image.width * image.height > _MOST_PIXELS else pixels_of(image, spec)
    except BROKEN:
        return None


def pixels_of(image: Image.Image, spec: ImageSpec) -> np.ndarray:
    """uint8[H, W, C]: the pixels of an opened image, or of one in memory, converted as by `decode`.

    >>> pixels_of(Image.new("RGB", (40, 20)), ImageSpec(image_size=16, channels=1)).shape
    (16, 16, 1)
    """
    channels = spec.channels or (1 if image.mode in _GREY_MODES else 3)
    array = np.asarray(_resize(_convert(_upright(image), channels, spec.white), spec.image_size))
    return array[:, :, None] if channels == 1 else array


def open_image(encoded: Path | bytes) -> Image.Image:
    """An image, not yet decoded; raises one of `BROKEN` if it is not an image.

    Pillow's pixel limit applies to all pixels of a file, even where only a fraction is decoded, so JPEGs bypass it.
    """
    if isinstance(encoded, bytes):
        start, file, formats = encoded[:3], io.BytesIO(encoded), _FORMATS
    else:
        file, formats = encoded, _FORMATS + _UNMARKED.get(encoded.suffix.lower(), ())
        with encoded.open("rb") as opened:
            start = opened.read(3)
    return JpegImageFile(file) if start == b"\xff\xd8\xff" else Image.open(file, formats=formats)


def is_image_file(path: str | Path) -> bool:
    """Whether Pillow reads a file: its content decides, but a usual suffix is trusted until the file is decoded."""
    if not os.path.isfile(path):  # opening a pipe would wait for its other end
        return False
    if os.fspath(path).lower().endswith(_SUFFIXES):
        return True
    try:
        with open_image(Path(path)):
            return True
    except DecompressionBombError:
        return True
    except BROKEN:
        return False


def why_too_large(encoded: Path | bytes) -> str:
    """How many pixels an image has and may have, where these are too many; else ""."""
    try:
        with open_image(encoded) as image:
            size = image.width * image.height
    except DecompressionBombError as error:
        return str(error).partition(",")[0].lower()
    except BROKEN:
        return ""
    return f"{size / 1e6:,.0f} million pixels, more than {_MOST_PIXELS / 1e6:.0f}" if size > _MOST_PIXELS else ""


def white_of(largest: float) -> float:
    """The value that is white in images with this largest value: 1, or the largest number of as many bits.

    >>> white_of(0.7), white_of(4000), white_of(256), white_of(40000)
    (1.0, 4095.0, 511.0, 65535.0)
    """
    return 1.0 if largest <= 1 else float(2 ** max(8, int(np.ceil(np.log2(largest + 1)))) - 1)


def resize_floats(images: np.ndarray, spec: ImageSpec) -> np.ndarray:
    """Resizes float32[n, H, W, C] in [0, 1], C = 1 or 3, to float32[n, h, w, c], as `decode` does.

    >>> resize_floats(np.ones((2, 8, 8, 1), np.float32), ImageSpec(image_size=4, channels=3)).shape
    (2, 4, 4, 3)
    """
    if spec.image_size:
        planes = np.moveaxis(images, 3, 1).reshape(-1, *images.shape[1:3])
        resized = np.stack([np.asarray(_resize(Image.fromarray(plane), spec.image_size)) for plane in planes])
        images = np.moveaxis(np.clip(resized, 0, 1).reshape(len(images), -1, *resized.shape[1:]), 1, 3)
    if spec.channels == 1 and images.shape[3] == 3:
        return images @ np.array([[0.299], [0.587], [0.114]], np.float32)  # luma, as Pillow converts
    return np.repeat(images, spec.channels, axis=3) if spec.channels == 3 and images.shape[3] == 1 else images


def decode_all(images: LazyImages, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Decodes some images on all cores.

    Returns:
        uint8[m, H, W, C], the images that can be decoded, in the order of `indices`, and bool[len(indices)], which of
        them these are.
    """
    decoded = np.zeros((len(indices), *images.shape[1:]), np.uint8)
    readable = np.zeros(len(indices), bool)
    cores = os.cpu_count() or 1
    chunk = min(_MAX_CHUNK, max(1, len(indices) // (4 * cores)))

    def decode_chunk(start: int) -> None:
        for place in range(start, min(start + chunk, len(indices))):
            image = images.read(int(indices[place]))
            if image is not None:
                decoded[place], readable[place] = image, True

    with ThreadPoolExecutor(cores) as threads:
        list(threads.map(decode_chunk, range(0, len(indices), chunk)))  # the list raises what a thread raised
    return decoded if readable.all() else decoded[readable], readable


def _check_same_shape(name: str, shape: tuple[int, ...], other: str, expected: tuple[int, ...]) -> None:
    (height, width, channels), (other_height, other_width, other_channels) = shape, expected
    if channels != other_channels:
        kind = {1: "grey", 3: "colour"}
        differ = f"{name} is {kind[channels]} and {other} is {kind[other_channels]}; expected one kind: "
        raise InputError(differ, Setting("data.channels", 3, flag=True), " makes all of them colour, 1 grey")
    if shape != expected:
        sizes = f"{name} has {height} × {width} pixels and {other} has {other_height} × {other_width}"
        remedy = Setting("data.image_size", min(other_height, other_width), flag=True)
        raise InputError(f"{sizes}; expected one size: ", remedy, " resizes and crops all of them to it")


def _upright(image: Image.Image) -> Image.Image:
    image.load()  # first: a TIFF is rotated by this, and a PNG may have its orientation after its pixels
    turn = _UPRIGHT.get(image.getexif().get(_ORIENTATION))
    return image if turn is None else image.transpose(turn)


def _convert(image: Image.Image, channels: int, white: float) -> Image.Image:
    if image.mode in DEEP_MODES:
        white = white or DEEP_MODES[image.mode]
        scale = 256 / (white + 1) if white >= 255 else 255 / white  # bins of equal width where the levels are many
        values = np.nan_to_num(np.asarray(image, np.float64), nan=0.0) * scale
        image = Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, _BACKGROUND), image)
    mode = "L" if channels == 1 else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _resize(image: Image.Image, size: int) -> Image.Image:
    if not size:
        return image
    width, height = image.size
    scale = size / min(width, height)
    resized = (max(size, round(width * scale)), max(size, round(height * scale)))
    if resized != image.size:
        image = image.resize(resized, Image.Resampling.BILINEAR)
    left, top = (resized[0] - size) // 2, (resized[1] - size) // 2
    return image.crop((left, top, left + size, top + size))
