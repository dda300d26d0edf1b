"""Figures of discrete codes: information over training, information against memory, examples by code."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mi_coding.reporting.figure import (
    BLUE,
    INK,
    MUTED,
    ORANGE,
    SMALL,
    TEXT,
    TITLE,
    WIDTH,
    end_label,
    label_ends,
    plain_axes,
    running_mean,
)
from mi_coding.reporting.strips import as_images, aspect, draw_tile, tile_canvas


def information_over_training(
    curves: Mapping[str, tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray] | None]],
) -> Figure:
    """Quantities in nats over training: a line for the training batches, dots for held-out pairs.

    Args:
        curves: name → ((steps int[n], values float[n]), (steps int[m], values float[m]) of held-out pairs or None).
    Returns:
        The figure.
    """
    figure = Figure(figsize=(WIDTH, 3.7), facecolor="white")
    axes = figure.add_axes((0.05, 0.14, 0.71, 0.765))  # its labels are the longest
    plain_axes(axes)
    ends = []
    for (name, ((steps, values), heldout)), colour in zip(curves.items(), (MUTED, BLUE, ORANGE), strict=False):
        smooth = running_mean(np.asarray(values, float), max(1, len(values) // 50))
        axes.plot(steps, smooth, color=colour, linewidth=1.8)
        if heldout is None:
            ends += end_label(smooth, name, colour)
            continue
        axes.plot(*heldout, color=colour, linewidth=0.8, marker="o", markersize=4, markeredgecolor="white")
        ends += end_label(np.asarray(heldout[1], float), f"{name}, held-out", colour)
    axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
    if ends:
        label_ends(axes, ends)
    axes.set_title("nats", loc="left", fontsize=TEXT, color=INK)
    axes.set_xlabel("step", fontsize=TEXT, color=MUTED)
    return figure


def information_plane(entropies: np.ndarray, information: np.ndarray, betas: np.ndarray, chosen: int) -> Figure:
    """Codes as points, their memory H to the right and their information I upwards, under the line I = H.

    Args:
        entropies: float[n], H in nats.
        information: float[n], I in nats.
        betas: float[n], the price of memory; written beside the points where they differ.
        chosen: the point that is drawn strong.
    Returns:
        The figure.
    """
    figure = Figure(figsize=(WIDTH, 4.4), facecolor="white")
    axes = figure.add_axes((0.05, 0.12, 0.745, 0.8))
    plain_axes(axes)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
    axes.xaxis.set_major_formatter("{x:g}")
    most = 1.08 * max(float(np.max(entropies, initial=0)), float(np.max(information, initial=0)), 1e-3)
    axes.plot([0, most], [0, most], color=MUTED, linewidth=1, dashes=(5, 4))
    others = np.arange(len(entropies)) != chosen
    axes.scatter(entropies[others], information[others], s=34, color=BLUE, alpha=0.5, linewidths=0)
    axes.scatter(entropies[chosen], information[chosen], s=70, color=ORANGE, linewidths=0, zorder=3)
    for beta, entropy, most_information in _one_a_price(entropies, information, betas):
        place = {"xytext": (7, -4), "textcoords": "offset points"}
        axes.annotate(f"{beta:g}", (entropy, most_information), fontsize=SMALL, color=MUTED, va="top", **place)
    axes.set(xlim=(-0.02 * most, most), ylim=(min(-0.06 * most, float(np.min(information, initial=0))), most))
    axes.set_title("information I(z_x; z_y), nats", loc="left", fontsize=TEXT, color=INK)
    axes.set_xlabel("memory H(z_x), nats", fontsize=TEXT, color=MUTED)
    return figure


def examples_by_code(rows: Sequence[tuple[str, np.ndarray, float]], columns: int) -> Figure:
    """One row of images for each code, with the code at its left and how common it is at its right.

    Args:
        rows: (name of the code, images of at most `columns` examples, share of all examples that have it).
        columns: images in a row.
    Returns:
        The figure.
    """
    pictures = [as_images(images) for _, images, _ in rows]
    height = max(map(aspect, pictures)) + 0.06
    figure, axes = tile_canvas(columns=columns + 2.1, rows=len(rows) * height, header=0.1)
    for row, ((name, _, share), images) in enumerate(zip(rows, pictures, strict=True)):
        middle = (row + 0.5) * height
        axes.text(0.85, middle, name, fontsize=TITLE, color=INK, ha="right", va="center")
        axes.text(columns + 1.1, middle, f"{100 * share:.1f} %", fontsize=SMALL, color=MUTED, va="center")
        for column, image in enumerate(images):
            draw_tile(axes, image, 1 + column, row * height)
    return figure


def _one_a_price(entropies: np.ndarray, information: np.ndarray, betas: np.ndarray) -> list[tuple[float, float, float]]:
    """(β, H, I) of the most informative code at each price; none where there is one price only."""
    prices = np.unique(betas)
    if len(prices) < 2:
        return []
    best = [max(np.flatnonzero(betas == price), key=lambda i: information[i]) for price in prices]
    return [(float(betas[i]), float(entropies[i]), float(information[i])) for i in best]
