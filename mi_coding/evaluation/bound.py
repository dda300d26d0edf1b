"""How much information do the codes of held-out pairs share, at least?"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np

from mi_coding.data import num_examples
from mi_coding.evaluation.base import MOST_HELDOUT, NO_CURVE, Curve, Curves, PairEvaluator, Trained
from mi_coding.evaluation.heldout import AHEAD_KEYS, SUMMARY_KEYS, HeldoutBound, bound_summary
from mi_coding.methods import Variables
from mi_coding.pairs import BoundSpec
from mi_coding.reporting.figure import BLUE, ORANGE, Chart, Figure
from mi_coding.reporting.page import Section
from mi_coding.reporting.results import Format, Group, Summary, Tile, finite, nats, percent, show

BOUND = "validation/mi_lower_bound_nats"  # in metrics.jsonl, the bound on pairs that are not trained on

FALL, LEAST_FALL = 0.1, 0.1  # share of the best validation bound, and nats: a fall by their sum is more than noise
VALIDATION_BATCHES = 4  # batches of a held-out bound during training: enough to draw a curve with

_EXAMPLES = "heldout/num_examples"  # that held-out pairs are drawn from

_UNTRAINED = "heldout_untrained"  # the encoder and critic before the first step, with the N of training
_ROWS = {  # prefix of a bound in a summary → what its row shows after N
    "heldout": "",
    "heldout_largest": "",
    "heldout_across": ", distractors of all films",
    "heldout_within": ", distractors of the same film",
    _UNTRAINED: ", untrained encoder",
}


@dataclass(frozen=True)
class HeldoutBounds(PairEvaluator):
    """Lower bounds on I(z_x; z_y) on pairs that training never saw, of a method that has `bound_specs`.

    The one with the N of training is also measured for the encoder before the first step.
    """

    for_every_method = False

    def evaluate(self, trained: Trained) -> dict[str, Any]:
        if warning := overfitting_warning(trained.curves):
            trained.warn(warning)
        population = trained.population("test")
        count = len(jax.tree.leaves(trained.pairs.examples_of(population))[0])
        summary: dict[str, Any] = {_EXAMPLES: count}

        def bound_of(variables: Variables, spec: BoundSpec) -> HeldoutBound:
            measure = trained.heldout_bound(spec)
            return measure(variables, trained.key("test"), population, num_pairs=self.num_pairs)

        for prefix, spec in trained.method.bound_specs(count).items():
            bound = bound_of(trained.variables, spec)
            summary |= bound_summary(bound, prefix)
            _warn_near_ceiling(trained, bound)
        untrained = bound_of(trained.untrained(), trained.method.training_spec)
        return summary | bound_summary(untrained._replace(ahead=()), _UNTRAINED)

    def validation(self, trained: Trained) -> Callable[[int, Variables], dict[str, float]]:
        population, key = trained.population("validation"), trained.key("validation")
        num_pairs = VALIDATION_BATCHES * trained.batch_size
        measure = partial(trained.heldout_bound(trained.method.training_spec), num_pairs=num_pairs)
        return lambda step, variables: bound_summary(measure(variables, key, population), "validation")

    def groups(self, summary: Summary) -> list[Group]:
        prefixes = [prefix for prefix in _ROWS if f"{prefix}/mi_lower_bound_nats" in summary]
        ahead = [prefix for prefix in prefixes if steps_ahead(summary, prefix)]
        return [_bound_group(summary, prefixes), _ahead_group(summary, ahead)]

    def tiles(self, summary: Summary) -> list[Tile]:
        tiles = {"mi_lower_bound_nats": _bound_tile, "num_candidates": _candidates_tile}
        return [tile(summary) for key, tile in tiles.items() if f"heldout/{key}" in summary]

    def sections(self, trained: Trained, summary: Summary) -> list[Section]:
        if "heldout/num_candidates" not in summary:  # it could not be measured, and a warning has said so
            return []
        count = int(summary["heldout/num_candidates"])
        num_validation = num_examples(trained.dataset.validation)
        if not trained.pairs.takes_films:
            num_validation = min(num_validation, MOST_HELDOUT)
        text = (
            "The lower bound on the information that codes of a pair share, on training batches and on pairs of the "
            f"{num_validation:,} validation examples; the result above is for the test examples. "
            f"With N = {count:,} candidates no bound exceeds ln N = {math.log(count):.2f} nats, however informative "
            f"the codes; and knowing which of {num_validation:,} examples a pair comes from is worth "
            f"ln {num_validation:,} = {math.log(num_validation):.2f} nats at most."
        )
        train = trained.curves.get("train/mi_lower_bound_nats", NO_CURVE)
        figure = bound_over_training(train, trained.curves.get(BOUND), count)
        return [Section("Bound over training", text, figure, "bound"), *_ahead_sections(summary)]


def overfitting_warning(curves: Curves) -> str | None:
    """A warning where the bound on validation pairs has fallen from its best value during training; else None.

    >>> overfitting_warning({BOUND: (np.array([100, 200, 300]), np.array([1.6, 1.7, 1.1]))})[:72]
    'the bound on validation pairs was 1.70 nats at step 200 and ends at 1.10'
    >>> overfitting_warning({BOUND: (np.array([100]), np.array([-500.0]))})  # of a critic that nothing trained
    """
    if BOUND not in curves:
        return None
    steps, bounds = curves[BOUND]
    if not np.isfinite(bounds).all():  # a warning about the loss has said so
        return None
    best = bounds.argmax()
    if bounds[best] - bounds[-1] <= LEAST_FALL + FALL * max(bounds[best], 0):
        return None
    return (
        f"the bound on validation pairs was {bounds[best]:.2f} nats at step {steps[best]:,} and ends at "
        f"{bounds[-1]:.2f}: the training pairs are memorised (overfitting); raise config.optimizer.weight_decay, lower "
        "config.num_steps, or use more pairs"
    )


def steps_ahead(summary: Summary, prefix: str) -> range:
    """1 … K, the steps ahead that the bound under `prefix` is the mean of; empty where it is not of sequences.

    >>> list(steps_ahead({"heldout/mi_lower_bound_nats_ahead_1": 2.0, "heldout/accuracy": 0.5}, "heldout"))
    [1]
    """
    return range(1, 1 + sum(key.startswith(f"{prefix}/mi_lower_bound_nats_ahead_") for key in summary))


def bound_with_error(summary: Summary, prefix: str, form: Format = nats, suffix: str = "") -> str:
    """The bound under `prefix`, ± its standard error where there is one, without its unit."""
    error = show(summary, f"{prefix}/mi_standard_error_nats{suffix}", form)
    return show(summary, f"{prefix}/mi_lower_bound_nats{suffix}", form) + (f" ± {error}" if error else "")


def _warn_near_ceiling(trained: Trained, bound: HeldoutBound) -> None:
    for one in bound.ahead or (bound,):
        if one.near_ceiling:
            trained.warn(
                f"the held-out bound {one.mi_lower_bound:.3f} is within 5 % of its ceiling ln {one.num_candidates} "
                f"= {one.ceiling:.3f} nats: the information is at least this much; raise batch_size"
            )


def _bound_group(summary: Summary, prefixes: Iterable[str]) -> Group:
    columns = ("candidates", "bound", "ceiling", "true y ranked first")
    note = (
        "Nats ± one standard error over random batches of the test examples, which training never saw. No bound can "
        "exceed its ceiling, ln N."
    )
    most = max((finite(summary, f"{prefix}/num_candidates") or 0 for prefix in prefixes), default=0)
    count = finite(summary, _EXAMPLES) or 0
    if 0 < count < most:
        note += (
            f" Pairs are drawn from {count:,.0f} test examples, fewer than {most:,.0f} candidates: some candidates "
            "come from the same example, and knowing which example a pair comes from is worth "
            f"ln {count:,.0f} = {math.log(count):.2f} nats."
        )
    if _UNTRAINED in prefixes:
        note += (
            " Untrained: encoder, head and critic before the first step, whose bound is loose; it shows what training "
            "gained. A guess ranks the true y first with probability 1/N."
        )
    rows = []
    for prefix in prefixes:
        candidates, accuracy = show(summary, f"{prefix}/num_candidates"), show(summary, f"{prefix}/accuracy", percent)
        name = (f"N = {candidates}" if candidates else prefix) + _ROWS[prefix]
        ceiling = show(summary, f"{prefix}/mi_ceiling_nats", nats)
        rows.append((name, bound_with_error(summary, prefix), ceiling, accuracy))
    keys = frozenset(f"{prefix}/{key}" for prefix in prefixes for key in SUMMARY_KEYS) | {_EXAMPLES}
    return Group("held-out bound on mutual information", columns, tuple(rows), note, keys)


def _ahead_group(summary: Summary, prefixes: Sequence[str]) -> Group:
    columns, rows = ["steps ahead"], []
    for prefix in prefixes:
        ceiling = show(summary, f"{prefix}/mi_ceiling_nats", nats)
        columns += [f"N = {show(summary, f'{prefix}/num_candidates')}, at most {ceiling}", "ranked first"]
    for k in steps_ahead(summary, prefixes[0]) if prefixes else ():
        row = [str(k)]
        for p in prefixes:
            row.append(bound_with_error(summary, p, suffix=f"_ahead_{k}"))
            row.append(show(summary, f"{p}/accuracy_ahead_{k}", percent))
        rows.append(tuple(row))
    note = (
        "Nats between the steps so far and one later step; a mean over steps, the same ones for every distance. The "
        "bound above is the mean over distances."
    )
    keys = frozenset(f"{p}/{key}_ahead_{k}" for p in prefixes for key in AHEAD_KEYS for k in steps_ahead(summary, p))
    return Group("held-out bound for each number of steps ahead", tuple(columns), tuple(rows), note, keys)


def _bound_tile(summary: Summary) -> Tile:
    bound, ceiling = finite(summary, "heldout/mi_lower_bound_nats"), finite(summary, "heldout/mi_ceiling_nats")
    value, *error = bound_with_error(summary, "heldout", "{:.2f}".format).split(" ", 1)
    context = f"of at most {ceiling:.2f} nats, the ceiling ln N" if ceiling else ""
    if (untrained := finite(summary, f"{_UNTRAINED}/mi_lower_bound_nats")) is not None:
        context += f"; untrained encoder {untrained:.2f}"
    share = bound / ceiling if bound is not None and ceiling else None
    return Tile("held-out bound", value, " ".join([*error, "nats"]), context, share)


def _candidates_tile(summary: Summary) -> Tile:
    accuracy = show(summary, "heldout/accuracy", percent)
    context = f"the true y ranked first for {accuracy} of x" if accuracy else ""
    value = show(summary, "heldout/num_candidates")
    return Tile("candidates N", value, context=context)


def bound_over_training(train: Curve, validation: Curve | None, num_candidates: int) -> Figure:
    """The bound of the training batches step by step, under its ceiling, and the one on validation pairs beside it.

    The faint line is every value, the strong one a running mean over a fiftieth of the run.
    """
    chart = Chart(3.7, (0.05, 0.14, 0.745, 0.765), "bound on mutual information, nats", "step")
    ceiling = math.log(num_candidates)
    chart.ceiling(ceiling, f"ln {num_candidates:,} =")
    drawn = np.zeros(0) if validation is None else validation[1]
    if len(train[0]):  # methods without candidates have a bound on held-out pairs alone
        chart.axes.plot(*train, color=BLUE, alpha=0.22, linewidth=0.8)
        smooth = chart.smooth(*train, BLUE)
        chart.label(smooth, "train", BLUE)
        drawn = np.concatenate([drawn, smooth])
    if validation is not None:
        chart.dots(*validation, "validation", ORANGE)
    chart.limit(drawn, ceiling)
    return chart.finished()


def _ahead_sections(summary: Summary) -> list[Section]:
    bounds = {
        int(summary[f"{prefix}/num_candidates"]): tuple(
            np.array([summary[f"{prefix}/mi_{name}_nats_ahead_{k}"] for k in steps], float)
            for name in ("lower_bound", "standard_error")
        )
        for prefix in ("heldout_largest", "heldout")
        if (steps := steps_ahead(summary, prefix))
    }
    text = (
        "The lower bound on the information between the steps so far and one later step, on sequences that training "
        "never saw, with two standard errors. The same steps are predicted at every distance, from fewer steps the "
        "larger the distance: true information never increases along this line."
    )
    return [Section("Bound against steps ahead", text, bound_ahead(bounds), "bound_ahead")] if bounds else []


def bound_ahead(bounds: Mapping[int, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Held-out bounds against the number of steps ahead, with two standard errors, one line for each N.

    `bounds` is N → (bounds float[K], their standard errors float[K]) in nats; the ceiling of the first is drawn.

    Raises:
        ValueError: if `bounds` is empty.
    """
    if not bounds:
        raise ValueError("bounds is empty: expected the bounds of at least one N")
    first = next(iter(bounds))
    chart = Chart(3.4, (0.05, 0.15, 0.745, 0.745), "held-out bound on mutual information, nats", "steps ahead")
    chart.ceiling(math.log(first), f"ln {first:,} =")
    for (num_candidates, (values, errors)), colour in zip(bounds.items(), (BLUE, ORANGE), strict=False):
        steps = np.arange(1, len(values) + 1)
        chart.axes.errorbar(steps, values, 2 * errors, color=colour, marker="o", markersize=4, capsize=3)
        chart.label(values, f"N = {num_candidates:,}:", colour)
    chart.limit(np.concatenate([values for values, _ in bounds.values()]), math.log(first))
    return chart.finished()
