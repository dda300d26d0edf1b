"""The figure of an estimate of mutual information."""

from collections.abc import Mapping

import numpy as np

from mi_coding.reporting.figure import BLUE, FAINT, INK, SMALL, TITLE, Figure, blank, plain_axes


def information(nats: float, interval: tuple[float, float], bounds: Mapping[str, float], curve: np.ndarray) -> Figure:
    """An estimate of mutual information with its interval, beside read-outs by name and validation over training.

    All in nats; `curve` float[n] is on validation pairs after every round of training, and n may be 0.
    """
    figure = blank(0.35 * len(bounds) + 1.4)
    figure.set_layout_engine("constrained")
    left, right = figure.subplots(1, 2)
    for axes in (left, right):
        plain_axes(axes)
    left.axvspan(*interval, color=FAINT, linewidth=0)
    left.axvline(nats, color=BLUE)
    left.plot(list(bounds.values()), range(len(bounds)), "o", color=INK, markersize=4)
    left.set_yticks(range(len(bounds)), list(bounds), fontsize=SMALL)
    left.set_ylim(len(bounds) - 0.5, -0.5)
    left.set_title(f"{nats:.3f} nats, 95 % from {interval[0]:.3f} to {interval[1]:.3f}", fontsize=TITLE, loc="left")
    right.plot(np.arange(1, len(curve) + 1), curve, color=INK)
    right.axhline(nats, color=BLUE)
    right.set_title("validation, nats, over rounds of training", fontsize=TITLE, loc="left")
    return figure
