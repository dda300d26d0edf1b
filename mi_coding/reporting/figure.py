"""The style that all figures share: arrays in, a matplotlib Figure out, no pyplot and so no state.

One look: dark ink on white, grey for what is only context, blue for the trained encoder, orange for what to compare
it with; lines and bars carry their own labels. Widths are those of a page, texts are readable there.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

WIDTH = 8.4  # inches; at the page's width a point is about a pixel and a third
MARGIN = 0.08  # inches of white around tiles and headings
INK, MUTED, FAINT = "#1d2433", "#667085", "#d5d9e0"
BLUE, ORANGE = "#2456a6", "#d9601a"
SMALL, TEXT, TITLE = 8.5, 9.5, 10.5


def plain_axes(axes: Axes) -> None:
    """Only what is needed to read a value: two thin spines less, faint horizontal lines, small grey numbers."""
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    axes.grid(axis="y", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=SMALL, labelcolor=MUTED)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 2.5, 5, 10], integer=True, min_n_ticks=1))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.margins(x=0.01)


def running_mean(values: np.ndarray, width: int) -> np.ndarray:
    """The mean over a centred window, narrower at both ends; no value of the outside enters."""
    window = np.ones(2 * (width // 2) + 1)
    if len(values) < len(window):
        return values
    return np.convolve(values, window, "same") / np.convolve(np.ones(len(values)), window, "same")


def end_label(values: np.ndarray, name: str, colour: str) -> list[tuple[float, str, str]]:
    """The label of a line at its last finite value, for `label_ends`: (value, text, colour); none without a value."""
    finite = values[np.isfinite(values)]
    return [(float(finite[-1]), f"{name} {finite[-1]:.2f}", colour)] if len(finite) else []


def limit_bound(axes: Axes, smooth: np.ndarray, ceiling: float) -> None:
    """From 0 to a little over the ceiling; deeper only where the smooth bound itself goes below."""
    lowest = min(0.0, np.nanmin(smooth, initial=0.0))
    axes.set_ylim(max(lowest, -ceiling) * 1.05, ceiling * 1.07)


def label_ends(axes: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Labels at the right of their lines, moved apart where they would touch."""
    low, high = axes.get_ylim()
    heights = _spread([value for value, _, _ in ends], gap=0.068 * (high - low), lowest=low + 0.02 * (high - low))
    for height, (_, text, colour) in zip(heights, ends, strict=True):
        place, within = (1.012, height), ("axes fraction", "data")
        axes.annotate(text, place, xycoords=within, fontsize=SMALL, color=colour, va="center")


def heading(figure: Figure, title: str) -> None:
    """A title at the upper left corner."""
    y = 1 - MARGIN / figure.get_figheight()
    figure.text(MARGIN / WIDTH, y, title, fontsize=TITLE, color=INK, fontweight="bold", va="top")


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
