"""The plots of a report: one function each, arrays in, a matplotlib Figure out, no pyplot and so no state.

One look: dark ink on white, grey for what is only context, blue for the trained encoder, orange for what to compare
it with; lines and bars carry their own labels. Widths are those of a page, texts are readable there.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

_TILE = 0.93  # of its place is an image wide, so that neighbours do not touch
_WIDTH = 8.4  # inches; at the page's width a point is about a pixel and a third
_MARGIN = 0.08  # inches of white around tiles and headings
_INK, _MUTED, _FAINT = "#1d2433", "#667085", "#d5d9e0"
_BLUE, _ORANGE = "#2456a6", "#d9601a"
_BAR_COLOURS = (_BLUE, "#8d99ae", "#c3cad5")
_SMALL, _TEXT, _TITLE = 8.5, 9.5, 10.5

# Ten colours of moderate chroma, chosen to be far apart in OKLab for normal, protanopic and deuteranopic eyes alike.
CODE_COLOURS = (
    "#00b4ff",
    "#78000f",
    "#ffb42d",
    "#5a0f78",
    "#69e1b4",
    "#a53c87",
    "#969600",
    "#5a69d2",
    "#c387a5",
    "#875a1e",
)
_MARKERS = "o^sD"  # a second, third and fourth round of the colours


def bound_over_training(
    steps: np.ndarray,
    bounds: np.ndarray,
    *,
    ceiling: float,
    num_candidates: int,
    validation: tuple[np.ndarray, np.ndarray] | None = None,
) -> Figure:
    """The bound of the training batches step by step, under its ceiling, and the held-out one beside it.

    The faint line is every value, the strong one a running mean over a fiftieth of the run.

    Args:
        steps: int[n], finished steps; n may be 0.
        bounds: float[n], bound of the training batch in nats.
        ceiling: ln N in nats.
        num_candidates: N.
        validation: (steps int[m], bounds float[m]) on validation pairs, in nats.
    Returns:
        The figure.
    """
    figure = Figure(figsize=(_WIDTH, 3.7), facecolor="white")
    axes = figure.add_axes((0.05, 0.14, 0.745, 0.765))
    _plain_axes(axes)
    axes.axhline(ceiling, color=_MUTED, linewidth=1, dashes=(5, 4))
    ends = [(ceiling, f"ceiling ln {num_candidates:,} = {ceiling:.2f}", _MUTED)]
    smooth = _running_mean(np.asarray(bounds, float), max(1, len(bounds) // 50))
    axes.plot(steps, bounds, color=_BLUE, alpha=0.22, linewidth=0.8)
    axes.plot(steps, smooth, color=_BLUE, linewidth=1.8)
    ends += _end_label(smooth, "train", _BLUE)
    if validation is not None:
        axes.plot(*validation, color=_ORANGE, linewidth=1.8, marker="o", markersize=4, markeredgecolor="white")
        ends += _end_label(np.asarray(validation[1], float), "held-out", _ORANGE)
    _limit_bound(axes, smooth, ceiling)
    _label_ends(axes, ends)
    axes.set_title("bound on mutual information, nats", loc="left", fontsize=_TEXT, color=_INK)
    axes.set_xlabel("step", fontsize=_TEXT, color=_MUTED)
    return figure


def bound_ahead(bounds: Mapping[int, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Held-out bounds against the number of steps ahead, with two standard errors, one line for each N.

    Args:
        bounds: N → (bounds float[K], their standard errors float[K]) in nats, for 1 … K steps ahead.
    Returns:
        The figure. The first N has its ceiling drawn.
    Raises:
        ValueError: where there is no bound at all.
    """
    if not bounds:
        raise ValueError("bounds is empty: expected the bounds of at least one N")
    figure = Figure(figsize=(_WIDTH, 3.4), facecolor="white")
    axes = figure.add_axes((0.05, 0.15, 0.745, 0.745))
    _plain_axes(axes)
    first = next(iter(bounds))
    ceiling = float(np.log(first))
    axes.axhline(ceiling, color=_MUTED, linewidth=1, dashes=(5, 4))
    ends = [(ceiling, f"ceiling ln {first:,} = {ceiling:.2f}", _MUTED)]
    for (num_candidates, (values, errors)), colour in zip(bounds.items(), (_BLUE, _ORANGE), strict=False):
        values = np.asarray(values, float)
        steps = np.arange(1, len(values) + 1)
        axes.errorbar(steps, values, 2 * np.asarray(errors, float), color=colour, marker="o", markersize=4, capsize=3)
        ends += _end_label(values, f"N = {num_candidates:,}:", colour)
    _limit_bound(axes, np.concatenate([np.asarray(values, float) for values, _ in bounds.values()]), ceiling)
    _label_ends(axes, ends)
    axes.set_title("held-out bound on mutual information, nats", loc="left", fontsize=_TEXT, color=_INK)
    axes.set_xlabel("steps ahead", fontsize=_TEXT, color=_MUTED)
    return figure


