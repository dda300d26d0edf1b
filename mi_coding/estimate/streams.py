"""Random streams of an estimate: one per purpose, so that none repeats what the user drew with the same seed."""

import zlib

import numpy as np


def stream(seed: int, purpose: str) -> np.random.Generator:
    """A generator for one purpose, such as "ties": a function of the seed and of a constant of the purpose.

    `numpy.random.default_rng(seed)` itself may have made the arrays; ranks whose ties were broken by the same numbers
    would share information with them.

    >>> float(stream(0, "ties").random()) == float(np.random.default_rng(0).random())
    False
    >>> float(stream(0, "ties").random()) == float(stream(0, "folds").random())
    False
    """
    return np.random.default_rng([zlib.crc32(f"mi_coding.estimate {purpose}".encode()), seed])
