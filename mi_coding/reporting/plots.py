"""The figures of estimates of mutual information."""

from collections.abc import Mapping, Sequence

import numpy as np

from mi_coding.reporting.figure import BLUE, FAINT, INK, ORANGE, SMALL, TITLE, Axes, Figure, blank, plain_axes

_MOST_POINTS = 4000  # of a scatter
_MOST_WRITTEN = 14  # columns up to which a heat map has room for its values


def information(nats: float, interval: tuple[float, float], bounds: Mapping[str, float], curve: np.ndarray) -> Figure:
    """An estimate of mutual information with its interval, beside read-outs by name and validation over training.

    All in nats; `curve` float[n] is on validation pairs after every round of training, and n may be 0.
    """
    rows = max(len(bounds), 1)  # of the difference of two estimates there are none
    figure = blank(0.35 * rows + 1.4)
    figure.set_layout_engine("constrained")
    left, right = figure.subplots(1, 2)
    for axes in (left, right):
        plain_axes(axes)
    _of_any_value(left)
    left.axvspan(*interval, color=FAINT, linewidth=0)
    left.axvline(nats, color=BLUE)
    left.plot(list(bounds.values()), range(len(bounds)), "o", color=INK, markersize=4)
    left.set_yticks(range(len(bounds)), list(bounds), fontsize=SMALL)
    left.set_ylim(rows - 0.5, -0.5)
    left.set_title(f"{nats:.3f} nats, 95 % from {interval[0]:.3f} to {interval[1]:.3f}", fontsize=TITLE, loc="left")
    right.plot(np.arange(1, len(curve) + 1), curve, color=INK)
    right.axhline(nats, color=BLUE)
    right.set_title("validation, nats, over rounds of training", fontsize=TITLE, loc="left")
    return figure


def _of_any_value(axes: Axes) -> None:
    """Ticks of the x axis at values that need not be whole."""
    from matplotlib.ticker import AutoLocator, ScalarFormatter

    axes.xaxis.set_major_locator(AutoLocator())
    axes.xaxis.set_major_formatter(ScalarFormatter())


def heat_map(values: np.ndarray, names: Sequence[str], title: str) -> Figure:
    """A matrix float[d, d] as colours with names beside it; values are written where they fit, NaN is blank."""
    count = len(names)
    figure = blank(min(8.4, 1.6 + 0.45 * count))
    figure.set_layout_engine("constrained")
    axes = figure.subplots()
    image = axes.imshow(values, cmap="Blues", vmin=0)
    axes.set_xticks(range(count), names, rotation=60, ha="right", fontsize=SMALL)
    axes.set_yticks(range(count), names, fontsize=SMALL)
    axes.set_title(title, fontsize=TITLE, loc="left")
    figure.colorbar(image, ax=axes, shrink=0.8)
    if count <= _MOST_WRITTEN:
        middle = np.nanmax(values, initial=0) / 2
        for row, column in zip(*np.nonzero(np.isfinite(values)), strict=True):
            value = values[row, column]
            colour = "white" if value > middle else INK
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=SMALL, color=colour)
    return figure


def lags(steps: np.ndarray, nats: np.ndarray, low: np.ndarray, high: np.ndarray, title: str) -> Figure:
    """Information over lags int[m], with its 95 % intervals; the title names the lag with the most."""
    figure = blank(2.8)
    axes = figure.add_axes((0.07, 0.18, 0.9, 0.68))
    plain_axes(axes)
    axes.fill_between(steps, low, high, color=FAINT, linewidth=0)
    axes.plot(steps, nats, color=BLUE, marker="o", markersize=3)
    best = int(np.argmax(nats))
    axes.set_title(f"{title}: most at lag {steps[best]}, {nats[best]:.3f} nats", fontsize=TITLE, loc="left")
    axes.set_xlabel("lag of x, rows before y", fontsize=SMALL)
    axes.set_ylim(0, None)
    return figure


def pointwise_scatter(x: np.ndarray, y: np.ndarray, local: np.ndarray, name_x: str, name_y: str) -> Figure:
    """Pairs float[n] coloured by the contribution of each, nats; at most a few thousand of them, evenly spaced."""
    from matplotlib.colors import LinearSegmentedColormap

    figure = blank(4.6)
    axes = figure.add_axes((0.09, 0.12, 0.78, 0.82))
    plain_axes(axes)
    _of_any_value(axes)
    some = np.unique(np.linspace(0, len(x) - 1, _MOST_POINTS).astype(int))
    some = some[np.isfinite(local[some])]
    most = max(float(np.quantile(np.abs(local[some]), 0.98)), 1e-6) if len(some) else 1.0
    colours = LinearSegmentedColormap.from_list("pairs", [ORANGE, FAINT, BLUE])
    points = axes.scatter(x[some], y[some], c=local[some], s=9, linewidths=0, cmap=colours, vmin=-most, vmax=most)
    axes.set_xlabel(name_x, fontsize=TITLE)
    axes.set_ylabel(name_y, fontsize=TITLE)
    bar = figure.colorbar(points, cax=figure.add_axes((0.9, 0.12, 0.02, 0.82)))
    bar.set_label("nats that a pair adds", fontsize=SMALL)
    return figure
