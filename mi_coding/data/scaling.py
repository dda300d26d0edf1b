"""Columns of tables scaled to mean 0 and standard deviation 1, as measured on the training split."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mi_coding.data.dataset import Split, halves

Scale = list[dict[str, list[float]] | None]
"""For each half of an example the "mean" and "deviation" of its columns, None where it is not a table; plain values."""


def fit_scale(train: Split) -> Scale | None:
    """The scale of the halves that are tables, float[n, D]; None where none is.

    A constant column is not rescaled: its deviation counts as 1.

    >>> fit_scale(Split((np.array([[1.0, 7.0], [3.0, 7.0]]), np.zeros((2, 4, 4, 1))), None))
    [{'mean': [2.0, 7.0], 'deviation': [1.0, 1.0]}, None]
    """
    parts = halves(train.examples) if isinstance(train.examples, (np.ndarray, tuple)) else ()
    scale = [_fitted(part) for part in parts]
    return scale if any(scale) else None


def apply_scale(split: Split, scale: Scale) -> Split:
    """A split of such examples in memory, with its tables scaled, in float32."""
    pairs = zip(halves(split.examples), scale, strict=True)
    scaled = tuple(part if one is None else scaled_half(part, one) for part, one in pairs)
    return split._replace(examples=scaled if isinstance(split.examples, tuple) else scaled[0])


def scaled_half(examples: Any, scale: dict[str, Sequence[float]]) -> np.ndarray:
    """float32[n, D]: one table scaled."""
    values = np.asarray(examples, np.float64)
    return ((values - np.array(scale["mean"])) / np.array(scale["deviation"])).astype(np.float32)


def _fitted(part: np.ndarray) -> dict[str, list[float]] | None:
    if part.ndim != 2 or not np.issubdtype(part.dtype, np.floating):
        return None
    mean, deviation = part.mean(axis=0, dtype=np.float64), part.std(axis=0, dtype=np.float64)
    constant = deviation <= 1e-12 * np.maximum(np.abs(mean), 1)
    return {"mean": mean.tolist(), "deviation": np.where(constant, 1, deviation).tolist()}
