"""The user's own arrays: which are accepted, how they are split, and every error in a file."""

import numpy as np
import pytest

from mi_coding import data
from mi_coding.data import sequences
from mi_coding.errors import InputError

N = 40
ROWS = np.arange(N, dtype=np.float32)
VECTORS = np.stack([ROWS, -ROWS, 0 * ROWS], 1)


def save(path, **arrays):
    np.savez(path, **arrays)
    return f"npz:{path}"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "own.npz"


def refused(source, **options):
    with pytest.raises(InputError) as error:
        data.load(source, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_rows_of_given_pairs_stay_together_with_labels_and_names(path):
    source = save(path, x=VECTORS, y=(ROWS[:, None] + [[100, 200]]).astype(np.float64), labels=np.arange(N) % 2)
    dataset = data.load(source)
    assert dataset.name == "own"
    assert [data.num_examples(split) for split in dataset.splits] == [28, 4, 8]
    rows = []
    for split in dataset.splits:
        x, y = split.examples
        assert (x.dtype, y.dtype, x.shape[1:], y.shape[1:]) == (np.float32, np.float32, (3,), (2,))
        np.testing.assert_array_equal(x[:, 0] + 200, y[:, 1])
        np.testing.assert_array_equal(split.labels, x[:, 0] % 2)
        assert split.names == [f"own.npz[{int(row)}]" for row in x[:, 0]]
        assert abs(split.labels.mean() - 0.5) < 0.01  # every class gives each split its share
        rows += x[:, 0].tolist()
    assert sorted(rows) == list(range(N))
    np.testing.assert_array_equal(data.load(source).train.examples[0], dataset.train.examples[0])


def test_list_all_returns_all_rows_in_order(path):
    split, class_names, _ = data.list_all(save(path, x=VECTORS, y=VECTORS[:, :1], labels=np.arange(N) - 1))
    np.testing.assert_array_equal(split.examples[0], VECTORS)
    assert (split.names[7], split.labels[:3].tolist(), class_names) == ("own.npz[7]", [-1, 0, 1], None)


@pytest.mark.parametrize("images", [np.full((N, 5, 4), 9, np.uint8), np.full((N, 5, 4, 1), 0.5, np.float64)])
def test_images_get_a_channel_axis_and_keep_their_intensities(path, images):
    dataset = data.load(save(path, images=images))
    assert dataset.train.examples.shape == (28, 5, 4, 1)
    assert dataset.train.examples.dtype == (np.uint8 if images.dtype == np.uint8 else np.float32)
    assert dataset.train.labels is None
    np.testing.assert_array_equal(dataset.train.examples[0], images.reshape(N, 5, 4, 1)[0])


def test_images_in_arrays_are_never_resized(path):
    source = save(path, images=np.zeros((N, 8, 8, 3), np.uint8))
    assert data.load(source, image_size=8, channels=3).train.examples.shape == (28, 8, 8, 3)
    assert "8 × 8 with 3 channel(s), which are never resized" in refused(source, image_size=16)
    assert "expected 0 for both" in refused(source, channels=1)
    assert "holds x and y, given pairs: expected 0" in refused(save(path, x=VECTORS, y=VECTORS), image_size=8)


def test_sequences_have_steps_and_channels(path):
    assert data.load(save(path, sequences=np.zeros((N, 12, 2)))).train.examples.shape == (28, 12, 2)
    dataset = data.load(save(path, sequences=np.ones((N, 12), np.uint8), labels=np.zeros(N, np.int64)))
    assert (dataset.test.examples.shape, dataset.test.examples.dtype) == ((8, 12, 1), np.float32)
    assert dataset.test.labels.dtype == np.int32


def test_examples_with_hidden_labels_are_only_in_the_train_split(path):
    labels = np.where(np.arange(N) < 10, -1, np.arange(N) % 2)
    dataset = data.load(save(path, x=VECTORS, y=VECTORS, labels=labels))
    assert [data.num_examples(split) for split in dataset.splits] == [31, 3, 6]
    assert (dataset.train.labels == -1).sum() == 10
    assert all((split.labels >= 0).all() for split in dataset.splits[1:])
    assert data.load(save(path, x=VECTORS, y=VECTORS, labels=np.full(N, -1))).train.labels is None


PAIRS = {"x": VECTORS, "y": VECTORS}


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": VECTORS, "y": VECTORS[:-3]}, "different lengths: x 40, y 37; row i of each must be one example"),
        (PAIRS | {"labels": np.zeros(N - 1, int)}, "different lengths: x 40, y 40, labels 39"),
        ({"y": VECTORS}, "has arrays y; expected x and y (given pairs), x alone (a table), images or sequences"),
        ({"a": VECTORS, "b": VECTORS}, "has arrays a, b; expected"),
        ({}, "has no arrays; expected x and y"),
        (PAIRS | {"images": np.zeros((N, 2, 2))}, "has arrays images, x, y; expected"),
        ({"x": np.where(VECTORS == 7, np.nan, VECTORS), "y": VECTORS}, "1 of 120 values of x are NaN or infinite"),
        ({"x": VECTORS, "y": np.full((N, 2), 1e300)}, "80 of 80 values of y are NaN or infinite in float32"),
        ({"x": VECTORS.astype(object), "y": VECTORS}, "array x holds Python objects; expected an array of numbers"),
        ({"x": VECTORS.astype(complex), "y": VECTORS}, "x is complex128; expected numbers, such as x.astype('f4')"),
        ({"x": ROWS, "y": VECTORS}, "x has shape (40,); expected one row per example: (n, …)"),
        ({"x": VECTORS[:4], "y": VECTORS[:4]}, "too few"),
        ({"images": np.full((N, 2, 2), 200.5)}, "floats from 200.5 to 200.5; expected uint8, whole numbers from 0, or"),
        ({"images": np.full((N, 2, 2), -1)}, "floats from -1 to -1; expected uint8, whole numbers from 0, or"),
        ({"images": np.zeros((N, 4))}, "images has shape (40, 4); expected (n, H, W, C)"),
        ({"images": np.zeros((N, 4, 4, 2))}, "images has shape (40, 4, 4, 2); expected (n, H, W, C), C = 1 or 3"),
        ({"sequences": np.zeros((N, 4, 4, 2))}, "sequences has shape (40, 4, 4, 2); expected (n, T, C) or (n, T)"),
        (PAIRS | {"labels": np.arange(N) - 2}, "labels run from -2 to 37; expected classes from 0 on, or -1"),
        (PAIRS | {"labels": np.zeros(N)}, "labels is float64[40]; expected whole numbers"),
        (PAIRS | {"labels": np.zeros((N, 2), int)}, "labels is int64[40, 2]; expected whole numbers"),
    ],
)
def test_inconsistent_arrays_are_refused(path, arrays, words):
    assert words in refused(save(path, **arrays))


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.int64, np.float32])
def test_images_of_whole_numbers_are_scaled_by_their_range_and_this_is_told(path, dtype):
    images = np.linspace(0, 4000, N * 16).reshape(N, 4, 4).round().astype(dtype)
    dataset = data.load(save(path, images=images))
    everything = np.concatenate([split.examples for split in dataset.splits])
    assert everything.dtype == np.float32
    assert everything.max() == np.float32(4000 / 4095)
    assert dataset.account.notes == ["values of images are up to 4,000; 4,095 is white"]
    by_hand = data.load(save(path, images=images), white=4000)
    assert max(split.examples.max() for split in by_hand.splits) == 1


