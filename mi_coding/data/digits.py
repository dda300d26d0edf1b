"""The 1,797 handwritten digits that ship inside scikit-learn, so that the main job needs no download."""

import importlib.util
from pathlib import Path

import numpy as np

from mi_coding.data.dataset import Dataset, Listing, Split, num_examples, take
from mi_coding.data.images import Form, resize_floats

NUM_TEST = 397
NUM_VALIDATION = 150
_SPLIT_SEED = 0  # the split is part of the data set: a run's seed must not move images between splits


def load(argument: str = "", form: Form = Form()) -> Dataset:  # noqa: B008 (a tuple: nobody can change it)
    """The digits as images of 8 × 8: 1,250 to train, 150 to validate, 397 to test, with no image in two splits.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998 (its test set).
    """
    digits, _ = list_all(argument, form)
    order = np.random.default_rng(_SPLIT_SEED).permutation(num_examples(digits))
    test, validation, train = np.split(order, [NUM_TEST, NUM_TEST + NUM_VALIDATION])
    return Dataset("digits", *(take(digits, chosen) for chosen in (train, validation, test)))


def list_all(_argument: str = "", form: Form = Form()) -> Listing:  # noqa: B008
    """All 1,797 digits in the order of scikit-learn."""
    numbers = np.loadtxt(_file(), delimiter=",", dtype=np.float32)
    images = resize_floats((numbers[:, :-1] / 16).reshape(-1, 8, 8, 1), form)
    return Listing(Split(images, numbers[:, -1].astype(np.int32)), [str(digit) for digit in range(10)])


def _file() -> Path:
    """Where the digits lie. Scikit-learn takes two seconds to import, which is longer than it takes to read them."""
    (package,) = importlib.util.find_spec("sklearn").submodule_search_locations
    return Path(package, "datasets", "data", "digits.csv.gz")
