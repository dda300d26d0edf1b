"""The interface of the formats of exported encoders."""

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mi_coding.runs.trained_encoder import TrainedEncoder

Program = Callable[[np.ndarray], np.ndarray]


class Format(ABC):
    """A format of exported encoders. A new one is added to `FORMATS`.

    Attributes:
        packages: the packages that it needs, of the extra "export".
    """

    packages: ClassVar[tuple[str, ...]] = ()

    def missing_packages(self) -> list[str]:
        """Packages that are not installed."""
        return [name for name in self.packages if importlib.util.find_spec(name) is None]

    def takes(self, encoder: TrainedEncoder) -> dict[str, str]:
        """The "dtype" and the "values" of the examples."""
        values = "in [0, 1]" if encoder.takes_images else "as in training"
        return {"dtype": encoder.dtype, "values": "0 .. 255" if encoder.dtype == "uint8" else values}

    def more(self, encoder: TrainedEncoder) -> dict[str, Any]:
        """Further entries of the description."""
        return {}

    @abstractmethod
    def content(self, encoder: TrainedEncoder) -> bytes:
        """The content of the file."""

    @abstractmethod
    def program(self, path: Path, encoder: TrainedEncoder) -> Program:
        """A file as a function of examples; `encoder`, that of the run, supplies what the file does not hold."""


def as_floats(examples: np.ndarray) -> np.ndarray:
    """float32: bytes of images divided by 255, other numbers unchanged."""
    return examples.astype(np.float32) / 255 if examples.dtype == np.uint8 else examples.astype(np.float32, copy=False)
