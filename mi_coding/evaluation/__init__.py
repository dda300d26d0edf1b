"""What are trained codes worth? One question a file; a new one is an `Evaluator` and a line in `EVALUATORS`."""

from collections.abc import Callable, Iterable
from typing import Any

from mi_coding.evaluation.base import Evaluator, Trained
from mi_coding.evaluation.bound import HeldoutBounds
from mi_coding.evaluation.data_account import DataAccount
from mi_coding.evaluation.discrete import DiscreteCodes
from mi_coding.evaluation.films import FilmPairs
from mi_coding.evaluation.health import Health
from mi_coding.evaluation.map import CodeMap
from mi_coding.evaluation.neighbours import NearestNeighbours
from mi_coding.evaluation.pairs import ShownPairs, ShownSequences
from mi_coding.evaluation.probes import LabelProbes
from mi_coding.methods import Method, Variables
from mi_coding.pairs import PairSampler
from mi_coding.reporting.page import Section
from mi_coding.reporting.results import Summary

EVALUATORS: dict[str, type[Evaluator]] = {
    "bound": HeldoutBounds,
    "discrete": DiscreteCodes,
    "probes": LabelProbes,
    "health": Health,
    "pairs": ShownPairs,
    "sequences": ShownSequences,
    "films": FilmPairs,
    "map": CodeMap,
    "neighbours": NearestNeighbours,
    "account": DataAccount,
}
"""Names of evaluations, in the order of results and of the report; see `Method.evaluations`."""

LEAD = (  # of a report
    "What a code of one half of a pair knows about the other half. Every figure of information is in nats, on pairs "
    "that training never saw; a bound stands beside the ceiling that it could not have passed."
)


def chosen(method: Method, pairs: PairSampler) -> list[type[Evaluator]]:
    """The evaluations of a method on pairs: those for every method, and those that either of them names.

    >>> from mi_coding.methods import METHODS
    >>> from mi_coding.pairs import PAIRS
    >>> [kind.__name__ for kind in chosen(METHODS["cpc"](), PAIRS["frames"]())][:3]
    ['HeldoutBounds', 'LabelProbes', 'Health']
    """
    named = {*method.evaluations, *pairs.evaluations}
    return [kind for name, kind in EVALUATORS.items() if kind.for_every_method or name in named]


def evaluate(evaluators: Iterable[Evaluator], trained: Trained) -> dict[str, Any]:
    """The entries of summary.json for (params, stats) on examples that training never saw."""
    return {key: value for evaluator in evaluators for key, value in evaluator.evaluate(trained).items()}


def validation(evaluators: Iterable[Evaluator], trained: Trained) -> Callable[[int, Variables], dict[str, float]]:
    """A function of (step, variables) that gives the entries of metrics.jsonl for a step of training."""
    functions = [function for evaluator in evaluators if (function := evaluator.validation(trained))]
    return lambda step, variables: {name: value for f in functions for name, value in f(step, variables).items()}


def report_sections(evaluators: Iterable[Evaluator], trained: Trained, summary: Summary) -> list[Section]:
    """The figures of a report."""
    return [section for evaluator in evaluators for section in evaluator.sections(trained, summary)]
