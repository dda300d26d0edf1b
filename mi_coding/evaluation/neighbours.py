"""Which training examples have similar codes? Nearest neighbours of some test examples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mi_coding.data import Split
from mi_coding.evaluation.base import MOST_HELDOUT, Evaluator, Trained, subsample
from mi_coding.evaluation.codes import encode, nearest
from mi_coding.reporting.figure import MUTED, ORANGE, SMALL, heading
from mi_coding.reporting.page import Section, Table
from mi_coding.reporting.pictures import as_pictures
from mi_coding.reporting.strips import are_images, as_images, aspect, draw_caption, draw_tile, tile_canvas

NUM_QUERIES, NUM_NEIGHBOURS = 10, 6
"""Test images that a report shows, and neighbours of each."""


@dataclass(frozen=True)
class NearestNeighbours(Evaluator):
    """Test views with the training views whose codes are nearest, of examples that can be shown as images."""

    def sections(self, trained: Trained, summary: Mapping[str, Any]) -> list[Section]:
        del summary
        known, queries = subsample(trained.dataset.train, MOST_HELDOUT), trained.shown_codes
        known_views = trained.views(trained.report_keys.train, known.examples)
        known_codes = encode(partial(trained.codes, *trained.variables), known_views)
        asked = np.linspace(0, len(queries) - 1, min(NUM_QUERIES, len(queries))).astype(int)  # of films: of all films
        positions, cosines = nearest(queries[asked], known_codes, count=NUM_NEIGHBOURS)
        views = np.asarray(trained.shown_views)[asked], np.asarray(known_views)[positions]
        return neighbour_section(
            *(_sequence_pictures(*views) if trained.pairs.are_sequences else views),
            cosines,
            labels=_labels(trained.shown, known, asked, positions),
            names=_names(trained.shown, known, asked, positions),
        )


def neighbour_section(
    queries: np.ndarray,
    near: np.ndarray,
    cosines: np.ndarray,
    *,
    labels: tuple[np.ndarray, np.ndarray] | None = None,
    names: tuple[Sequence[str], Sequence[Sequence[str]]] | None = None,
) -> list[Section]:
    """Test views with the training views whose codes are nearest; empty for examples that are no images.

    Args:
        queries: float[q, H, W, C], test views.
        near: float[q, k, H, W, C], training views, nearest first.
        cosines: float[q, k].
        labels: of the queries, [q], and of the training views, [q, k]; None where there are none.
        names: the same for the files they are from.
    """
    if not are_images(queries):
        return []
    query_labels, near_labels = labels or (None, None)
    figure = nearest_neighbours(
        queries, near, query_labels=query_labels, neighbour_labels=near_labels, similarities=cosines
    )
    text = (
        "On the left a view of a test image, then the views of training images with the nearest codes and their cosine."
    )
    table = None if names is None else _name_table(*names, cosines)
    return [Section("Nearest neighbours", text, figure, "neighbours", table)]


def _labels(
    shown: Split, known: Split, asked: np.ndarray, positions: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    return None if shown.labels is None else (shown.labels[asked], known.labels[positions])


def _names(
    shown: Split, known: Split, asked: np.ndarray, positions: np.ndarray
) -> tuple[list[str], list[list[str]]] | None:
    """Names of the queries and, for each, of its neighbours."""
    if shown.names is None:
        return None
    return [shown.names[i] for i in asked], [[known.names[position] for position in row] for row in positions.tolist()]


def _sequence_pictures(queries: np.ndarray, near: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sequences [q, …] and their neighbours [q, k, …] as images, on one scale of grey."""
    together = np.concatenate([queries[:, None], near], axis=1)
    pictures = as_pictures(together.reshape(-1, *queries.shape[1:]))
    pictures = pictures.reshape(*together.shape[:2], *pictures.shape[1:])
    return pictures[:, 0], pictures[:, 1:]