def probe_bars(accuracies: Mapping[str, Mapping[str, float]], *, chance: float | None) -> Figure:
    """Accuracy of each probe on each kind of features, as bars with their values: one panel a probe.

    Args:
        accuracies: probe → features → fraction right; the first features are the ones in question, the others are
            what to compare them with.
        chance: fraction that a guess gets right, drawn as a line; None for none.
    Returns:
        The figure.
    Raises:
        ValueError: where there is no accuracy at all.
    """
    names = list(dict.fromkeys(name for probe in accuracies.values() for name in probe))
    if not names:
        raise ValueError("accuracies is empty: expected at least one probe with one kind of features")
    figure = Figure(figsize=(_WIDTH, 0.85 + 0.34 * len(names)), facecolor="white")
    panels = figure.subplots(1, max(2, len(accuracies)), sharey=True)  # one panel alone keeps the same bar lengths
    height = figure.get_figheight()
    figure.subplots_adjust(left=0.155, right=0.91, top=1 - 0.42 / height, bottom=0.36 / height, wspace=0.27)
    for axes in panels[len(accuracies) :]:
        axes.remove()
    for axes, (probe, values) in zip(panels, accuracies.items(), strict=False):
        _bars(axes, names, values)
        _mark_chance(axes, chance)
        axes.set_title(probe, loc="left", fontsize=_TITLE, color=_INK, fontweight="bold", pad=9)
    return figure


def bounds_by_gap(
    gaps: Sequence[float],
    bounds: Mapping[str, Sequence[float]],
    *,
    ceilings: Mapping[str, float],
    trained_at: float,
) -> Figure:
    """Held-out bounds over the gap between x and y, on a logarithmic axis.

    Args:
        gaps: seconds, ascending.
        bounds: up to two names → nats at each gap.
        ceilings: name → nats that its bounds cannot pass.
        trained_at: the gap of training, in seconds.
    Returns:
        The figure.
    """
    figure = Figure(figsize=(_WIDTH, 3.2), facecolor="white")
    axes = figure.add_axes((0.05, 0.15, 0.745, 0.74))
    _plain_axes(axes)
    ends = []
    for (name, values), colour in zip(bounds.items(), (_BLUE, _ORANGE), strict=False):
        axes.axhline(ceilings[name], color=colour, linewidth=0.8, dashes=(5, 4), alpha=0.6)
        axes.plot(gaps, values, color=colour, linewidth=1.8, marker="o", markersize=4, markeredgecolor="white")
        ends += _end_label(np.asarray(values, float), name, colour)
        ends.append((ceilings[name], f"ceiling {name} {ceilings[name]:.2f}", _MUTED))
    axes.axvline(trained_at, color=_FAINT, linewidth=1)
    axes.set_xscale("log")
    axes.set_xticks(gaps, [f"{gap:.2g}" for gap in gaps])
    axes.minorticks_off()
    axes.set_xlim(gaps[0] / 1.3, gaps[-1] * 1.1)
    _limit_bound(axes, np.array(list(bounds.values())).ravel(), max(ceilings.values()))
    _label_ends(axes, ends)
    axes.set_title("held-out bound on mutual information, nats", loc="left", fontsize=_TEXT, color=_INK)
    axes.set_xlabel("gap from x to y, seconds; the upright line is the gap of training", fontsize=_TEXT, color=_MUTED)
    return figure


