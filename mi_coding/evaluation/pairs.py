"""What do pairs look like to the encoder? Pairs of single examples, and sequences with the part that is predicted."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mi_coding.evaluation.base import Evaluator, Trained
from mi_coding.pairs import pairs_of_batch
from mi_coding.reporting.page import Section
from mi_coding.reporting.results import Summary
from mi_coding.reporting.strips import are_images, as_pictures, pair_strip

NUM_PAIRS = 10  # pairs that a report shows


@dataclass(frozen=True)
class ShownPairs(Evaluator):
    """Some pairs as the encoder sees them, of examples that are images."""

    for_every_method = False

    def sections(self, trained: Trained, summary: Summary) -> list[Section]:
        examples, x, y = _draw_shown_pairs(trained)
        originals = None if trained.pairs.takes_given_pairs else examples
        return strip_section(originals, np.asarray(x), np.asarray(y), trained.pairs.describe())


@dataclass(frozen=True)
class ShownSequences(Evaluator):
    """Some whole sequences, also split into the steps before one time and those from it on."""

    for_every_method = False

    def sections(self, trained: Trained, summary: Summary) -> list[Section]:
        _, x, _ = _draw_shown_pairs(trained)
        return [sequence_section(np.asarray(x), trained.method.num_ahead, trained.pairs.describe())]


def _draw_shown_pairs(trained: Trained) -> tuple[Any, Any, Any]:
    """The first test examples of a report, and a pair x, y of each."""
    examples = jax.tree.map(lambda half: jnp.asarray(half[:NUM_PAIRS]), trained.shown.examples)
    rows = jnp.arange(len(jax.tree.leaves(examples)[0]))
    return examples, *_draw(trained.report_key("pairs"), examples, rows, pairs=trained.pairs)


def strip_section(originals: Any, x: np.ndarray, y: np.ndarray, description: str) -> list[Section]:
    """Pairs under the images they are made from; empty where they are not images of one size.

    Given pairs have no `originals`, and need not be shown twice.
    """
    if not are_images(x) or x.shape != y.shape:
        return []
    title = "x and its y" if originals is None else "A test image, x and its y"
    figure = pair_strip(x, y, originals=originals, title=title)
    return [
        Section(
            "Pairs as the encoder sees them", f"Each column is one pair: {description}.", figure, "pairs", pictures=True
        )
    ]


def sequence_section(sequences: np.ndarray, first: int, description: str) -> Section:
    """Sequences float[n, T, …] whole, their steps before number `first`, and their steps from it on."""
    x, y = np.array(sequences), np.array(sequences)
    x[:, first:], y[:, :first] = sequences.min(), sequences.min()
    whole, x, y = np.split(as_pictures(np.concatenate([sequences, x, y])), 3)
    figure = pair_strip(x, y, originals=whole, title=f"A test sequence, x and y around step {first + 1}")
    text = f"Each column is one sequence. A pair is {description}; here for one such time."
    return Section("Sequences as the encoder sees them", text, figure, "pairs", pictures=True)


_draw = jax.jit(pairs_of_batch, static_argnames="pairs")
