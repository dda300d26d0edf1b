"""How often is the classifier that was trained with the encoder right, on examples that training never saw?"""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from mi_coding.data import Dataset
from mi_coding.evaluation.base import Evaluator, Trained, encode_views, unlabelled_splits
from mi_coding.reporting.results import Group, Summary, Tile, finite, percent, show

ACCURACY, ERROR, COUNT = "classifier/accuracy", "classifier/accuracy_stderr", "classifier/test_examples"


@dataclass(frozen=True)
class ClassifierAccuracy(Evaluator):
    """Share of test examples whose label has the largest logit, on one view each; none without labels."""

    for_every_method = False
    judges_classes = True

    def shortcomings(self, dataset: Dataset) -> list[str]:
        if "test" not in unlabelled_splits(dataset):
            return []
        return ["no test example has a known label, so the classifier is not judged: label some"]

    def evaluate(self, trained: Trained) -> dict[str, Any]:
        if "test" in unlabelled_splits(trained.dataset):
            return {}
        key = jax.random.split(trained.key("probe"), 3)[2]  # the views that the probes see
        logits = {"logits": trained.encoder("codes")}
        found = encode_views(logits, trained.dataset.test, key, trained.pairs, 1)["logits"]
        right = np.argmax(found.features, axis=1) == found.labels
        return {ACCURACY: float(right.mean()), ERROR: float(right.std() / np.sqrt(len(right))), COUNT: len(right)}

    def groups(self, summary: Summary) -> list[Group]:
        if ACCURACY not in summary:
            return []
        rows = [
            ("label right", f"{show(summary, ACCURACY, percent)} ± {show(summary, ERROR, percent)}"),
            ("of test examples", show(summary, COUNT)),
        ]
        note = "± one standard error over the draw of test examples; one view of each."
        keys = frozenset((ACCURACY, ERROR, COUNT))
        return [Group("classifier learnt with the encoder", ("", ""), tuple(rows), note, keys)]

    def tiles(self, summary: Summary) -> list[Tile]:
        if ACCURACY not in summary:
            return []
        value = show(summary, ACCURACY, lambda share: f"{100 * share:.1f}")
        return [Tile("classifier", value, "%", f"of {show(summary, COUNT)} test examples", finite(summary, ACCURACY))]
