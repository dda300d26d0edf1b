"""Which codes are similar? A two-dimensional map of the codes of test examples."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mi_coding.evaluation.base import Evaluator, Trained
from mi_coding.evaluation.codes import map_codes, why_no_map
from mi_coding.reporting.figure import BLUE, INK, TEXT, Axes, Figure, blank, heading
from mi_coding.reporting.page import Section
from mi_coding.reporting.point_map import CODE_COLOURS, PointMap, class_middles
from mi_coding.reporting.results import Summary
from mi_coding.reporting.strips import are_images, as_bytes, as_pictures

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
            text += (
                " Labels only colour the points: the encoder never learnt from them. A label is written where most of "
                "the codes around are its own. Choose labels to see only theirs."
            )
        names = None if labels is None else trained.label_names(labels)
        points = map_codes(trained.shown_codes)
        figure = code_map(points, labels, title="Codes of test examples", names=names)
        return [Section("Map of codes", text, figure, "codes", point_map=_on_page(trained, points, names))]


def _on_page(trained: Trained, points: np.ndarray, names: np.ndarray | None) -> PointMap:
    """The map of a page: each point has its view as a picture where there is one, its name and its class."""
    shown, views = trained.shown, np.asarray(trained.shown_views)
    captions = [f"[{row}]" for row in range(len(points))] if shown.names is None else list(shown.names)
    if trained.pairs.are_sequences:
        views = as_pictures(views)
    pictures = as_bytes(views) if are_images(views) else None
    if names is None:
        return PointMap(points, captions, pictures=pictures)
    captions = [f"{name} · {caption}" for name, caption in zip(names.tolist(), captions, strict=True)]
    class_names = dict(zip(shown.labels.tolist(), names.tolist(), strict=True))
    return PointMap(points, captions, shown.labels, class_names, pictures)


def code_map(points: np.ndarray, labels: np.ndarray | None, *, title: str, names: np.ndarray | None = None) -> Figure:
    """Codes in two dimensions, coloured by label; a label also stands among its codes where they cluster.

    Up to forty labels, int[n], are distinguishable; None stands for codes without labels. `names` has the displayed
    name of each point's label; None displays the labels themselves.

    Raises:
        ValueError: unless points is [n, 2] with one label per point.
    """
    points = np.asarray(points)
    if points.ndim != 2 or points.shape[1] != 2 or (labels is not None and len(labels) != len(points)):
        raise ValueError(f"points of shape {points.shape}: expected [n, 2], with one label per point")
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
    for value, middle in class_middles(points, labels).items():
        text = axes.annotate(shown[value], middle, fontsize=13, color=INK, weight="bold", ha="center", va="center")
        text.set_path_effects(halo)
