"""Which examples differ most from the others? By a few simple measures, each relative to its median."""

from typing import NamedTuple

import numpy as np

_MEASURES = ("dark or bright", "flat or contrasty", "blurred or noisy", "colourless or colourful")


class Oddity(NamedTuple):
    """One example that differs from the others."""

    position: int  # among the examples
    measure: str  # by which it differs most
    deviations: float  # how far from the median, in robust standard deviations (1.4826 median absolute deviations)


def oddest(examples: np.ndarray, count: int = 10) -> list[Oddity]:
    """The `count` examples that differ most from the median one, by brightness, contrast, sharpness or colour.

    >>> images = np.random.default_rng(0).integers(100, 156, (50, 8, 8, 3)).astype(np.uint8)
    >>> images[7] = 0
    >>> odd = oddest(images, 1)[0]
    >>> odd.position, odd.measure
    (7, 'dark or bright')

    Args:
        examples: [n, …] of any shape; of images [n, H, W, C] sharpness and colour are measured too.
    """
    values = _measures(np.asarray(examples, np.float32))
    middle = np.median(values, axis=0)
    spread = 1.4826 * np.median(np.abs(values - middle), axis=0)
    scale = np.where(spread > 0, spread, np.maximum(values.std(axis=0), 1e-12))
    away = np.abs(values - middle) / scale
    order = np.argsort(-away.max(axis=1), kind="stable")[:count]
    return [Oddity(int(i), _MEASURES[int(away[i].argmax())], float(away[i].max())) for i in order]


def _measures(examples: np.ndarray) -> np.ndarray:
    """float32[n, m]: mean, standard deviation, and for images mean difference between neighbours and channels."""
    flat = examples.reshape(len(examples), -1)
    measures = [flat.mean(axis=1), flat.std(axis=1)]
    if examples.ndim == 4:
        steps = [
            np.abs(np.diff(examples, axis=axis)).mean(axis=(1, 2, 3)) for axis in (1, 2) if examples.shape[axis] > 1
        ]
        measures.append(np.mean(steps, axis=0) if steps else np.zeros(len(examples)))
        measures.append(np.ptp(examples, axis=3).mean(axis=(1, 2)))
    return np.stack(measures, axis=1)
