"""What do frozen features say about a label? Two probes, on features of the trained encoder and of two baselines."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mi_coding.data import Dataset, Split, num_examples
from mi_coding.evaluation.base import (
    Evaluator,
    LabelledViews,
    Trained,
    labelled_sample,
    num_known_classes,
    unlabelled_splits,
)
from mi_coding.evaluation.classifiers import knn_probe, linear_probe
from mi_coding.evaluation.codes import filled
from mi_coding.methods import Variables
from mi_coding.options import Positive, PositiveInt, group, option
from mi_coding.pairs import PairSampler
from mi_coding.reporting.figure import INK, MUTED, SMALL, TEXT, TITLE, Axes, Figure, blank
from mi_coding.reporting.page import Section
from mi_coding.reporting.results import Group, Summary, Tile, finite, percent, show

TRAINED, STARTED, UNTRAINED, RAW = "trained encoder", "encoder it started from", "untrained encoder", "raw input"
_LARGEST = "probe/largest_class_share"  # accuracy of always guessing the most frequent class of the test examples
FEATURES = {  # kind of features → the summary's keys for their linear and their nearest-neighbour accuracy
    TRAINED: ("probe/linear_accuracy", "probe/knn_accuracy"),
    STARTED: ("probe/start_encoder_accuracy", "probe/start_encoder_knn_accuracy"),
    UNTRAINED: ("probe/random_encoder_accuracy", "probe/random_encoder_knn_accuracy"),
    RAW: ("probe/raw_pixels_accuracy", "probe/raw_pixels_knn_accuracy"),
}
RAW_PLACES = 32 * 32  # larger images, and longer sequences, are resized to about as many to serve as a baseline
MOST_JUDGED = 2048  # validation images for the curve of the online probe
_JUDGED_AT_ONCE = 256
_SETTINGS = {
    "probe/regulariser": "linear probe: regulariser",
    "probe/knn_neighbours": "kNN: neighbours",
    "probe/knn_temperature": "kNN: temperature",
}
_TOP_FIVE = ("probe/linear_top5_accuracy", "probe/knn_top5_accuracy")
_PROTOCOL = (
    "Frozen features before the head, batch norm in inference mode; L-BFGS logistic regression, its L2 penalty chosen "
    "on validation examples; vote of cosine neighbours."
)
_BAR_COLOURS = ("#2456a6", "#8d99ae", "#c3cad5")


@dataclass(frozen=True)
class LabelProbes(Evaluator):
    """Accuracy for the label from one view, by logistic regression and nearest neighbours; none without labels.

    The trained encoder is compared with the encoder before the first step, with raw numbers, and, where a run has
    started from the encoder of another, with that one.
    """

    labelled: LabelledViews = group(LabelledViews)
    knn_neighbours: PositiveInt = option("evaluation.knn_neighbours", 20, "training views that vote on a label")
    knn_temperature: Positive = option(
        "evaluation.knn_temperature", 0.07, "weight of a vote: exp(cosine / temperature), arXiv:1805.01978"
    )

    def shortcomings(self, dataset: Dataset) -> list[str]:
        unknown = [f"no {name}" for name in unlabelled_splits(dataset)]
        if not 0 < len(unknown) < len(dataset.splits):
            return []
        which = " and ".join(unknown)
        return [f"{which} example has a known label, so there are no probes: label some, or none at all"]

    def evaluate(self, trained: Trained) -> dict[str, Any]:
        if not trained.num_classes or unlabelled_splits(trained.dataset):
            return {}
        encoders = compared_encoders(trained)
        if trained.started and (started := trained.started()) is not None:
            encoders[STARTED] = trained.encoder("features", started)
        vote = {"neighbours": self.knn_neighbours, "temperature": self.knn_temperature}
        summary = {}
        for name, splits in self.labelled.encoded(encoders, trained).items():
            linear, knn = linear_probe(*splits), knn_probe(splits[0], splits[2], **vote)
            summary |= zip(FEATURES[name], (linear.accuracy, knn.accuracy), strict=True)
            if name == TRAINED:
                summary |= zip(_TOP_FIVE, (linear.top5_accuracy, knn.top5_accuracy), strict=True)
                summary["probe/regulariser"] = linear.regulariser
                summary[_LARGEST] = _largest_share(splits[2].labels)
                count = len(splits[2].labels) // self.labelled.views  # views of one example are not independent
                _warn_of_majority(trained, linear.accuracy, summary[_LARGEST], count)
        return summary | {f"probe/knn_{name}": value for name, value in vote.items()}

    def validation(self, trained: Trained) -> Callable[[int, Variables], dict[str, float]] | None:
        if not trained.method.has_probe or "validation" in unlabelled_splits(trained.dataset):
            return None
        split, key = trained.dataset.validation, trained.key("validation")
        accuracy = make_accuracy(trained.method.probe_logits, trained.pairs, split, key)
        return lambda step, variables: {"validation/online_probe_accuracy": accuracy(variables)}

    def groups(self, summary: Summary) -> list[Group]:
        found = {name: keys for name, keys in FEATURES.items() if any(key in summary for key in keys)}
        if not found:
            return []
        rows = [(name, *(show(summary, key, percent) for key in keys)) for name, keys in found.items()]
        if any(key in summary for key in _TOP_FIVE):
            rows.insert(1, (f"{TRAINED}, among its first five", *(show(summary, key, percent) for key in _TOP_FIVE)))
        if _LARGEST in summary:
            rows.append(("the largest class alone", *[show(summary, _LARGEST, percent)] * 2))
        settings = "; ".join(f"{label} {show(summary, key)}" for key, label in _SETTINGS.items() if key in summary)
        note = f"{_PROTOCOL} {settings[:1].upper()}{settings[1:]}." if settings else _PROTOCOL
        keys = frozenset((*_SETTINGS, *_TOP_FIVE, _LARGEST, *(key for keys in found.values() for key in keys)))
        title, columns = "label of a test example, from all training labels", ("features", "linear probe", "cosine kNN")
        return [Group(title, columns, tuple(rows), note, keys)]

    def tiles(self, summary: Summary) -> list[Tile]:
        columns = enumerate(("linear probe", "cosine kNN"))
        return [_tile(summary, label, column) for column, label in columns if FEATURES[TRAINED][column] in summary]

    def sections(self, trained: Trained, summary: Summary) -> list[Section]:
        if FEATURES[TRAINED][0] not in summary:
            return []
        accuracies = {
            label: {name: summary[keys[column]] for name, keys in FEATURES.items() if keys[column] in summary}
            for column, label in enumerate(("linear", "cosine kNN"))
        }
        text = (
            "Accuracy in predicting the label from one view of an unseen example. Features are frozen, before the "
            "head; the linear probe is multinomial logistic regression, its regulariser chosen on validation examples."
        )
        figure = probe_bars(accuracies, chance=1 / num_known_classes(trained.dataset.train))
        return [Section("What the features say about the label", text, figure, "probes")]


def compared_encoders(trained: Trained) -> dict[str, Callable[[jax.Array], jax.Array]]:
    """The encoders in question, and those they are compared with."""
    return {
        TRAINED: trained.encoder("features"),
        UNTRAINED: trained.encoder("features", trained.untrained()),
        RAW: _raw_pixels,
    }


def _largest_share(labels: np.ndarray) -> float:
    return float(np.unique(labels, return_counts=True)[1].max() / len(labels))


def _warn_of_majority(trained: Trained, accuracy: float, share: float, count: int) -> None:
    """Warns of a probe that does not beat a constant guess of the largest class by at least one standard error."""
    if accuracy <= share + np.sqrt(share * (1 - share) / count):
        found = f"the linear probe is right for {accuracy:.1%}, and the largest class has {share:.1%} of the examples"
        trained.warn(f"{found}: the features say nothing about the label; see the data in the report")


def raw_pixels(x: jax.Array) -> jax.Array:
    """The baseline without an encoder: the flattened input, of at most about 32 × 32 places for each channel.

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


