"""What do pairs look like to the encoder? Pairs of single examples."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mi_coding.evaluation.base import Evaluator, Trained
from mi_coding.pairs import pairs_of_batch
from mi_coding.reporting.page import Section
from mi_coding.reporting.strips import are_images, pair_strip

NUM_PAIRS = 10
"""Pairs that a report shows."""


@dataclass(frozen=True)
class ShownPairs(Evaluator):
    """Some pairs as the encoder sees them, of examples that are images."""

    for_every_method = False

    def sections(self, trained: Trained, summary: Mapping[str, Any]) -> list[Section]:
        del summary
        examples, x, y = draw_shown_pairs(trained)
        originals = None if trained.pairs.takes_given_pairs else examples
        return strip_section(originals, np.asarray(x), np.asarray(y), trained.pairs.describe())


def draw_shown_pairs(trained: Trained) -> tuple[Any, Any, Any]:
    """The first test examples of a report, and a pair x, y of each."""
    examples = jax.tree.map(lambda half: jnp.asarray(half[:NUM_PAIRS]), trained.shown.examples)
    rows = jnp.arange(len(jax.tree.leaves(examples)[0]))
    return examples, *_draw(trained.report_keys.pairs, examples, rows, trained.pairs)


def strip_section(originals: Any, x: np.ndarray, y: np.ndarray, description: str) -> list[Section]:
    """Pairs under the images they are made of; empty where they are no images of one size.

    Args:
        originals: images that pairs are made of; None for given pairs, which need not be shown twice.
        x, y: as the encoder sees them.
        description: what makes x and y a pair.
    """
    if not are_images(x) or x.shape != y.shape:
        return []
    title = "x and its y" if originals is None else "A test image, x and its y"
    figure = pair_strip(x, y, originals=originals, title=title)
    return [Section("Pairs as the encoder sees them", f"Each column is one pair: {description}.", figure, "pairs")]


_draw = jax.jit(lambda key, examples, rows, pairs: pairs_of_batch(key, examples, rows, pairs=pairs), static_argnums=3)
