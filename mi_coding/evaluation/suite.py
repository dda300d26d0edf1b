"""Every question about a trained encoder, answered with one protocol."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mi_coding.data import Dataset, Split, blocks, num_examples, take
from mi_coding.evaluation.bound import HeldoutBound
from mi_coding.evaluation.codes import encode
from mi_coding.evaluation.discrete import CodeInformation, plug_in_entropy, plug_in_mi, usage
from mi_coding.evaluation.health import alignment, effective_rank, uniformity
from mi_coding.evaluation.probes import Examples, KnnProbe, LinearProbe, knn_probe, linear_probe
from mi_coding.objectives.codes import MOST_CODES
from mi_coding.pairs import PairKind, views


class ProbeSettings(NamedTuple):
    """How features are probed: views of each image, the nearest-neighbour vote, training images at most (0: all)."""

    views: int
    neighbours: int
    temperature: float
    most_images: int = 0


def probe(
    features: dict[str, Callable[[jax.Array], jax.Array]],
    dataset: Dataset,
    kind: PairKind,
    key: jax.Array,
    settings: ProbeSettings,
) -> dict[str, tuple[LinearProbe, KnnProbe]]:
    """Linear and nearest-neighbour accuracy for each kind of features, on single views of unseen images.

    Every kind sees the same views: several of each image, drawn as the encoder's x is, each with the image's label.

    Args:
        features: name → jitted function from views float32[n, H, W, C] to features float32[n, F].
        dataset: with labels.
        kind: draws a view.
        key: of the views.
        settings: see `ProbeSettings`.
    """
    train, validation, test = dataset[1:]
    if settings.most_images:
        train = fair_sample(train, settings.most_images)
    parts = [
        _examples(features, part, kind, k, settings.views)
        for part, k in zip((train, validation, test), jax.random.split(key, 3), strict=True)
    ]
    results = {}
    for name in features:
        train, validation, test = (part[name] for part in parts)
        nearest = knn_probe(train, test, neighbours=settings.neighbours, temperature=settings.temperature)
        results[name] = (linear_probe(train, validation, test), nearest)
    return results


def health(codes_x: np.ndarray, codes_y: np.ndarray | None, features: np.ndarray) -> dict[str, float]:
    """The entries of summary.json that tell a sick representation from a healthy one, from codes of held-out pairs.

    Without `codes_y`, where the two halves of a pair have codes of different kinds, there is no alignment.
    """
    return ({} if codes_y is None else {"health/alignment": alignment(codes_x, codes_y)}) | {
        "health/uniformity": uniformity(codes_x),
        "health/effective_rank": effective_rank(features),
        "health/feature_dim": features.shape[1],
    }


def fair_sample(split: Split, most: int) -> Split:
    """A split of at most so many examples, in memory; the same examples for every run."""
    count = num_examples(split)
    chosen = np.random.default_rng(0).choice(count, most, replace=False) if count > most else np.arange(count)
    return take(split, np.sort(chosen))


def make_accuracy(
    logits: Callable[[Any, Any, jax.Array], jax.Array], kind: PairKind, split: Split, key: jax.Array
) -> Callable[[tuple[Any, Any]], float]:
    """A function (params, stats) → fraction of images of a split whose label has the largest logit, on one view each.

    Args:
        logits: (params, stats, x) → float32[b, K].
        kind: draws a view.
        split: with labels; a fair sample of at most `MOST_JUDGED` images is judged.
        key: of the views.
    """
    sample = fair_sample(split, MOST_JUDGED)
    size = min(num_examples(sample), _JUDGED_AT_ONCE)
    count = num_examples(sample) // size * size
    shown = jax.jit(partial(views, kind=kind))(key, jax.tree.map(lambda half: half[:count], sample.examples))
    shown, labels = shown.reshape(-1, size, *shown.shape[1:]), jnp.asarray(sample.labels[:count]).reshape(-1, size)

    @jax.jit
    def accuracy(variables: tuple[Any, Any], shown: jax.Array, labels: jax.Array) -> jax.Array:
        chosen = jax.lax.map(lambda x: jnp.argmax(logits(*variables, x), axis=1), shown)
        return jnp.mean(chosen == labels)

    return lambda variables: float(accuracy(variables, shown, labels))


def bound_summary(bound: HeldoutBound, prefix: str) -> dict[str, float]:
    """The entries of summary.json for one held-out bound, such as `heldout/mi_lower_bound_nats`.

    Of sequences that is the mean over steps ahead, and `heldout/mi_lower_bound_nats_ahead_1` is that of one step.
    """
    summary = {
        f"{prefix}/mi_lower_bound_nats": bound.mi_lower_bound,
        f"{prefix}/mi_standard_error_nats": bound.standard_error,
        f"{prefix}/mi_ceiling_nats": bound.ceiling,
        f"{prefix}/num_candidates": bound.num_candidates,
        f"{prefix}/accuracy": bound.accuracy,
    }
    for k, ahead in enumerate(bound.ahead, start=1):
        summary[f"{prefix}/mi_lower_bound_nats_ahead_{k}"] = ahead.mi_lower_bound
        summary[f"{prefix}/mi_standard_error_nats_ahead_{k}"] = ahead.standard_error
        summary[f"{prefix}/accuracy_ahead_{k}"] = ahead.accuracy
    return summary


def code_summary(found: CodeInformation, z_x: np.ndarray, z_y: np.ndarray, num_values: int) -> dict[str, float]:
    """The entries of summary.json for a discrete code, from the codes int[n, M] of held-out pairs.

    What needs every code, or every pair of codes, to have a frequency is left out where there are too many.
    """
    num_codes = num_values ** z_x.shape[1]
    summary = {
        "heldout/entropy_nats": found.entropy,
        "heldout/conditional_entropy_nats": found.conditional_entropy,
        "heldout/mi_nats": found.mi,
        "heldout/mi_nats_standard_error": found.standard_error,
        "heldout/bits_per_example": found.entropy / math.log(2),
    }
    if num_codes <= MOST_CODES:
        used = usage(z_x)
        summary |= {"heldout/plug_in_entropy_nats": plug_in_entropy(z_x)}
        summary |= {"code/used": used.used, "code/possible": num_codes, "code/perplexity": used.perplexity}
    if num_codes**2 <= MOST_CODES:
        summary["heldout/plug_in_mi_nats"] = plug_in_mi(z_x, z_y)
    return summary


def probe_summary(results: dict[str, tuple[LinearProbe, KnnProbe]], settings: ProbeSettings) -> dict[str, float]:
    """The entries of summary.json for the probes of trained, untrained and raw features."""
    (linear, knn), (random_linear, random_knn), (raw_linear, raw_knn) = (
        results[name] for name in (TRAINED, UNTRAINED, RAW)
    )
    code = {"probe/code_accuracy": results[CODE][0].accuracy} if CODE in results else {}
    return code | {
        "probe/linear_accuracy": linear.accuracy,
        "probe/linear_top5_accuracy": linear.top5_accuracy,
        "probe/knn_accuracy": knn.accuracy,
        "probe/knn_top5_accuracy": knn.top5_accuracy,
        "probe/random_encoder_accuracy": random_linear.accuracy,
        "probe/random_encoder_knn_accuracy": random_knn.accuracy,
        "probe/raw_pixels_accuracy": raw_linear.accuracy,
        "probe/raw_pixels_knn_accuracy": raw_knn.accuracy,
        "probe/regulariser": linear.regulariser,
        "probe/knn_neighbours": settings.neighbours,
        "probe/knn_temperature": settings.temperature,
    }


TRAINED, UNTRAINED, RAW, CODE = "trained encoder", "untrained encoder", "raw pixels", "discrete code"


RAW_PLACES = 32 * 32
"""Larger images, and longer sequences, are shrunk to about so many places before they are a baseline."""
MOST_HELDOUT, MOST_JUDGED = 10_000, 2048
"""Images in memory for bounds and pictures; validation images for the curve of the online probe."""
_JUDGED_AT_ONCE = 256
_BLOCK = 4096  # images read, shown and encoded at a time


def raw_pixels(x: jax.Array) -> jax.Array:
    """The baseline that learns nothing: numbers in a row, of at most about 32 × 32 places for each channel.

    >>> raw_pixels(jnp.ones((2, 8, 8, 1))).shape, raw_pixels(jnp.ones((2, 224, 224, 3))).shape
    ((2, 64), (2, 3072))
    >>> raw_pixels(jnp.ones((2, 100, 160))).shape, raw_pixels(jnp.ones((2, 12, 16, 16, 1))).shape  # steps; a clip
    ((2, 1024), (2, 1000))
    """
    if x.ndim == 2:
        return x
    x = x[..., None] if x.ndim == 3 else x
    places = x.shape[1:-1]
    side = tuple(min(size, int(RAW_PLACES ** (1 / len(places)) + 1e-9)) for size in places)
    if side != places:
        x = jax.image.resize(x, (x.shape[0], *side, x.shape[-1]), "linear")
    return x.reshape(x.shape[0], -1)


def _examples(
    features: dict[str, Callable], split: Split, kind: PairKind, key: jax.Array, views_each: int
) -> dict[str, Examples]:
    """Name of features → features and labels of several views of each image; images are read a block at a time."""
    show = jax.jit(jax.vmap(kind.view))
    keys = jax.random.split(key, num_examples(split) * views_each)
    parts, labels, done = {name: [] for name in features}, [], 0
    for block in blocks(split, _BLOCK):
        labels.append(np.repeat(block.labels, views_each))
        images = jax.tree.map(lambda half: np.repeat(half, views_each, axis=0), block.examples)
        shown = show(keys[done : done + len(labels[-1])], images)
        done += len(labels[-1])
        for name, function in features.items():
            parts[name].append(encode(function, shown))
    labels = np.concatenate(labels)
    known = labels >= 0  # others are hidden, and nothing can be learnt from them
    return {name: Examples(np.concatenate(part)[known], labels[known]) for name, part in parts.items()}
