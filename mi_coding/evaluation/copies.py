"""Which test examples also occur in the training split? Results on them are results on training data."""

from dataclasses import dataclass

import numpy as np

from mi_coding.data import take
from mi_coding.evaluation.base import Evaluator, Trained
from mi_coding.reporting.page import Section, Table
from mi_coding.reporting.results import Summary
from mi_coding.reporting.strips import are_images, pair_strip

NUM_COPIES = 10  # that a report shows


@dataclass(frozen=True)
class ShownCopies(Evaluator):
    """Test images that are copies or near-copies of training images, above these; no section where none was found."""

    def sections(self, trained: Trained, summary: Summary) -> list[Section]:
        found = trained.dataset.copies.get("test", [])
        if not found:
            return []
        of_test, of_train = np.array(found[:NUM_COPIES]).T
        copies, originals = take(trained.dataset.test, of_test), take(trained.dataset.train, of_train)
        if not are_images(copies.examples):
            return []
        count = f"{len(found):,} of {len(trained.dataset.test.examples):,} test images"
        text = f"{count} are copies or near-copies of training images; the first are shown above their originals."
        rows = {"names": ("test", "train"), "title": "Copies and originals"}
        figure = pair_strip(copies.examples, originals.examples, **rows)
        table = None
        if copies.names and originals.names:
            table = Table("File names", ("test", "training"), list(zip(copies.names, originals.names, strict=True)))
        return [Section("Test images that training has seen", text, figure, "copies", table, pictures=True)]
