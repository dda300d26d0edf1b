"""What do sequences look like to the encoder, and what is predicted of them?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mi_coding.evaluation.base import Evaluator, Trained
from mi_coding.evaluation.pairs import draw_shown_pairs
from mi_coding.reporting.page import Section
from mi_coding.reporting.pictures import as_pictures
from mi_coding.reporting.strips import pair_strip


@dataclass(frozen=True)
class ShownSequences(Evaluator):
    """Some sequences whole, and as the steps before one time and those from it on."""

    for_every_method = False

    def sections(self, trained: Trained, summary: Mapping[str, Any]) -> list[Section]:
        del summary
        _, x, _ = draw_shown_pairs(trained)
        return [strip_section(np.asarray(x), trained.method.num_ahead, trained.pairs.describe())]


def strip_section(sequences: np.ndarray, first: int, description: str) -> Section:
    """Sequences whole, their steps before number `first`, and their steps from it on.

    Args:
        sequences: float[n, T, …].
        first: the first step of the future.
        description: what makes a pair.
    """
    x, y = np.array(sequences), np.array(sequences)
    x[:, first:], y[:, :first] = sequences.min(), sequences.min()
    whole, x, y = np.split(as_pictures(np.concatenate([sequences, x, y])), 3)
    figure = pair_strip(x, y, originals=whole, title=f"A test sequence, x and y around step {first + 1}")
    text = f"Each column is one sequence. A pair is {description}; here for one such time."
    return Section("Sequences as the encoder sees them", text, figure, "pairs")
