"""Features of labelled examples, as probes read them: several views of each, drawn as the encoder's x is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import jax
import numpy as np

from mi_coding.data import Split, blocks, num_examples
from mi_coding.evaluation.base import Trained, subsample, view_each
from mi_coding.evaluation.classifiers import Examples
from mi_coding.evaluation.codes import encode
from mi_coding.options import NotNegativeInt, PositiveInt, option
from mi_coding.pairs import PairSampler

_BLOCK = 4096  # examples read, shown and encoded at a time

Encoders = Mapping[str, Callable[[jax.Array], jax.Array]]
"""Name → jitted function from views float32[n, …] to features float32[n, F]."""


@dataclass(frozen=True)
class LabelledViews:
    """How many views of how many examples a probe reads; every encoder sees the same views."""

    views: PositiveInt = option("evaluation.views", 1, "views drawn of each example for the probes")
    most_images: NotNegativeInt = option(
        "evaluation.most_images", 0, "training examples that the probes learn from; 0 for all"
    )

    def encoded(self, encoders: Encoders, trained: Trained) -> dict[str, tuple[Examples, Examples, Examples]]:
        """Name of an encoder → its features of the training, validation and test split; the key is that of "probe"."""
        train, *others = trained.dataset[1:]
        splits = (subsample(train, self.most_images) if self.most_images else train, *others)
        keys = jax.random.split(trained.key("probe"), 3)
        parts = [encode_views(encoders, *own, trained.pairs, self.views) for own in zip(splits, keys, strict=True)]
        return {name: tuple(part[name] for part in parts) for name in encoders}


def encode_views(
    encoders: Encoders, split: Split, key: jax.Array, pairs: PairSampler, views_each: int
) -> dict[str, Examples]:
    """Name of an encoder → features and labels of several views of each example; hidden labels (−1) are left out."""
    keys = jax.random.split(key, num_examples(split) * views_each)
    parts, labels, done = {name: [] for name in encoders}, [], 0
    for block in blocks(split, _BLOCK):
        labels.append(np.repeat(block.labels, views_each))
        examples = jax.tree.map(lambda half: np.repeat(half, views_each, axis=0), block.examples)
        shown = view_each(keys[done : done + len(labels[-1])], examples, pairs)
        done += len(labels[-1])
        for name, encoder in encoders.items():
            parts[name].append(encode(encoder, shown))
    labels = np.concatenate(labels)
    known = labels >= 0
    return {name: Examples(np.concatenate(part)[known], labels[known]) for name, part in parts.items()}
