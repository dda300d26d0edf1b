"""Which codes are similar? A two-dimensional map of the codes of test examples."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mi_coding.evaluation.base import Evaluator, Trained
from mi_coding.evaluation.codes import map_codes, why_no_map
from mi_coding.reporting.figure import BLUE, INK, TEXT, Axes, Figure, blank, heading
from mi_coding.reporting.page import Section
from mi_coding.reporting.results import Summary

# Ten colours of moderate chroma, chosen to be far apart in OKLab for normal, protanopic and deuteranopic eyes alike.
CODE_COLOURS = (
    *("#00b4ff", "#78000f", "#ffb42d", "#5a0f78", "#69e1b4"),
    *("#a53c87", "#969600", "#5a69d2", "#c387a5", "#875a1e"),
)
_MARKERS = "o^sD"  # a second, third and fourth round of the colours


@dataclass(frozen=True)
class CodeMap(Evaluator):
    """Codes of test examples by t-SNE; labels only colour the points."""

    def sections(self, trained: Trained, summary: Summary) -> list[Section]:
        if reason := why_no_map(trained.shown_codes):
            return [Section("Map of codes", f"No map: {reason}.", None, "codes")]
        labels = trained.shown.labels
        text = (
            "Codes of one view of each test example, laid out by t-SNE so that codes with a large cosine lie together."
        )
        if labels is not None:
            text += " Labels only colour the points: the encoder never learnt from them."
        names = None if labels is None else trained.label_names(labels)
        figure = code_map(map_codes(trained.shown_codes), labels, title="Codes of test examples", names=names)
        return [Section("Map of codes", text, figure, "codes")]


def code_map(points: np.ndarray, labels: np.ndarray | None, *, title: str, names: np.ndarray | None = None) -> Figure:
    """Codes in two dimensions, coloured by label; a label also stands amid its codes where they keep together.

    Up to forty labels, int[n], are distinguishable; None stands for codes without labels. `names` has the displayed
    name of each point's label; None displays the labels themselves.

    Raises:
        ValueError: unless points is [n, 2] with one label a point.
    """
    points = np.asarray(points)
    if points.ndim != 2 or points.shape[1] != 2 or (labels is not None and len(labels) != len(points)):
        raise ValueError(f"points of shape {points.shape}: expected [n, 2], with one label a point")
    figure = blank(5.6)
    legend_columns = 0 if labels is None else -(-len(np.unique(labels)) // 20)
    axes = figure.add_axes((0.01, 0.01, 0.97 - 0.09 * min(legend_columns, 4), 0.925))
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.margins(0.03)
    size = float(np.clip(12_000 / max(len(points), 1), 8, 36))  # in square points: large for few codes, small for many
    if labels is None:
        axes.scatter(*points.T, s=size, color=BLUE, alpha=0.7, linewidths=0)
    else:
        labels = np.asarray(labels)
        shown = {value: str(value if names is None else names[labels == value][0]) for value in np.unique(labels)}
        widest = max(map(len, shown.values()))
        room = (0.055 + 0.0105 * widest) * min(legend_columns, 4)
        axes.set_position((0.01, 0.01, 0.98 - min(room, 0.4), 0.925))
        _scatter_by_label(axes, points, labels, shown, size)
    heading(figure, title)
    return figure


def _scatter_by_label(
    axes: Axes, points: np.ndarray, labels: np.ndarray, shown: Mapping[Any, str], size: float
) -> None:
    for index, (value, name) in enumerate(shown.items()):
        own = points[labels == value]
        colour = CODE_COLOURS[index % len(CODE_COLOURS)]
        marker = _MARKERS[index // len(CODE_COLOURS) % len(_MARKERS)]
        style = {"color": colour, "marker": marker, "linewidths": 0, "alpha": 0.85}
        axes.scatter(*own.T, s=size, label=name, **style)
    place = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "borderaxespad": 0, "ncols": -(-len(shown) // 20)}
    spacing = {"handletextpad": 0.1, "columnspacing": 0.8, "markerscale": 36**0.5 / size**0.5}
    axes.legend(frameon=False, fontsize=TEXT, labelcolor=INK, **place, **spacing)
    if len(shown) <= len(CODE_COLOURS):
        _label_middles(axes, points, labels, shown)


def _label_middles(axes: Axes, points: np.ndarray, labels: np.ndarray, shown: Mapping[Any, str]) -> None:
    """Each label at the median of its codes, where most of the codes around are its own."""
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=3.5, foreground="white")]
    for value, name in shown.items():
        own = points[labels == value]
        middle = np.median(own, axis=0)
        around = np.argsort(np.linalg.norm(points - middle, axis=1))[: min(30, len(own))]
        if np.mean(labels[around] == value) > 0.6:
            text = axes.annotate(name, middle, fontsize=13, color=INK, weight="bold", ha="center", va="center")
            text.set_path_effects(halo)