def pair_strip(
    x: np.ndarray,
    y: np.ndarray,
    *,
    title: str,
    originals: np.ndarray | None = None,
    captions: Sequence[str] | None = None,
) -> Figure:
    """Pairs as the encoder sees them: x above, its y below, and above both the image they were made of.

    Args:
        x: uint8, or float[n, H, W, C] in 0..1, C = 1 or 3; values outside are clipped.
        y: as x, y[i] belongs to x[i].
        title: what the pairs are.
        originals: [n, h, w, C], of any size; None leaves them out.
        captions: up to three short lines under each pair; None leaves them out.
    Returns:
        The figure.
    Raises:
        ValueError: for arrays that are not images of one shape, or originals of another number.
    """
    x, y = _as_images(x), _as_images(y)
    if x.shape != y.shape or (originals is not None and len(originals) != len(x)):
        raise ValueError(
            f"x of shape {x.shape} and y of shape {y.shape}: expected one shape [n, H, W, C], and n images"
        )
    rows = {"x": x, "y": y} if originals is None else {"image": _as_images(originals), "x": x, "y": y}
    heights = [_aspect(images) for images in rows.values()]
    left = 0.35 if originals is None else 0.6
    height = sum(heights) + 0.08 * (len(rows) - 1) + (0.62 if captions else 0)
    figure, axes = _tile_canvas(columns=len(x) + left, rows=height, header=0.36)
    top = 0.0
    for name, images in rows.items():
        middle = top + _aspect(images) / 2
        axes.text(
            left / 2 - 0.03, middle, name, fontsize=_TITLE, color=_MUTED, style="italic", ha="center", va="center"
        )
        for column, image in enumerate(images):
            _tile(axes, image, left + column, top)
        top += _aspect(images) + 0.08
    for column, caption in enumerate(captions or ()):
        _caption(axes, caption, left + column, top - 0.04, other=False)
    _heading(figure, title)
    return figure