_raw_pixels = jax.jit(raw_pixels)


def make_accuracy(
    logits: Callable[[Any, Any, jax.Array], jax.Array], pairs: PairSampler, split: Split, key: jax.Array
) -> Callable[[Variables], float]:
    """A function (params, stats) → fraction of images of a split whose label has the largest logit, on one view each.

    `logits` takes (params, stats, x); a sample of at most `MOST_JUDGED` images with known labels is judged; `key` is
    for the views.
    """
    sample = labelled_sample(split, MOST_JUDGED)
    count = num_examples(sample)
    size = min(count, _JUDGED_AT_ONCE)
    shown = jax.jit(pairs.views)(key, sample.examples)
    shown, labels = filled(shown, count + -count % size), jnp.asarray(sample.labels)
    shown = shown.reshape(-1, size, *shown.shape[1:])

    @jax.jit
    def accuracy(variables: Variables, shown: jax.Array, labels: jax.Array) -> jax.Array:
        chosen = jax.lax.map(lambda x: jnp.argmax(logits(*variables, x), axis=1), shown)
        return jnp.mean(chosen.ravel()[:count] == labels)

    return lambda variables: float(accuracy(variables, shown, labels))


def _tile(summary: Summary, label: str, column: int) -> Tile:
    baselines = ((name, FEATURES[name][column]) for name in (UNTRAINED, RAW))
    shown = [f"{name} {show(summary, key, percent)}" for name, key in baselines if key in summary]
    key = FEATURES[TRAINED][column]
    value = show(summary, key, lambda fraction: f"{100 * fraction:.1f}")
    return Tile(label, value, "%", ", ".join(shown), finite(summary, key))


