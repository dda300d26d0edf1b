"""What are trained codes worth? One question per file; a new one is an `Evaluator` with a line in `EVALUATORS`."""

import re
from collections.abc import Callable, Iterable
from typing import Any

from mi_coding.data import Dataset
from mi_coding.evaluation.base import Evaluator, Trained
from mi_coding.evaluation.bound import HeldoutBounds
from mi_coding.evaluation.classifier import ClassifierAccuracy
from mi_coding.evaluation.clusters import Clusters
from mi_coding.evaluation.copies import ShownCopies
from mi_coding.evaluation.data_account import DataAccount
from mi_coding.evaluation.discrete import DiscreteCodes
from mi_coding.evaluation.few_labels import FewLabels
from mi_coding.evaluation.films import FilmPairs
from mi_coding.evaluation.gaussian import GaussianInformation
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
    "gaussian": GaussianInformation,
    "discrete": DiscreteCodes,
    "classifier": ClassifierAccuracy,
    "probes": LabelProbes,
    "few_labels": FewLabels,
    "clusters": Clusters,
    "health": Health,
    "pairs": ShownPairs,
    "sequences": ShownSequences,
    "films": FilmPairs,
    "map": CodeMap,
    "neighbours": NearestNeighbours,
    "copies": ShownCopies,
    "account": DataAccount,
}
"""Names of evaluations, in the order of results and of the report; see `Method.evaluations`."""

LEAD = (  # of a report
    "What the code of one half of a pair tells about the other half. Information is in nats, measured on pairs that "
    "training never saw; each bound is shown beside the ceiling that it cannot exceed."
)


def chosen(method: Method, pairs: PairSampler) -> list[type[Evaluator]]:
    """The evaluations of a method on pairs: those for every method, and those that either of them names.

    >>> from mi_coding.methods import METHODS
    >>> from mi_coding.pairs import PAIRS
    >>> [kind.__name__ for kind in chosen(METHODS["cpc"](), PAIRS["frames"]())][:3]
    ['HeldoutBounds', 'LabelProbes', 'FewLabels']
    """
    named = {*method.evaluations, *pairs.evaluations}
    return [kind for name, kind in EVALUATORS.items() if kind.for_every_method or name in named]


def shortcomings(evaluators: Iterable[Evaluator], dataset: Dataset) -> list[str]:
    """What a data set lacks for the evaluations, one line each; checked before the first step."""
    return [line for evaluator in evaluators for line in evaluator.shortcomings(dataset)]


def evaluate(
    evaluators: Iterable[Evaluator], trained: Trained, tell: Callable[[str], None] = lambda part: None
) -> dict[str, Any]:
    """The entries of summary.json for (params, stats) on examples that training never saw.

    `tell` is called with the name of each evaluation before it begins.
    """
    summary = {}
    for evaluator in evaluators:
        tell(_title(evaluator).lower())
        summary |= _tried(evaluator, lambda one: one.evaluate(trained), trained) or {}
    return summary


def validation(evaluators: Iterable[Evaluator], trained: Trained) -> Callable[[int, Variables], dict[str, float]]:
    """A function of (step, variables) that returns the entries of metrics.jsonl for a step of training."""
    functions = [function for evaluator in evaluators if (function := evaluator.validation(trained))]
    return lambda step, variables: {name: value for f in functions for name, value in f(step, variables).items()}


def report_sections(
    evaluators: Iterable[Evaluator], trained: Trained, summary: Summary, tell: Callable[[str], None] = lambda part: None
) -> list[Section]:
    """The figures of a report; one that fails is named in its place. `tell` is called as by `evaluate`."""
    sections = []
    for evaluator in evaluators:
        tell(_title(evaluator).lower())
        drawn = _tried(evaluator, lambda one: _drawn(one.sections(trained, summary)), trained)
        text = "This part of the report could not be made; a warning above says why."
        sections += [Section(_title(evaluator), text, None, "")] if drawn is None else drawn
    return sections


def _tried(evaluator: Evaluator, ask: Callable[[Evaluator], Any], trained: Trained) -> Any:
    """The result of an evaluation; None, with a warning, where it fails: training must not end without a report."""
    try:
        return ask(evaluator)
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        trained.warn(f"{_title(evaluator)} failed, and is left out: {type(error).__name__}: {reason}")
        return None


def _drawn(sections: list[Section]) -> list[Section]:
    """The sections with their figures already drawn, since drawing may fail, too."""
    for section in sections:
        if section.figure is not None:
            section.png  # noqa: B018  it is kept, for the page and the file
    return sections


def _title(evaluator: Evaluator) -> str:
    """The name of an evaluation in words.

    >>> _title(HeldoutBounds())
    'Heldout bounds'
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(evaluator).__name__).capitalize()