def code_map(points: np.ndarray, labels: np.ndarray | None, *, title: str) -> Figure:
    """Codes in two dimensions, coloured by label; a label also stands amid its codes where they keep together.

    Args:
        points: float[n, 2].
        labels: int[n], or None for codes without labels. Forty labels can be told apart.
        title: what the codes are.
    Returns:
        The figure.
    Raises:
        ValueError: unless points is [n, 2] with one label a point.
    """
    points = np.asarray(points)
    if points.ndim != 2 or points.shape[1] != 2 or (labels is not None and len(labels) != len(points)):
        raise ValueError(f"points of shape {points.shape}: expected [n, 2], with one label a point")
    figure = Figure(figsize=(_WIDTH, 5.6), facecolor="white")
    legend_columns = 0 if labels is None else -(-len(np.unique(labels)) // 20)
    axes = figure.add_axes((0.01, 0.01, 0.97 - 0.09 * min(legend_columns, 4), 0.925))
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.margins(0.03)
    if labels is None:
        axes.scatter(*points.T, s=_dot_size(points), color=_BLUE, alpha=0.7, linewidths=0)
    else:
        _scatter_by_label(axes, points, np.asarray(labels))
    _heading(figure, title)
    return figure


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
    queries, shape = _as_images(queries), np.shape(neighbours)
    if len(shape) != 5 or shape[0] != len(queries):
        raise ValueError(f"neighbours of shape {shape}: expected [q, k, H, W, C] with q = {len(queries)}")
    near = _as_images(np.reshape(neighbours, (-1, *shape[2:]))).reshape(*shape[:2], *queries.shape[1:])
    differs = None
    if query_labels is not None and neighbour_labels is not None:
        differs = np.asarray(neighbour_labels) != np.asarray(query_labels)[:, None]
    return _neighbour_grid(queries, near, differs, _captions(differs, neighbour_labels, similarities))


def information(nats: float, interval: tuple[float, float], bounds: Mapping[str, float], curve: np.ndarray) -> Figure:
    """An estimate of mutual information with its interval, beside read-outs by name and validation over training.

    Args:
        nats: the estimate.
        interval: its lower and upper end.
        bounds: nats of every read-out.
        curve: float[n], nats on validation pairs after every round of training; n may be 0.
    Returns:
        The figure.
    """
    figure = Figure(figsize=(_WIDTH, 0.35 * len(bounds) + 1.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes in (left, right):
        _plain_axes(axes)
    left.axvspan(*interval, color=_FAINT, linewidth=0)
    left.axvline(nats, color=_BLUE)
    left.plot(list(bounds.values()), range(len(bounds)), "o", color=_INK, markersize=4)
    left.set_yticks(range(len(bounds)), list(bounds), fontsize=_SMALL)
    left.set_ylim(len(bounds) - 0.5, -0.5)
    left.set_title(f"{nats:.3f} nats, 95 % from {interval[0]:.3f} to {interval[1]:.3f}", fontsize=_TITLE, loc="left")
    right.plot(np.arange(1, len(curve) + 1), curve, color=_INK)
    right.axhline(nats, color=_BLUE)
    right.set_title("validation, nats, over rounds of training", fontsize=_TITLE, loc="left")
    return figure


def information_over_training(
    curves: Mapping[str, tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray] | None]],
) -> Figure:
    """Quantities in nats over training: a line for the training batches, dots for held-out pairs.

    Args:
        curves: name → ((steps int[n], values float[n]), (steps int[m], values float[m]) of held-out pairs or None).
    Returns:
        The figure.
    """
    figure = Figure(figsize=(_WIDTH, 3.7), facecolor="white")
    axes = figure.add_axes((0.05, 0.14, 0.71, 0.765))  # its labels are the longest
    _plain_axes(axes)
    ends = []
    for (name, ((steps, values), heldout)), colour in zip(curves.items(), (_MUTED, _BLUE, _ORANGE), strict=False):
        smooth = _running_mean(np.asarray(values, float), max(1, len(values) // 50))
        axes.plot(steps, smooth, color=colour, linewidth=1.8)
        if heldout is None:
            ends += _end_label(smooth, name, colour)
            continue
        axes.plot(*heldout, color=colour, linewidth=0.8, marker="o", markersize=4, markeredgecolor="white")
        ends += _end_label(np.asarray(heldout[1], float), f"{name}, held-out", colour)
    axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
    if ends:
        _label_ends(axes, ends)
    axes.set_title("nats", loc="left", fontsize=_TEXT, color=_INK)
    axes.set_xlabel("step", fontsize=_TEXT, color=_MUTED)
    return figure


def information_plane(entropies: np.ndarray, information: np.ndarray, betas: np.ndarray, chosen: int) -> Figure:
    """Codes as points, what they cost to the right and what they tell upwards, under the line I = H.

    Args:
        entropies: float[n], H in nats.
        information: float[n], I in nats.
        betas: float[n], the price of memory; written beside the points where they differ.
        chosen: the point that is drawn strong.
    Returns:
        The figure.
    """
    figure = Figure(figsize=(_WIDTH, 4.4), facecolor="white")
    axes = figure.add_axes((0.05, 0.12, 0.745, 0.8))
    _plain_axes(axes)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
    axes.xaxis.set_major_formatter("{x:g}")
    most = 1.08 * max(float(np.max(entropies, initial=0)), float(np.max(information, initial=0)), 1e-3)
    axes.plot([0, most], [0, most], color=_MUTED, linewidth=1, dashes=(5, 4))
    others = np.arange(len(entropies)) != chosen
    axes.scatter(entropies[others], information[others], s=34, color=_BLUE, alpha=0.5, linewidths=0)
    axes.scatter(entropies[chosen], information[chosen], s=70, color=_ORANGE, linewidths=0, zorder=3)
    for beta, entropy, told in _one_a_price(entropies, information, betas):
        place = {"xytext": (7, -4), "textcoords": "offset points"}
        axes.annotate(f"{beta:g}", (entropy, told), fontsize=_SMALL, color=_MUTED, va="top", **place)
    axes.set(xlim=(-0.02 * most, most), ylim=(min(-0.06 * most, float(np.min(information, initial=0))), most))
    axes.set_title("information I(z_x; z_y), nats", loc="left", fontsize=_TEXT, color=_INK)
    axes.set_xlabel("memory H(z_x), nats", fontsize=_TEXT, color=_MUTED)
    return figure


def examples_by_code(rows: Sequence[tuple[str, np.ndarray, float]], columns: int) -> Figure:
    """One row of images for each code, with the code at its left and how common it is at its right.

    Args:
        rows: (name of the code, images of at most `columns` examples, share of all examples that have it).
        columns: images in a row.
    Returns:
        The figure.
    """
    pictures = [_as_images(images) for _, images, _ in rows]
    height = max(map(_aspect, pictures)) + 0.06
    figure, axes = _tile_canvas(columns=columns + 2.1, rows=len(rows) * height, header=0.1)
    for row, ((name, _, share), images) in enumerate(zip(rows, pictures, strict=True)):
        middle = (row + 0.5) * height
        axes.text(0.85, middle, name, fontsize=_TITLE, color=_INK, ha="right", va="center")
        axes.text(columns + 1.1, middle, f"{100 * share:.1f} %", fontsize=_SMALL, color=_MUTED, va="center")
        for column, image in enumerate(images):
            _tile(axes, image, 1 + column, row * height)
    return figure


def _one_a_price(entropies: np.ndarray, information: np.ndarray, betas: np.ndarray) -> list[tuple[float, float, float]]:
    """(β, H, I) of the most telling code at each price; none where there is but one price."""
    prices = np.unique(betas)
    if len(prices) < 2:
        return []
    best = [max(np.flatnonzero(betas == price), key=lambda i: information[i]) for price in prices]
    return [(float(betas[i]), float(entropies[i]), float(information[i])) for i in best]


def _plain_axes(axes: Axes) -> None:
    """Only what is needed to read a value: two thin spines less, faint horizontal lines, small grey numbers."""
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(_FAINT)
    axes.grid(axis="y", color=_FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=_SMALL, labelcolor=_MUTED)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 2.5, 5, 10], integer=True, min_n_ticks=1))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.margins(x=0.01)