def probe_bars(accuracies: Mapping[str, Mapping[str, float]], *, chance: float | None) -> Figure:
    """Accuracy of each probe on each kind of features, as bars with their values: one panel per probe.

    Args:
        accuracies: probe → features → fraction right; the first features are in question, the others for comparison.
        chance: fraction that a guess gets right, drawn as a line; None for none.
    Raises:
        ValueError: where there is no accuracy at all.
    """
    names = list(dict.fromkeys(name for probe in accuracies.values() for name in probe))
    if not names:
        raise ValueError("accuracies is empty: expected at least one probe with one kind of features")
    figure = blank(0.85 + 0.34 * len(names))
    panels = figure.subplots(1, max(2, len(accuracies)), sharey=True)  # one panel alone keeps the same bar lengths
    height = figure.get_figheight()
    figure.subplots_adjust(left=0.155, right=0.91, top=1 - 0.42 / height, bottom=0.36 / height, wspace=0.27)
    for axes in panels[len(accuracies) :]:
        axes.remove()
    for axes, (probe, values) in zip(panels, accuracies.items(), strict=False):
        _bars(axes, names, values)
        if chance is not None:
            axes.axvline(chance, color=INK, linewidth=1, dashes=(2, 2))
            place = {"xycoords": ("data", "axes fraction"), "xytext": (0, -4), "textcoords": "offset points"}
            text = f"chance {100 * chance:.3g} %"
            axes.annotate(text, (chance, 0), fontsize=SMALL, color=MUTED, ha="center", va="top", **place)
        axes.set_title(probe, loc="left", fontsize=TITLE, color=INK, fontweight="bold", pad=9)
    return figure


def _bars(axes: Axes, names: Sequence[str], values: Mapping[str, float]) -> None:
    axes.set(xlim=(0, 1), ylim=(len(names) - 0.5, -0.5), xticks=[])
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(length=0, labelsize=TEXT, labelcolor=INK)
    axes.spines[:].set_visible(False)
    for row, name in enumerate(names):
        if name in values:
            axes.barh(row, 1, height=0.62, color="#f3f4f7")
            axes.barh(row, values[name], height=0.62, color=_BAR_COLOURS[min(row, len(_BAR_COLOURS) - 1)])
            place = {"xytext": (5, 0), "textcoords": "offset points", "va": "center", "annotation_clip": False}
            weight = "bold" if row == 0 else "normal"
            axes.annotate(percent(values[name]), (1, row), fontsize=TEXT, color=INK, fontweight=weight, **place)
