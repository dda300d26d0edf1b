"""The style that all figures share: arrays in, a matplotlib Figure out, no pyplot and so no state.

matplotlib is imported only when something is drawn: it is slow to import, and loading an encoder draws nothing.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
else:
    Axes = Figure = Any

WIDTH = 8.4  # inches; at the page's width a point is about a pixel and a third
MARGIN = 0.08  # inches of white around tiles and headings
INK, MUTED, FAINT = "#1d2433", "#667085", "#d5d9e0"  # on white; the greys are for what is only context
BLUE, ORANGE = "#2456a6", "#d9601a"  # the trained encoder, and what to compare it with
SMALL, TEXT, TITLE = 8.5, 9.5, 10.5


def blank(height: float) -> Figure:
    """A white figure as wide as the page, `height` inches high."""
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH, height), facecolor="white")


class Chart:
    """A line chart with labels at the right ends of its lines; `figure` and `axes` are those of matplotlib."""

    def __init__(self, height: float, box: tuple[float, float, float, float], title: str, x_title: str):
        """An empty chart in a figure `height` inches high; the box is (left, bottom, width, height) as fractions."""
        self.figure = blank(height)
        self.axes = self.figure.add_axes(box)
        plain_axes(self.axes)
        self.axes.set_title(title, loc="left", fontsize=TEXT, color=INK)
        self.axes.set_xlabel(x_title, fontsize=TEXT, color=MUTED)
        self._ends: list[tuple[float, str, str]] = []

    def smooth(self, steps: np.ndarray, values: np.ndarray, colour: str) -> np.ndarray:
        """Draws a running mean over a fiftieth of the run; returns it."""
        mean = running_mean(np.asarray(values, float), max(1, len(values) // 50))
        self.axes.plot(steps, mean, color=colour, linewidth=1.8)
        return mean

    def dots(self, x: np.ndarray, values: np.ndarray, name: str, colour: str, linewidth: float = 1.8) -> None:
        """Draws a labelled line with a dot at each of its few values."""
        style = {"marker": "o", "markersize": 4, "markeredgecolor": "white"}
        self.axes.plot(x, values, color=colour, linewidth=linewidth, **style)
        self.label(values, name, colour)

    def ceiling(self, nats: float, name: str, colour: str = MUTED, linewidth: float = 1, **style: Any) -> None:
        """Draws the ceiling, which no bound exceeds, with its label."""
        self.axes.axhline(nats, color=colour, linewidth=linewidth, dashes=(5, 4), **style)
        self._ends.append((nats, f"ceiling {name} {nats:.2f}", MUTED))

    def label(self, values: np.ndarray, name: str, colour: str) -> None:
        """Labels a line at its last finite value; a line without one gets no label."""
        values = np.asarray(values, float)
        finite = values[np.isfinite(values)]
        if len(finite):
            self._ends.append((float(finite[-1]), f"{name} {finite[-1]:.2f}", colour))

    def limit(self, bounds: np.ndarray, ceiling: float) -> None:
        """Sets the y axis from 0 to a little above the ceiling; lower only where the (smooth) bounds go below 0."""
        lowest = min(0.0, np.nanmin(bounds, initial=0.0))
        self.axes.set_ylim(max(lowest, -ceiling) * 1.05, ceiling * 1.07)

    def finished(self) -> Figure:
        """The figure with its labels, moved apart where they would touch."""
        low, high = self.axes.get_ylim()
        values = [value for value, _, _ in self._ends]
        heights = _spread(values, gap=0.068 * (high - low), lowest=low + 0.02 * (high - low))
        for height, (_, text, colour) in zip(heights, self._ends, strict=True):
            place, within = (1.012, height), ("axes fraction", "data")
            self.axes.annotate(text, place, xycoords=within, fontsize=SMALL, color=colour, va="center")
        return self.figure


def plain_axes(axes: Axes) -> None:
    """Only what is needed to read a value: one spine of four, faint horizontal lines, small grey numbers."""
    from matplotlib.ticker import MaxNLocator

    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    axes.grid(axis="y", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=SMALL, labelcolor=MUTED)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 2.5, 5, 10], integer=True, min_n_ticks=1))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.margins(x=0.01)


def running_mean(values: np.ndarray, width: int) -> np.ndarray:
    """The mean over a centred window, narrower at both ends so that no value from outside enters."""
    window = np.ones(2 * (width // 2) + 1)
    if len(values) < len(window):
        return values
    return np.convolve(values, window, "same") / np.convolve(np.ones(len(values)), window, "same")


def heading(figure: Figure, title: str) -> None:
    """A title at the upper left corner."""
    y = 1 - MARGIN / figure.get_figheight()
    figure.text(MARGIN / WIDTH, y, title, fontsize=TITLE, color=INK, fontweight="bold", va="top")


def _spread(heights: Sequence[float], *, gap: float, lowest: float) -> list[float]:
    """The same heights in the same order, at least `gap` apart: moved down, and up again where the floor is near."""
    order, spread = np.argsort(heights)[::-1], np.asarray(heights, float)
    if not len(spread):
        return []
    for above, below in pairwise(order):
        spread[below] = min(spread[below], spread[above] - gap)
    spread[order[-1]] = max(spread[order[-1]], lowest)
    for below, above in pairwise(order[::-1]):
        spread[above] = max(spread[above], spread[below] + gap)
    return spread.tolist()
