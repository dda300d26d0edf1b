"""Where examples come from. A source is one string: its scheme picks a reader from `SOURCES`, one file each."""

import difflib
from collections.abc import Callable

from mi_coding.data import digits
from mi_coding.data.dataset import Dataset, Split
from mi_coding.errors import InputError

__all__ = ["SOURCES", "Dataset", "Split", "check_source", "load"]

SOURCES: dict[str, Callable[[str], Dataset]] = {"digits": digits.load}
"""Scheme of `config.data.source` (what stands before the colon) to its reader, which takes what stands after it."""


def check_source(source: str) -> None:
    """Refuses a source whose scheme no reader knows.

    Raises:
        InputError: naming the schemes that exist and the nearest one.
    """
    scheme = source.partition(":")[0]
    if scheme not in SOURCES:
        near = difflib.get_close_matches(scheme, SOURCES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(f"config.data.source={source!r} is unknown; expected one of {', '.join(SOURCES)}{hint}")


def load(source: str) -> Dataset:
    """Reads the examples named by one string, such as `digits`, split into train, validation and test.

    >>> digits = load("digits")
    >>> digits.test.images.shape, digits.test.images.dtype
    ((397, 8, 8, 1), dtype('float32'))

    Raises:
        InputError: for an unknown source.
    """
    check_source(source)
    scheme, _, argument = source.partition(":")
    return SOURCES[scheme](argument)
