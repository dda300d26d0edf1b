"""Figures of bounds: over training, and against the number of steps ahead."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from mi_coding.reporting.figure import (
    BLUE,
    INK,
    MUTED,
    ORANGE,
    TEXT,
    WIDTH,
    end_label,
    label_ends,
    limit_bound,
    plain_axes,
    running_mean,
)


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
    figure = Figure(figsize=(WIDTH, 3.7), facecolor="white")
    axes = figure.add_axes((0.05, 0.14, 0.745, 0.765))
    plain_axes(axes)
    axes.axhline(ceiling, color=MUTED, linewidth=1, dashes=(5, 4))
    ends = [(ceiling, f"ceiling ln {num_candidates:,} = {ceiling:.2f}", MUTED)]
    smooth = running_mean(np.asarray(bounds, float), max(1, len(bounds) // 50))
    axes.plot(steps, bounds, color=BLUE, alpha=0.22, linewidth=0.8)
    axes.plot(steps, smooth, color=BLUE, linewidth=1.8)
    ends += end_label(smooth, "train", BLUE)
    if validation is not None:
        axes.plot(*validation, color=ORANGE, linewidth=1.8, marker="o", markersize=4, markeredgecolor="white")
        ends += end_label(np.asarray(validation[1], float), "held-out", ORANGE)
    limit_bound(axes, smooth, ceiling)
    label_ends(axes, ends)
    axes.set_title("bound on mutual information, nats", loc="left", fontsize=TEXT, color=INK)
    axes.set_xlabel("step", fontsize=TEXT, color=MUTED)
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
    figure = Figure(figsize=(WIDTH, 3.4), facecolor="white")
    axes = figure.add_axes((0.05, 0.15, 0.745, 0.745))
    plain_axes(axes)
    first = next(iter(bounds))
    ceiling = float(np.log(first))
    axes.axhline(ceiling, color=MUTED, linewidth=1, dashes=(5, 4))
    ends = [(ceiling, f"ceiling ln {first:,} = {ceiling:.2f}", MUTED)]
    for (num_candidates, (values, errors)), colour in zip(bounds.items(), (BLUE, ORANGE), strict=False):
        values = np.asarray(values, float)
        steps = np.arange(1, len(values) + 1)
        axes.errorbar(steps, values, 2 * np.asarray(errors, float), color=colour, marker="o", markersize=4, capsize=3)
        ends += end_label(values, f"N = {num_candidates:,}:", colour)
    limit_bound(axes, np.concatenate([np.asarray(values, float) for values, _ in bounds.values()]), ceiling)
    label_ends(axes, ends)
    axes.set_title("held-out bound on mutual information, nats", loc="left", fontsize=TEXT, color=INK)
    axes.set_xlabel("steps ahead", fontsize=TEXT, color=MUTED)
    return figure
