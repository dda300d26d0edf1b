"""`digits`: the 1,797 handwritten digits that are part of scikit-learn, so that nothing is downloaded."""

import importlib.util
from pathlib import Path

import numpy as np

from mi_coding.data.dataset import Dataset, Listing, Split, num_examples, take
from mi_coding.data.images import ImageSpec, resize_floats
from mi_coding.data.sources.base import Source
from mi_coding.errors import InputError, Setting

NUM_TEST = 397
NUM_VALIDATION = 150
_SPLIT_SEED = 0  # the split belongs to the data set: the seed of a run must not move images between splits


class Digits(Source):
    """Images of 8 × 8 pixels: 1,250 train, 150 validation, 397 test.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998 (its test set).
    """

    scheme = "digits"
    example = "digits"

    def check(self, typed: str) -> None:
        """Raises InputError for any argument, even an empty one."""
        if typed != self.scheme:
            raise InputError(Setting("data.source", typed), f" has an argument; expected {self.example!r} alone")

    def load(self, spec: ImageSpec) -> Dataset:
        """The three splits, in memory."""
        digits, class_names, _ = self.list_all(spec)
        order = np.random.default_rng(_SPLIT_SEED).permutation(num_examples(digits))
        test, validation, train = np.split(order, [NUM_TEST, NUM_TEST + NUM_VALIDATION])
        return Dataset("digits", *(take(digits, chosen) for chosen in (train, validation, test)), class_names)

    def list_all(self, spec: ImageSpec) -> Listing:
        """All 1,797 digits in the order of scikit-learn."""
        # Found without importing scikit-learn: that would take longer than reading the file.
        (package,) = importlib.util.find_spec("sklearn").submodule_search_locations
        numbers = np.loadtxt(Path(package, "datasets", "data", "digits.csv.gz"), delimiter=",", dtype=np.float32)
        images = resize_floats((numbers[:, :-1] / 16).reshape(-1, 8, 8, 1), spec)
        return Listing(Split(images, numbers[:, -1].astype(np.int32)), [str(digit) for digit in range(10)])
