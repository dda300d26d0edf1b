"""`config.data.placement`: whether decoded images stay in memory or are streamed."""

from collections.abc import Sequence

import numpy as np

from mi_coding.data.dataset import Split
from mi_coding.errors import InputError, Setting

PLACEMENTS = ("auto", "memory", "stream")
"""Values of `config.data.placement`."""

MEMORY_BYTES = 4 * 2**30
"""Size of the decoded images of all splits up to which "auto" keeps them in memory."""


def check_placement(placement: str) -> None:
    """Raises `InputError` unless `placement` is one of `PLACEMENTS`."""
    if placement not in PLACEMENTS:
        raise InputError(Setting("data.placement", placement), f" is unknown; expected one of {', '.join(PLACEMENTS)}")


def num_bytes(splits: Sequence[Split]) -> int:
    """Bytes of the images of all splits once they are decoded to uint8."""
    return int(sum(np.prod(split.examples.shape, dtype=np.int64) for split in splits))


def is_kept_in_memory(splits: Sequence[Split], placement: str) -> bool:
    """Whether the images of these splits are decoded into memory."""
    return placement == "memory" or (placement == "auto" and num_bytes(splits) <= MEMORY_BYTES)