def _running_mean(values: np.ndarray, width: int) -> np.ndarray:
    """The mean over a centred window, narrower at both ends; no value of the outside enters."""
    window = np.ones(2 * (width // 2) + 1)
    if len(values) < len(window):
        return values
    return np.convolve(values, window, "same") / np.convolve(np.ones(len(values)), window, "same")


def _end_label(values: np.ndarray, name: str, colour: str) -> list[tuple[float, str, str]]:
    finite = values[np.isfinite(values)]
    return [(float(finite[-1]), f"{name} {finite[-1]:.2f}", colour)] if len(finite) else []


def _limit_bound(axes: Axes, smooth: np.ndarray, ceiling: float) -> None:
    """From 0 to a little over the ceiling; deeper only where the smooth bound itself goes below."""
    lowest = min(0.0, np.nanmin(smooth, initial=0.0))
    axes.set_ylim(max(lowest, -ceiling) * 1.05, ceiling * 1.07)


def _label_ends(axes: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Labels at the right of their lines, moved apart where they would touch."""
    low, high = axes.get_ylim()
    heights = _spread([value for value, _, _ in ends], gap=0.068 * (high - low), lowest=low + 0.02 * (high - low))
    for height, (_, text, colour) in zip(heights, ends, strict=True):
        place, within = (1.012, height), ("axes fraction", "data")
        axes.annotate(text, place, xycoords=within, fontsize=_SMALL, color=colour, va="center")


def _spread(heights: Sequence[float], *, gap: float, lowest: float) -> list[float]:
    """The same heights in the same order, at least `gap` apart: moved down, and up again where the floor is near."""
    order = np.argsort(heights)[::-1]
    spread = np.asarray(heights, float)
    for above, below in pairwise(order):
        spread[below] = min(spread[below], spread[above] - gap)
    spread[order[-1]] = max(spread[order[-1]], lowest)
    for below, above in pairwise(order[::-1]):
        spread[above] = max(spread[above], spread[below] + gap)
    return spread.tolist()


def _bars(axes: Axes, names: Sequence[str], values: Mapping[str, float]) -> None:
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.set_yticks(range(len(names)), names)
    axes.set_xticks([])
    axes.tick_params(length=0, labelsize=_TEXT, labelcolor=_INK)
    axes.spines[:].set_visible(False)
    for row, name in enumerate(names):
        if name in values:
            axes.barh(row, 1, height=0.62, color="#f3f4f7")
            axes.barh(row, values[name], height=0.62, color=_BAR_COLOURS[min(row, len(_BAR_COLOURS) - 1)])
            _bar_value(axes, row, values[name], emphasis=row == 0)


def _bar_value(axes: Axes, row: int, value: float, *, emphasis: bool) -> None:
    axes.annotate(
        f"{100 * value:.1f} %",
        (1, row),
        xytext=(5, 0),
        textcoords="offset points",
        fontsize=_TEXT,
        color=_INK,
        fontweight="bold" if emphasis else "normal",
        va="center",
        annotation_clip=False,
    )


def _mark_chance(axes: Axes, chance: float | None) -> None:
    if chance is None:
        return
    axes.axvline(chance, color=_INK, linewidth=1, dashes=(2, 2))
    axes.annotate(
        f"chance {100 * chance:.3g} %",
        (chance, 0),
        xycoords=("data", "axes fraction"),
        xytext=(0, -4),
        textcoords="offset points",
        fontsize=_SMALL,
        color=_MUTED,
        ha="center",
        va="top",
    )


def are_images(examples: np.ndarray) -> bool:
    """Whether these can be shown: [n, H, W, C] with one or three channels.

    >>> are_images(np.zeros((2, 8, 8, 1))), are_images(np.zeros((2, 8)))
    (True, False)
    """
    return np.ndim(examples) == 4 and np.shape(examples)[-1] in (1, 3)


def _as_images(images: np.ndarray) -> np.ndarray:
    """float[n, H, W, 3] in 0..1; bytes are divided by 255."""
    images = np.asarray(images)
    images = np.asarray(images, np.float32) / (255 if images.dtype == np.uint8 else 1)
    if images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise ValueError(f"images of shape {images.shape}: expected [n, H, W, C] with C = 1 or 3")
    return np.repeat(np.clip(images, 0, 1), 3 // images.shape[-1], axis=-1)


def _aspect(images: np.ndarray) -> float:
    """Height over width."""
    return images.shape[1] / images.shape[2]


def _tile_canvas(*, columns: float, rows: float, header: float) -> tuple[Figure, Axes]:
    """Axes whose unit is the width of a tile, y downwards; the header, in inches, is left free above."""
    inches = min((_WIDTH - 2 * _MARGIN) / columns, 1.6)
    height = rows * inches + header + _MARGIN
    figure = Figure(figsize=(_WIDTH, height), facecolor="white")
    box = (_MARGIN / _WIDTH, _MARGIN / height, columns * inches / _WIDTH, rows * inches / height)
    axes = figure.add_axes(box)
    axes.set_axis_off()
    axes.set(xlim=(0, columns), ylim=(rows, 0), autoscale_on=False)
    return figure, axes


def _tile(axes: Axes, image: np.ndarray, left: float, top: float, *, frame: str | None = None) -> None:
    """One image with a thin outline, or a strong frame of the given colour."""
    width, height = _TILE, _TILE * image.shape[0] / image.shape[1]
    box = (left, left + width, top + height, top)
    axes.imshow(image, extent=box, aspect="auto", interpolation="nearest")
    colour, thickness = (_FAINT, 0.5) if frame is None else (frame, 2.0)
    axes.add_patch(Rectangle((left, top), width, height, fill=False, edgecolor=colour, linewidth=thickness))


def _heading(figure: Figure, title: str) -> None:
    y = 1 - _MARGIN / figure.get_figheight()
    figure.text(_MARGIN / _WIDTH, y, title, fontsize=_TITLE, color=_INK, fontweight="bold", va="top")


def _dot_size(points: np.ndarray) -> float:
    """Square points: large for few codes, small for many."""
    return float(np.clip(12_000 / max(len(points), 1), 8, 36))


def _scatter_by_label(axes: Axes, points: np.ndarray, labels: np.ndarray) -> None:
    values = np.unique(labels)
    for index, value in enumerate(values):
        own = points[labels == value]
        colour = CODE_COLOURS[index % len(CODE_COLOURS)]
        marker = _MARKERS[index // len(CODE_COLOURS) % len(_MARKERS)]
        axes.scatter(
            *own.T, s=_dot_size(points), color=colour, marker=marker, linewidths=0, alpha=0.85, label=str(value)
        )
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
        frameon=False,
        fontsize=_TEXT,
        labelcolor=_INK,
        handletextpad=0.1,
        borderaxespad=0,
        ncols=-(-len(values) // 20),
        columnspacing=0.8,
        markerscale=36**0.5 / _dot_size(points) ** 0.5,
    )
    if len(values) <= len(CODE_COLOURS):
        _label_middles(axes, points, labels, values)


def _label_middles(axes: Axes, points: np.ndarray, labels: np.ndarray, values: np.ndarray) -> None:
    """Each label at the median of its codes, where most of the codes around are its own."""
    halo = [withStroke(linewidth=3.5, foreground="white")]
    for value in values:
        own = points[labels == value]
        middle = np.median(own, axis=0)
        around = np.argsort(np.linalg.norm(points - middle, axis=1))[: min(30, len(own))]
        if np.mean(labels[around] == value) > 0.6:
            text = axes.annotate(str(value), middle, fontsize=13, color=_INK, weight="bold", ha="center", va="center")
            text.set_path_effects(halo)


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
    pitch, width = _aspect(queries) + (0.28 if captions else 0.0), k + 1.25
    figure, axes = _tile_canvas(columns=blocks * (width + 0.5) - 0.5, rows=per_block * pitch, header=0.56)
    for block in range(blocks):
        _note(axes, "query", block * (width + 0.5), -0.07)
        _note(axes, "nearest first", block * (width + 0.5) + 1.25, -0.07)
    for index in range(count):
        left, top = index // per_block * (width + 0.5), index % per_block * pitch
        _tile(axes, queries[index], left, top)
        for column in range(k):
            other = differs is not None and bool(differs[index, column])
            _tile(axes, near[index, column], left + 1.25 + column, top, frame=_ORANGE if other else None)
            if captions:
                _caption(axes, captions[index][column], left + 1.25 + column, top + _aspect(queries), other=other)
    _heading(figure, "nearest neighbours" if differs is None else _agreement(differs))
    return figure


def _note(axes: Axes, text: str, left: float, bottom: float) -> None:
    axes.text(left, bottom, text, fontsize=_SMALL, color=_MUTED, ha="left", va="bottom")


def _caption(axes: Axes, text: str, left: float, top: float, *, other: bool) -> None:
    colour = _ORANGE if other else _MUTED
    axes.text(left + _TILE / 2, top, text, fontsize=_SMALL - 1.5, color=colour, ha="center", va="top")


def _agreement(differs: np.ndarray) -> str:
    return f"{differs.size - differs.sum()} of {differs.size} neighbours have the query's label; the others are framed"
