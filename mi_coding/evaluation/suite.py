"""Every question about a trained encoder, answered with one protocol."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from mi_coding.data import Dataset, Split
from mi_coding.evaluation.bound import HeldoutBound
from mi_coding.evaluation.codes import encode
from mi_coding.evaluation.probes import Examples, knn_probe, linear_probe
from mi_coding.pairs import PairKind, views


class ProbeSettings(NamedTuple):
    """How features are probed: views of each image, and the nearest-neighbour vote."""

    views: int
    neighbours: int
    temperature: float


def probe(
    features: dict[str, Callable[[jax.Array], jax.Array]],
    dataset: Dataset,
    kind: PairKind,
    key: jax.Array,
    settings: ProbeSettings,
) -> dict[str, Any]:
    """Linear and nearest-neighbour accuracy for each kind of features, on single views of unseen images.

    Every kind sees the same views: several of each image, drawn as the encoder's x is, each with the image's label.

    Args:
        features: name → function from views float32[n, H, W, C] to features float32[n, F].
        dataset: with labels.
        kind: draws a view.
        key: of the views.
        settings: see `ProbeSettings`.
    Returns:
        name → (LinearProbe, kNN accuracy).
    """
    shown = [
        _views(part, kind, k, settings.views) for part, k in zip(dataset[1:], jax.random.split(key, 3), strict=True)
    ]
    results = {}
    for name, function in features.items():
        train, validation, test = (Examples(encode(function, x), labels) for x, labels in shown)
        nearest = knn_probe(train, test, neighbours=settings.neighbours, temperature=settings.temperature)
        results[name] = (linear_probe(train, validation, test), nearest)
    return results


def bound_summary(bound: HeldoutBound, prefix: str) -> dict[str, float]:
    """The entries of summary.json for one held-out bound, such as `heldout/mi_lower_bound_nats`."""
    return {
        f"{prefix}/mi_lower_bound_nats": bound.mi_lower_bound,
        f"{prefix}/mi_standard_error_nats": bound.standard_error,
        f"{prefix}/mi_ceiling_nats": bound.ceiling,
        f"{prefix}/num_candidates": bound.num_candidates,
        f"{prefix}/accuracy": bound.accuracy,
    }


def probe_summary(results: dict[str, Any], settings: ProbeSettings) -> dict[str, float]:
    """The entries of summary.json for the probes of trained, untrained and raw features."""
    (linear, knn), (random_linear, random_knn), (raw_linear, raw_knn) = (
        results[name] for name in (TRAINED, UNTRAINED, RAW)
    )
    return {
        "probe/linear_accuracy": linear.accuracy,
        "probe/knn_accuracy": knn,
        "probe/random_encoder_accuracy": random_linear.accuracy,
        "probe/random_encoder_knn_accuracy": random_knn,
        "probe/raw_pixels_accuracy": raw_linear.accuracy,
        "probe/raw_pixels_knn_accuracy": raw_knn,
        "probe/regulariser": linear.regulariser,
        "probe/knn_neighbours": settings.neighbours,
        "probe/knn_temperature": settings.temperature,
    }


TRAINED, UNTRAINED, RAW = "trained encoder", "untrained encoder", "raw pixels"


def raw_pixels(x: jax.Array) -> jax.Array:
    """The baseline that learns nothing: pixels in a row, float32[n, H·W·C]."""
    return x.reshape(x.shape[0], -1)


def _views(part: Split, kind: PairKind, key: jax.Array, count: int) -> tuple[np.ndarray, np.ndarray]:
    images, labels = np.repeat(part.images, count, axis=0), np.repeat(part.labels, count)
    return np.asarray(jax.jit(lambda k, x: views(k, x, kind))(key, images)), labels
