"""Copies across splits: images that were saved again, and films cut of one another."""

import io

import numpy as np
import pytest
from PIL import Image

from mi_coding.data import FilmTable, Split
from mi_coding.data.copies import copies_in, film_cuts, near_copies_of

RNG = np.random.default_rng(0)


def photos(count, side=32):
    """uint8[n, side, side, 3]: smooth random pictures, as photos are."""
    small = (RNG.uniform(40, 200, (count, 5, 5, 1)) + RNG.uniform(-20, 20, (count, 5, 5, 3))).astype(np.uint8)
    return np.stack([np.asarray(Image.fromarray(one).resize((side, side), Image.Resampling.BICUBIC)) for one in small])


def saved_again(image, quality=92):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


TRAIN = photos(40)


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        (lambda image: saved_again(image), True),
        (lambda image: (image * 0.8 + 20).astype(np.uint8), True),
        (lambda image: image[:, ::-1], False),
        (lambda image: np.roll(image, 3, axis=0), False),
        (lambda image: np.clip(image + RNG.normal(0, 40, image.shape), 0, 255).astype(np.uint8), False),
        (lambda image: image, False),  # a copy byte for byte is counted as such
    ],
    ids=["jpeg", "brightness", "mirrored", "shifted", "noise", "equal"],
)
def test_near_copies_are_what_was_saved_again_and_nothing_else(changed, found):
    test = np.concatenate([photos(9), changed(TRAIN[7])[None]])
    near = near_copies_of(Split(TRAIN, None), [Split(test, None)])[0]
    assert near.rows == ([(9, 7)] if found else [])
    assert near.looked_at == 10


def test_flat_images_vectors_and_streams_are_no_copies():
    black = np.zeros((5, 8, 8, 1), np.uint8)
    assert not near_copies_of(Split(black, None), [Split(black, None)])[0].rows
    table = np.ones((5, 100), np.float32)
    assert not near_copies_of(Split(table, None), [Split(table, None)])[0].rows


def film(frames, *names):
    """A split of films of equal length."""
    count = np.full(len(names), len(frames) // len(names))
    first, times = np.cumsum(count) - count, np.concatenate([np.arange(n) / 10 for n in count])
    return Split(frames, None, films=FilmTable(list(names), first, count, times, count / 10))


def test_a_film_cut_of_another_is_named_and_parts_of_one_film_are_not():
    a, b, c = photos(30), photos(30), photos(30)
    cut = np.stack([saved_again(frame) for frame in a[8:28]])
    train, test = (
        film(np.concatenate([a, b]), "a.mp4", "b.mp4"),
        film(np.concatenate([cut, c[:20]]), "cut.mp4", "c.mp4"),
    )
    assert film_cuts(train, [test]) == [[("cut.mp4", "a.mp4")]]
    assert film_cuts(train, [film(b[10:20], "b.mp4")]) == [[]]
    half = film(np.concatenate([cut[:9], c[:11]]), "half.mp4")
    assert film_cuts(train, [half]) == [[]]
    (line,), _ = copies_in(train, {"test": test})
    assert line == "1 test film(s) show what a training film shows, for more than half their frames: cut.mp4 = a.mp4"


def test_lines_count_and_name():
    test = np.concatenate([photos(4), TRAIN[3:4], saved_again(TRAIN[5])[None]])
    names = [f"{i}.png" for i in range(40)]
    lines, rows = copies_in(Split(TRAIN, None, names), {"test": Split(test, None)})
    assert rows == {"test": [(4, 3), (5, 5)]}
    assert lines == [
        "1 test example(s) are copies of training examples, byte for byte: [4] = 3.png",
        "1 test example(s) are near copies of training examples (thumbnails correlate by > 0.999): [5] = 5.png",
    ]


def test_copies_of_short_sequences_are_found():
    padded = RNG.normal(size=(6, 80, 1)).astype(np.float32)
    padded[:, 5:] = np.nan
    _, rows = copies_in(Split(padded, None), {"test": Split(padded[2:4], None)})
    assert rows == {"test": [(0, 2), (1, 3)]}