def test_fractions_of_a_given_white_are_images(path):
    images = np.linspace(0, 200, N * 16).reshape(N, 4, 4)
    assert data.load(save(path, images=images), white=400.0).train.examples.max() <= 0.5


@pytest.mark.parametrize("dtype", [np.int64, np.uint16, np.int8, bool])
def test_tables_and_sequences_of_integers_are_the_numbers_that_they_are(path, dtype):
    values = (np.arange(N * 3).reshape(N, 3) % 100).astype(dtype)
    x, _ = data.load(save(path, x=values, y=VECTORS)).train.examples
    assert x.dtype == np.float32
    assert set(x.ravel()) <= set(values.ravel().astype(np.float32))
    assert data.load(save(path, sequences=values)).train.examples.max() <= values.max()


def test_a_file_that_is_not_npz_is_refused(tmp_path):
    assert "does not exist" in refused(f"npz:{tmp_path}/nowhere.npz")
    assert "is a folder" in refused(f"npz:{tmp_path}")
    assert "names nothing; expected a source like 'npz:/path/to/arrays.npz'" in refused("npz:")
    np.save(tmp_path / "one.npy", VECTORS)
    assert "is a single array" in refused(f"npz:{tmp_path}/one.npy")
    (tmp_path / "text.npz").write_text("no archive")
    assert "cannot be read" in refused(f"npz:{tmp_path}/text.npz")
    save(tmp_path / "whole.npz", **PAIRS)
    torn = (tmp_path / "whole.npz").read_bytes()
    (tmp_path / "torn.npz").write_bytes(torn[: len(torn) // 2])
    assert "torn.npz cannot be read" in refused(f"npz:{tmp_path}/torn.npz")
    damaged = bytearray(torn)
    damaged[300] ^= 255
    (tmp_path / "damaged.npz").write_bytes(damaged)
    assert "array x is broken" in refused(f"npz:{tmp_path}/damaged.npz")


def test_columns_that_float32_cannot_tell_apart_are_noted(path):
    seconds = 1.7e9 + ROWS.astype(np.float64)
    notes = data.load(save(path, x=np.stack([ROWS, seconds], 1), y=VECTORS)).account.notes
    assert notes == [
        "1 column(s) of x lose the differences between their values in float32, such as column 1: subtract their mean "
        "before saving them"
    ]


def test_arrays_of_other_names_are_noted(path):
    notes = data.load(save(path, x=VECTORS, y=VECTORS, weights=ROWS, times=ROWS)).account.notes
    assert notes == ["arrays left out: times, weights"]


LENGTHS = 3 + np.arange(N) % 5


def ragged():
    return [np.full((length, 2), row, np.float32) for row, length in enumerate(LENGTHS)]


@pytest.mark.parametrize("name", ["sequences", "values"])
@pytest.mark.parametrize("written", ["zeros", "nan", "joined", "int16"])
def test_sequences_of_unequal_length_end_in_padding_however_they_are_written(path, name, written):
    whole = np.concatenate(ragged())
    padded = sequences.padded(ragged())
    arrays = {
        "zeros": {name: np.nan_to_num(padded), "lengths": LENGTHS},
        "nan": {name: padded},
        "joined": {name: whole, "lengths": LENGTHS},
        "int16": {name: np.nan_to_num(padded).astype(np.int16), "lengths": LENGTHS},
    }[written]
    listing = data.list_all(save(path, **arrays))
    np.testing.assert_array_equal(listing.split.examples, padded)
    np.testing.assert_array_equal(listing.split.lengths, LENGTHS)
    assert listing.account.facts["samples"] == "3 to 7"
    assert data.load(save(path, **arrays)).train.examples.shape == (28, 7, 2)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        (
            {"sequences": np.where(ROWS[:, None] == [3, 9], np.nan, 1.0)},
            "1 of 40 sequences have NaN or infinity before their end",
        ),
        ({"sequences": np.ones((N, 4)), "lengths": np.full(N, 5)}, "a length of 5 in row 0; expected at most the 4"),
        ({"sequences": np.ones((N, 4)), "lengths": np.full(9, 2)}, "9 lengths, whose sum is 18, for 40 sequences"),
        ({"sequences": np.ones((N, 4)), "lengths": np.full(N, 0.5)}, "lengths is float64[40]; expected whole numbers"),
        ({"sequences": np.ones((N, 4)), "lengths": np.full(N, -1)}, "expected whole numbers from 0 on"),
    ],
)
def test_lengths_that_do_not_fit_are_told(path, arrays, words):
    assert words in refused(save(path, **arrays))
