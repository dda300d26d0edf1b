"""Which training examples have similar codes? Nearest neighbours of some test examples."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax
import numpy as np

from mi_coding.data import Split, num_examples, take
from mi_coding.evaluation.base import MOST_HELDOUT, Evaluator, Trained, subsample, view_each
from mi_coding.evaluation.codes import encode_each, nearest
from mi_coding.reporting.figure import MUTED, ORANGE, SMALL, Figure, heading
from mi_coding.reporting.page import Gallery, Section, Table, Thumbnail
from mi_coding.reporting.results import Summary
from mi_coding.reporting.strips import (
    are_images,
    as_bytes,
    as_images,
    as_pictures,
    aspect,
    draw_caption,
    draw_tile,
    tile_canvas,
)

NUM_QUERIES, NUM_NEIGHBOURS = 10, 6  # test images that a report shows, and neighbours of each
_SHORT, _FITS = 2, 7  # letters of a label that leave room for a cosine beside it; letters of one that fits alone
_AT_ONCE = 512  # training examples that are shown and encoded at a time
NUM_WRONG = 4  # of these test images, those whose neighbours are most confidently wrong


@dataclass(frozen=True)
class NearestNeighbours(Evaluator):
    """Test views with the training views whose codes are nearest, of examples that can be shown as images."""

    def sections(self, trained: Trained, summary: Summary) -> list[Section]:
        known, shown, queries = subsample(trained.dataset.train, MOST_HELDOUT), trained.shown, trained.shown_codes
        views_at = _views_of(trained, known)
        rows = np.arange(num_examples(known))
        parts = (views_at(rows[start : start + _AT_ONCE]) for start in range(0, len(rows), _AT_ONCE))
        known_codes = np.concatenate(list(encode_each(trained.encoder("codes"), parts, batch_size=_AT_ONCE)))
        everyone, cosines = nearest(queries, known_codes, count=NUM_NEIGHBOURS)
        wrong = np.zeros(0, int)
        if shown.labels is not None and known.labels is not None:
            wrong = most_confidently_wrong(shown.labels, known.labels[everyone], cosines)[:NUM_WRONG]
        others = np.setdiff1d(np.arange(len(queries)), wrong)
        spread = np.linspace(0, len(others) - 1, min(NUM_QUERIES - len(wrong), len(others))).astype(int)
        asked = np.concatenate([wrong, others[spread]])  # of films: of all films
        positions, cosines = everyone[asked], cosines[asked]
        views = np.asarray(trained.shown_views)[asked], _each_once(views_at, positions)
        labels = None
        if shown.labels is not None and known.labels is not None:
            labels = tuple(
                np.where(one < 0, None, trained.label_names(one, longest=_FITS))
                for one in (shown.labels[asked], known.labels[positions])
            )
        names = None
        if shown.names is not None:
            names = [shown.names[i] for i in asked], [[known.names[i] for i in row] for row in positions.tolist()]
        views = _sequence_pictures(*views) if trained.pairs.are_sequences else views
        sections = neighbour_section(*views, cosines, labels=labels, names=names, num_wrong=len(wrong))
        if not sections or trained.pairs.are_sequences:
            return sections
        texts = None if known.labels is None else trained.label_names(known.labels)
        own = None if shown.labels is None else trained.label_names(shown.labels[asked])
        queries_shown = [(view, "" if own is None else own[i]) for i, view in enumerate(views[0])]
        gallery = _gallery(queries_shown, positions, cosines, views_at, known_codes, texts)
        return [dataclasses.replace(sections[0], gallery=gallery)]


def _views_of(trained: Trained, examples: Split) -> Callable[[np.ndarray], np.ndarray]:
    """A function from rows int[m] to their views: all views at once may not fit in memory, and few are shown."""
    keys = jax.random.split(trained.report_key("train"), num_examples(examples))
    size = min(_AT_ONCE, num_examples(examples))

    def views_at(rows: np.ndarray) -> np.ndarray:
        filled = np.resize(rows, (-(-len(rows) // size), size))  # one shape, hence one program
        parts = [view_each(keys[part], take(examples, part).examples, trained.pairs) for part in filled]
        return np.concatenate(parts)[: len(rows)]

    return views_at


def _each_once(views_at: Callable[[np.ndarray], np.ndarray], rows: np.ndarray) -> np.ndarray:
    """The views of rows int[…] that may be there several times."""
    each, places = np.unique(rows, return_inverse=True)
    return views_at(each)[places.reshape(rows.shape)]


def _gallery(
    queries: Sequence[tuple[np.ndarray, str]],
    positions: np.ndarray,
    cosines: np.ndarray,
    views_at: Callable[[np.ndarray], np.ndarray],
    codes: np.ndarray,
    labels: np.ndarray | None,
) -> Gallery:
    """The neighbours of every query, and of every example that is a neighbour, among the training views."""
    each = np.unique(positions)
    found, near = nearest(codes[each], codes, count=NUM_NEIGHBOURS + 1)
    shown = np.union1d(each, found)
    pictures = dict(zip(shown.tolist(), as_bytes(views_at(shown)), strict=True))

    def known(position: int, cosine: float | None = None) -> Thumbnail:
        label = "" if labels is None else str(labels[position])
        parts = [label] if cosine is None else [label, f"{cosine:.2f}"]
        return Thumbnail(pictures[position], " ".join(filter(None, parts)), f"train-{position}")

    def row(found: np.ndarray, near: np.ndarray) -> list[Thumbnail]:
        return [known(int(position), float(cosine)) for position, cosine in zip(found, near, strict=True)]

    rows = [
        (
            Thumbnail(as_bytes(view[None])[0], f"test {label}".strip(), f"test-{number}"),
            row(positions[number], cosines[number]),
        )
        for number, (view, label) in enumerate(queries)
    ]
    for number, position in enumerate(each.tolist()):
        others = np.flatnonzero(found[number] != position)[:NUM_NEIGHBOURS]
        rows.append((known(position), row(found[number, others], near[number, others])))
    return Gallery("Neighbours of each picture: choose one to see its own", rows)


def most_confidently_wrong(labels: np.ndarray, near: np.ndarray, cosines: np.ndarray) -> np.ndarray:
    """int[m]: the queries whose neighbours agree on a label other than the query's, in order of falling agreement.

    >>> near = np.array([[1, 1, 1], [1, 1, 2], [3, 3, 3], [0, 2, 2]])
    >>> most_confidently_wrong(np.array([0, 0, 3, -1]), near, np.ones((4, 3))).tolist()
    [0, 1]

    Args:
        labels: int[q], −1 where hidden.
        near: int[q, k], labels of the neighbours; hidden ones do not vote.
        cosines: float[q, k], the weights of the votes.
    """
    rows = np.arange(len(labels))
    votes = np.zeros((len(labels), max(near.max(initial=0), labels.max(initial=0)) + 1))
    np.add.at(votes, (rows[:, None], np.maximum(near, 0)), np.where(near < 0, 0, np.maximum(cosines, 0)))
    own = votes[rows, np.maximum(labels, 0)]
    margin = np.where(labels < 0, -np.inf, votes.max(axis=1) - own)
    order = np.argsort(-margin, kind="stable")
    return order[margin[order] > 0]


def neighbour_section(
    queries: np.ndarray,
    near: np.ndarray,
    cosines: np.ndarray,
    *,
    labels: tuple[np.ndarray, np.ndarray] | None = None,
    names: tuple[Sequence[str], Sequence[Sequence[str]]] | None = None,
    num_wrong: int = 0,
) -> list[Section]:
    """Test views with the training views whose codes are nearest; empty for examples that are not images.

    Args:
        queries, near: views float[q, H, W, C] and float[q, k, H, W, C] in 0..1, nearest first.
        cosines: float[q, k].
        labels: of the queries, [q], and of the training views, [q, k], numbers or names, None for one that is hidden;
            None where there are none.
        names: the same for the files they are from.
        num_wrong: how many queries, the first ones, were chosen because their neighbours agree most on another label.
    """
    if not are_images(queries):
        return []
    text = "On the left a view of a test example, then views of training examples with the nearest codes, with cosines."
    if num_wrong:
        first = "first is the one" if num_wrong == 1 else f"first {num_wrong} are those"
        text += f" The {first} whose neighbours agree most on another label; the others are evenly spaced."
    table = None if names is None else _name_table(*names, cosines)
    figure = nearest_neighbours(queries, near, cosines, labels)
    return [Section("Nearest neighbours", text, figure, "neighbours", table, pictures=True)]


def nearest_neighbours(
    queries: np.ndarray, near: np.ndarray, cosines: np.ndarray, labels: tuple[np.ndarray, np.ndarray] | None = None
) -> Figure:
    """Queries and, to the right of each, its neighbours with their cosines; those with another label are framed.

    The captions of these also give the label; one that is a word leaves no room for the cosine.

    Raises:
        ValueError: for shapes that do not fit each other.
    """
    queries, shape = as_images(queries), np.shape(near)
    if len(shape) != 5 or shape[0] != len(queries):
        raise ValueError(f"neighbours of shape {shape}: expected [q, k, H, W, C] with q = {len(queries)}")
    near = as_images(np.reshape(near, (-1, *shape[2:]))).reshape(*shape[:2], *queries.shape[1:])
    differs, title = np.zeros(shape[:2], bool), "nearest neighbours"
    captions = np.array([[f"{cosine:.2f}" for cosine in row] for row in cosines], object)
    if labels is not None:
        own, others = map(np.asarray, labels)
        known = np.not_equal(own, None)[:, None] & np.not_equal(others, None)
        differs = known & (others != own[:, None])
        texts = zip(others[differs], captions[differs], strict=True)
        captions[differs] = [
            f"is {label} · {cosine}" if len(str(label)) <= _SHORT else str(label) for label, cosine in texts
        ]
        title = "neighbours with another label than the query are framed"  # no count: some queries are the worst
    figure = _neighbour_grid(queries, near, differs, captions)
    heading(figure, title)
    return figure


def _neighbour_grid(queries: np.ndarray, near: np.ndarray, differs: np.ndarray, captions: np.ndarray) -> Figure:
    """Two blocks side by side where they fit, so that ten queries do not make a tower."""
    count, k = near.shape[:2]
    blocks = 2 if count > 3 and k <= 6 else 1
    per_block = -(-count // blocks)
    pitch, block_pitch = aspect(queries) + 0.28, k + 1.75
    figure, axes = tile_canvas(columns=blocks * block_pitch - 0.5, rows=per_block * pitch, header=0.56)
    for block in range(blocks):
        for text, left in (("query", 0), ("nearest first", 1.25)):
            axes.text(block * block_pitch + left, -0.07, text, fontsize=SMALL, color=MUTED, ha="left", va="bottom")
    for index in range(count):
        left, top = index // per_block * block_pitch, index % per_block * pitch
        draw_tile(axes, queries[index], left, top)
        for column, other in enumerate(differs[index]):
            draw_tile(axes, near[index, column], left + 1.25 + column, top, frame=ORANGE if other else None)
            draw_caption(axes, captions[index][column], left + 1.25 + column, top + aspect(queries), other=other)
    return figure


def _sequence_pictures(queries: np.ndarray, near: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sequences [q, …] and their neighbours [q, k, …] as images, on one scale of grey."""
    together = np.concatenate([queries[:, None], near], axis=1)
    pictures = as_pictures(together.reshape(-1, *queries.shape[1:]))
    pictures = pictures.reshape(*together.shape[:2], *pictures.shape[1:])
    return pictures[:, 0], pictures[:, 1:]


def _name_table(queries: Sequence[str], near: Sequence[Sequence[str]], cosines: np.ndarray) -> Table:
    """One row per neighbour, so that long names have room; a query is named once, beside its nearest."""
    rows = [
        (query if rank == 0 else "", name, f"{cosine:.2f}")
        for query, names, row in zip(queries, near, cosines, strict=True)
        for rank, (name, cosine) in enumerate(zip(names, row, strict=True))
    ]
    return Table("File names", ("query", "nearest first", "cosine"), rows)
