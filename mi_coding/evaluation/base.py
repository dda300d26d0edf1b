"""What an evaluation is, and all that it may know of a run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from mi_coding.data import Dataset, Split, num_examples, sample_films, take
from mi_coding.methods import Method, Variables
from mi_coding.pairs import PairSampler
from mi_coding.reporting.results import Group, Tile
from mi_coding.reporting.page import Section

MOST_HELDOUT = 10_000
"""Images, or frames, in memory for bounds and pictures."""

ENCODE_AT_ONCE = 512
"""Pairs that are drawn and encoded at a time, so that memory does not grow with N."""


@dataclass(frozen=True, eq=False)
class Trained:
    """What training left, on the data that it is judged by.

    Attributes:
        method, pairs: how the codes were learnt, and from which pairs.
        dataset: its splits; results are read on the test split.
        variables: (params, stats) that are judged; during training those of the current step.
        untrained: () → (params, stats) before the first step, for the baseline.
        key: purpose → the random key of one purpose, from the seed: "validation", "test", "probe" or "report".
        warn: takes one line that a person must see.
        batch_size: B of training.
        num_steps: of the whole run.
        num_classes: of the labels; 0 where there are none.
        curves: of metrics.jsonl, name → (steps, values); empty where nothing was trained here.
    """

    method: Method
    pairs: PairSampler
    dataset: Dataset
    variables: Variables
    untrained: Callable[[], Variables]
    key: Callable[[str], jax.Array]
    warn: Callable[[str], None]
    batch_size: int
    num_steps: int
    num_classes: int
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]]


class Evaluator:
    """One question about trained codes. A new one is a frozen dataclass, and adds itself to `EVALUATORS`.

    A field made by `options.option` is an option of configs.

    Attributes:
        for_every_method: whether it is asked of every run; else of those whose method or pairs name it.
    """

    for_every_method: ClassVar[bool] = True

    def evaluate(self, trained: Trained) -> dict[str, Any]:
        """Entries of summary.json; none where the question has no answer, as a probe without labels."""
        raise NotImplementedError

    def validation(self, trained: Trained) -> Callable[[int, Variables], dict[str, float]] | None:
        """A function of (step, variables) that gives entries of metrics.jsonl during training; None for none."""
        return None

    def groups(self, summary: Mapping[str, Any]) -> list[Group]:
        """Rows of the closing table and of the report, with the keys that they show; from the summary alone."""
        return []

    def tiles(self, summary: Mapping[str, Any]) -> list[Tile]:
        """Headline numbers of the report."""
        return []

    def sections(self, trained: Trained, summary: Mapping[str, Any]) -> list[Section]:
        """Figures of the report."""
        return []
