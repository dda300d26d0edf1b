"""The sections of a report: each figure with the sentence that tells how to read it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mi_coding.reporting import plots
from mi_coding.reporting.page import Section, Table
from mi_coding.reporting.pictures import as_pictures
from mi_coding.reporting.results import FEATURES, steps_ahead

LEAD = (
    "What a code of one half of a pair knows about the other half. Every figure of information is in nats, on pairs "
    "that training never saw; a bound stands beside the ceiling that it could not have passed."
)

Curves = Mapping[str, tuple[np.ndarray, np.ndarray]]
_LONGEST_NAME = 12  # letters under an image
_NO_CURVE = (np.zeros(0, int), np.zeros(0))


def bound(curves: Curves, num_candidates: int, num_validation: int) -> Section:
    """The bound over training, from the curves of `metrics.read_metrics`; held out are so many validation images."""
    key = "mi_lower_bound_nats"
    steps, values = curves.get(f"train/{key}", _NO_CURVE)
    validation = curves.get(f"validation/{key}")
    figure = plots.bound_over_training(
        steps, values, ceiling=math.log(num_candidates), num_candidates=num_candidates, validation=validation
    )
    text = (
        f"The lower bound on the information that codes of a pair share, on training batches and on pairs of the "
        f"{num_validation:,} validation images. With N = {num_candidates:,} candidates no bound passes ln N = "
        f"{math.log(num_candidates):.2f} nats, however much the codes know; and which of {num_validation:,} images a "
        f"pair shows is worth ln {num_validation:,} = {math.log(num_validation):.2f} nats at most."
    )
    return Section("Bound over training", text, figure, "bound")


def bounds_ahead(summary: Mapping[str, float]) -> list[Section]:
    """The held-out bounds against the number of steps ahead; empty where the run was not on sequences."""
    bounds = {
        int(summary[f"{prefix}/num_candidates"]): tuple(
            np.array([summary[f"{prefix}/mi_{name}_nats_ahead_{k}"] for k in steps], float)
            for name in ("lower_bound", "standard_error")
        )
        for prefix in ("heldout_largest", "heldout")
        if (steps := steps_ahead(summary, prefix))
    }
    text = (
        "The lower bound on the information between the steps so far and one step later on, on sequences that training "
        "never saw, with two standard errors. Every distance predicts the same steps, from fewer steps the farther it "
        "looks: true information never grows along this line."
    )
    return [Section("Bound against steps ahead", text, plots.bound_ahead(bounds), "bound_ahead")] if bounds else []


def probes(summary: Mapping[str, float], num_classes: int) -> list[Section]:
    """The probes beside their baselines; empty where the data has no labels."""
    if "probe/linear_accuracy" not in summary:
        return []
    accuracies = {
        "linear": {name: summary[linear] for name, (linear, _) in FEATURES.items()},
        "cosine kNN": {name: summary[knn] for name, (_, knn) in FEATURES.items()},
    }
    text = (
        "Accuracy for the label of one view of an unseen image. Features are frozen and read before the projection "
        "head; the linear probe is multinomial logistic regression whose regulariser the validation images chose."
    )
    return [
        Section(
            "What the features say about the label",
            text,
            plots.probe_bars(accuracies, chance=1 / num_classes),
            "probes",
        )
    ]


def pair_strip(examples: Any, x: np.ndarray, y: np.ndarray, how: str) -> list[Section]:
    """Pairs as the encoder sees them, under the images they are made of; empty where they are no images of one size.

    Args:
        examples: images, or given pairs (x, y), which need not be shown twice.
        x, y: as the encoder sees them.
        how: what makes x and y a pair.
    """
    if not plots.are_images(x) or x.shape != y.shape:
        return []
    originals, title = (None, "x and its y") if isinstance(examples, tuple) else (examples, "A test image, x and its y")
    figure = plots.pair_strip(x, y, originals=originals, title=title)
    return [Section("Pairs as the encoder sees them", f"Each column is one pair: {how}.", figure, "pairs")]


def sequence_strip(sequences: np.ndarray, first: int, how: str) -> Section:
    """Sequences whole, their steps before number `first`, and their steps from it on; `how` says what makes a pair."""
    x, y = np.array(sequences), np.array(sequences)
    x[:, first:], y[:, :first] = sequences.min(), sequences.min()
    whole, x, y = np.split(as_pictures(np.concatenate([sequences, x, y])), 3)
    figure = plots.pair_strip(x, y, originals=whole, title=f"A test sequence, x and y around step {first + 1}")
    text = f"Each column is one sequence. A pair is {how}; here for one such time."
    return Section("Sequences as the encoder sees them", text, figure, "pairs")


def film_strip(x: np.ndarray, y: np.ndarray, names: Sequence[str], times: np.ndarray, how: str) -> Section:
    """Pairs of frames of films: whose they are, and float[n, 2] when x and y begin to be shown, in seconds."""
    captions = [
        f"{_shortened(name)}\nx {first:.2f} s\ny {second:.2f} s"
        for name, (first, second) in zip(names, times, strict=True)
    ]
    figure = plots.pair_strip(x, y, captions=captions, title="x and its y, from films held out")
    text = (
        f"Each column is one pair: {how}. Under it the film, and when each of the two frames begins to be shown; a "
        "frame stays until the next one, so the two times differ by the gap to within one frame."
    )
    return Section("Pairs as the encoder sees them", text, figure, "pairs")


def _shortened(name: str) -> str:
    """A name that fits under an image: its beginning and its end."""
    return name if len(name) <= _LONGEST_NAME else f"{name[:5]}…{name[6 - _LONGEST_NAME :]}"


def bounds_by_gap(gaps: Sequence[float], bounds: Mapping[str, Sequence[Any]], trained_at: float) -> Section:
    """The held-out bound at several gaps in seconds: name of distractors → bounds, as `HeldoutBound`, one a gap."""
    values = {name: [bound.mi_lower_bound for bound in some] for name, some in bounds.items()}
    ceilings = {name: some[0].ceiling for name, some in bounds.items()}
    figure = plots.bounds_by_gap(gaps, values, ceilings=ceilings, trained_at=trained_at)
    text = (
        f"The same encoder, trained at a gap of {trained_at:g} s, on held-out pairs at other gaps, from one frame to "
        "the longest. Across: distractors are moments of all films. Within: moments of the same film, so that only "
        "what changes in it counts. The longer the gap, the fewer moments have a frame so much later."
    )
    return Section("Bound by gap", text, figure, "gaps")


def code_map(points: np.ndarray, labels: np.ndarray | None) -> Section:
    """A two-dimensional map of codes."""
    text = (
        "Codes of one view of each test image, laid out by t-SNE so that codes with a large cosine lie together. "
        + ("Labels only colour the points: the encoder never learnt from them." if labels is not None else "")
    )
    return Section("Map of codes", text.strip(), plots.code_map(points, labels, title="Codes of test images"), "codes")


def neighbours(
    queries: np.ndarray,
    near: np.ndarray,
    cosines: np.ndarray,
    labels: tuple[np.ndarray, np.ndarray] | None,
    names: tuple[Sequence[str], Sequence[Sequence[str]]] | None = None,
) -> list[Section]:
    """What the code takes for alike: test views with the training views whose codes are nearest; empty for no images.

    Args:
        queries: float[q, H, W, C], test views.
        near: float[q, k, H, W, C], training views, nearest first.
        cosines: float[q, k].
        labels: of the queries, [q], and of the training views, [q, k]; None where there are none.
        names: the same for the files they are from.
    """
    if not plots.are_images(queries):
        return []
    query_labels, near_labels = labels or (None, None)
    figure = plots.nearest_neighbours(
        queries, near, query_labels=query_labels, neighbour_labels=near_labels, similarities=cosines
    )
    text = (
        "On the left a view of a test image, then the views of training images with the nearest codes and their cosine."
    )
    table = None if names is None else _name_table(*names, cosines)
    return [Section("Nearest neighbours", text, figure, "neighbours", table)]


def _name_table(queries: Sequence[str], near: Sequence[Sequence[str]], cosines: np.ndarray) -> Table:
    """One row a neighbour, so that long names have room; a query is named once, beside its nearest."""
    rows = [
        (query if rank == 0 else "", name, f"{cosine:.2f}")
        for query, names, row in zip(queries, near, cosines, strict=True)
        for rank, (name, cosine) in enumerate(zip(names, row, strict=True))
    ]
    return Table("File names", ("query", "nearest first", "cosine"), rows)


def information(curves: Curves, num_validation: int) -> Section:
    """Entropy and information of a discrete code over training, from the curves of `metrics.read_metrics`."""
    shown = {}
    for name, key in (("memory H", "entropy_nats"), ("information I", "mi_nats")):
        train = curves.get(f"train/{key}", _NO_CURVE)
        shown[name] = (train, curves.get(f"validation/{key}"))
    text = (
        "What the code remembers of x, H(z_x), and what it tells of y, I(z_x; z_y): the mean of all codes on training "
        f"batches as they are drawn, and the best code on pairs of the {num_validation:,} validation images."
    )
    return Section("Information over training", text, plots.information_over_training(shown), "information")


def information_plane(entropies: np.ndarray, information: np.ndarray, betas: np.ndarray, chosen: int) -> Section:
    """Every code of a run at what it costs and what it tells."""
    text = (
        "Each point is one code: to the right what it costs to remember, upwards what it tells about the other half, "
        "both on pairs of test images. No code lies above the line, where every nat remembered is a nat told."
    )
    if len(set(betas.tolist())) > 1:
        worth = information - betas * entropies
        best = [max(np.flatnonzero(betas == beta), key=worth.__getitem__) for beta in np.unique(betas)]
        told = ", ".join(f"{information[i]:.2f} of {entropies[i]:.2f} (β = {betas[i]:g})" for i in best)
        text += (
            " The number beside a point is the price β of a nat of memory at which it was trained. "
            f"The best at each price tells, in nats: {told}."
        )
    figure = plots.information_plane(entropies, information, betas, chosen)
    return Section("Information plane", text, figure, "plane")


def examples_by_code(images: np.ndarray, codes: np.ndarray, *, rows: int, columns: int) -> Section:
    """Test examples, one row for each value of the symbol; of several symbols, of the first few."""
    num_symbols = codes.shape[1]
    shown = []
    for symbol in range(num_symbols):
        for value in np.unique(codes[:, symbol]).tolist():
            name = f"{value}" if num_symbols == 1 else f"{symbol + 1}: {value}"
            own = codes[:, symbol] == value
            shown.append((name, images[own][:columns], float(np.mean(own))))
    text = "Test images by the value of the code's symbol, and the share of all images that has it."
    if num_symbols > 1:
        text = "Test images by the value of one symbol of the code, the first few symbols; and the share that has it."
    return Section("Examples by code", text, plots.examples_by_code(shown[:rows], columns), "by_code")