def _name_table(queries: Sequence[str], near: Sequence[Sequence[str]], cosines: np.ndarray) -> Table:
    """One row a neighbour, so that long names have room; a query is named once, beside its nearest."""
    rows = [
        (query if rank == 0 else "", name, f"{cosine:.2f}")
        for query, names, row in zip(queries, near, cosines, strict=True)
        for rank, (name, cosine) in enumerate(zip(names, row, strict=True))
    ]
    return Table("File names", ("query", "nearest first", "cosine"), rows)


def nearest_neighbours(
    queries: np.ndarray,
    neighbours: np.ndarray,
    *,
    query_labels: np.ndarray | None = None,
    neighbour_labels: np.ndarray | None = None,
    similarities: np.ndarray | None = None,
) -> Figure:
    """Queries and, to the right of each, its neighbours from near to far; those with another label are framed.

    Args:
        queries: float[q, H, W, C] in 0..1, C = 1 or 3.
        neighbours: float[q, k, H, W, C], nearest first.
        query_labels: [q], any type that compares; with `neighbour_labels`, or neither.
        neighbour_labels: [q, k].
        similarities: float[q, k], printed under the neighbours.
    Returns:
        The figure.
    Raises:
        ValueError: for shapes that do not fit each other.
    """
    queries, shape = as_images(queries), np.shape(neighbours)
    if len(shape) != 5 or shape[0] != len(queries):
        raise ValueError(f"neighbours of shape {shape}: expected [q, k, H, W, C] with q = {len(queries)}")
    near = as_images(np.reshape(neighbours, (-1, *shape[2:]))).reshape(*shape[:2], *queries.shape[1:])
    differs = None
    if query_labels is not None and neighbour_labels is not None:
        differs = np.asarray(neighbour_labels) != np.asarray(query_labels)[:, None]
    return _neighbour_grid(queries, near, differs, _captions(differs, neighbour_labels, similarities))


def _captions(
    differs: np.ndarray | None, labels: np.ndarray | None, similarities: np.ndarray | None
) -> list[list[str]] | None:
    """Under each neighbour: its label where that is another than the query's, and its similarity."""
    if differs is None and similarities is None:
        return None
    shape = np.shape(similarities if differs is None else differs)
    captions = [["" for _ in range(shape[1])] for _ in range(shape[0])]
    for row, column in np.ndindex(shape):
        label = [f"is {labels[row][column]}"] if differs is not None and differs[row, column] else []
        value = [] if similarities is None else [f"{similarities[row][column]:.2f}"]
        captions[row][column] = " · ".join(label + value)
    return captions


def _neighbour_grid(
    queries: np.ndarray, near: np.ndarray, differs: np.ndarray | None, captions: list[list[str]] | None
) -> Figure:
    """Two blocks side by side where they fit, so that ten queries do not make a tower."""
    count, k = near.shape[:2]
    blocks = 2 if count > 3 and k <= 6 else 1
    per_block = -(-count // blocks)
    pitch, width = aspect(queries) + (0.28 if captions else 0.0), k + 1.25
    figure, axes = tile_canvas(columns=blocks * (width + 0.5) - 0.5, rows=per_block * pitch, header=0.56)
    for block in range(blocks):
        _note(axes, "query", block * (width + 0.5), -0.07)
        _note(axes, "nearest first", block * (width + 0.5) + 1.25, -0.07)
    for index in range(count):
        left, top = index // per_block * (width + 0.5), index % per_block * pitch
        draw_tile(axes, queries[index], left, top)
        for column in range(k):
            other = differs is not None and bool(differs[index, column])
            draw_tile(axes, near[index, column], left + 1.25 + column, top, frame=ORANGE if other else None)
            if captions:
                draw_caption(axes, captions[index][column], left + 1.25 + column, top + aspect(queries), other=other)
    heading(figure, "nearest neighbours" if differs is None else _agreement(differs))
    return figure


def _note(axes: Axes, text: str, left: float, bottom: float) -> None:
    axes.text(left, bottom, text, fontsize=SMALL, color=MUTED, ha="left", va="bottom")


def _agreement(differs: np.ndarray) -> str:
    return f"{differs.size - differs.sum()} of {differs.size} neighbours have the query's label; the others are framed"
