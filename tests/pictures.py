"""Pictures on disk for tests: each shows its own number, so that it can be followed."""

import io

import numpy as np
from PIL import Image


def pixels(number, shape=(4, 6, 3)):
    """uint8[H, W, C] whose first pixel holds the number, and no two sides of which are alike."""
    picture = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    picture[0, 0, 0] = number
    return picture


def write(path, number=0, shape=(4, 6, 3)):
    """Writes a picture in the format that the path ends in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = pixels(number, shape)
    Image.fromarray(picture[:, :, 0] if shape[-1] == 1 else picture).save(path)
    return path


def encoded(number=0, shape=(4, 6, 3)):
    """The bytes of a picture's PNG file."""
    file = io.BytesIO()
    Image.fromarray(pixels(number, shape)).save(file, "png")
    return file.getvalue()


def numbers(images):
    """The number that each picture shows."""
    return [int(image[0, 0, 0]) for image in images]
