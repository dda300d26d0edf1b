"""The interface of an evaluation, and all that it may know about a run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from typing import Annotated, Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from mi_coding.data import Dataset, Split, num_examples, sample_films, take
from mi_coding.evaluation.classifiers import Examples
from mi_coding.evaluation.codes import encode
from mi_coding.evaluation.heldout import ENCODE_AT_ONCE, HeldoutBound, make_heldout_bound, make_pair_codes
from mi_coding.methods import Method, Variables
from mi_coding.options import NotNegativeInt, PositiveInt, Range, option
from mi_coding.pairs import BoundSpec, PairSampler
from mi_coding.reporting.page import Section
from mi_coding.reporting.results import Group, Summary, Tile

MOST_HELDOUT = 10_000  # images, or frames, in memory for bounds and pictures
NUM_SHOWN = 1000  # test examples that the pictures of a report are made of
_BLOCK = 4096  # examples read, shown and encoded at a time

Curve = tuple[np.ndarray, np.ndarray]  # steps int[n] and values float[n] of one name in metrics.jsonl
Curves = Mapping[str, Curve]
NO_CURVE: Curve = (np.zeros(0, int), np.zeros(0))
Encoders = Mapping[str, Callable[[jax.Array], jax.Array]]  # name → jitted, from views float32[n, …] to float32[n, F]


@dataclass(frozen=True, eq=False)
class Trained:
    """The result of training, with the data on which it is evaluated."""

    method: Method  # how the codes were learnt
    pairs: PairSampler  # from which pairs
    dataset: Dataset  # its splits; results are measured on the test split
    variables: Variables  # (params, stats) that are evaluated; during training those of the current step
    untrained: Callable[[], Variables]  # (params, stats) before the first step, for the baseline
    key: Callable[[str], jax.Array]  # random key of a purpose, from the seed: "validation", "test", "probe" or "report"
    warn: Callable[[str], None]  # takes one line that the user must see
    batch_size: int  # B of training
    num_steps: int  # of the whole run
    num_classes: int  # of the labels; 0 where there are none
    curves: Curves  # of metrics.jsonl, name → (steps, values); empty where nothing was trained here
    started: Callable[[], Variables | None] | None = None  # those of another run, if its encoder is still there
    _heldout_splits: dict[str, Split] = field(default_factory=dict, init=False, repr=False)

    def encoder(self, output: str, variables: Variables | None = None) -> Callable[[jax.Array], jax.Array]:
        """x → "features" float32[b, F] or "codes" float32[b, D]; compiled once for trained and untrained variables."""
        return partial(_compiled_encoder(self.method, output), *(variables or self.variables))

    def heldout_split(self, name: str) -> Split:
        """At most `MOST_HELDOUT` "train", "validation" or "test" examples in memory; for films, frames."""
        if name not in self._heldout_splits:
            split = getattr(self.dataset, name)
            films = self.pairs.takes_films
            sample = sample_films(split, MOST_HELDOUT, self.pairs.film_gap) if films else subsample(split, MOST_HELDOUT)
            self._heldout_splits[name] = sample
        return self._heldout_splits[name]

    def population(self, name: str) -> Any:
        """What held-out pairs of a split are drawn from, on the device; see `PairSampler.device_data`."""
        return jax.tree.map(jnp.asarray, self.pairs.device_data(self.heldout_split(name)))

    def pair_codes(self, group_size: int = 1) -> Callable[..., tuple[jax.Array, jax.Array]]:
        """(variables, key, population, rows) → z_x, z_y of independent pairs, even where training keeps twins out."""
        return _pair_codes(self.method, self.pairs, group_size, min(ENCODE_AT_ONCE, self.batch_size))

    def heldout_bound(self, spec: BoundSpec) -> Callable[..., HeldoutBound]:
        """(variables, key, population, num_pairs=…) → a held-out bound; see `make_heldout_bound`."""
        measure = make_heldout_bound(self.pair_codes(spec.group_size), self.method.contrast)
        return partial(measure, batch_size=spec.batch_size)

    def views(self, key: jax.Array, examples: Any) -> jax.Array:
        """float32[n, …]: one view of each example in memory."""
        return _views(key, jax.tree.map(jnp.asarray, examples), self.pairs)

    def label_names(self, labels: np.ndarray, longest: int = 20) -> np.ndarray:
        """Labels as readable text, an array of the same shape: names of classes where they are known.

        Longer names are truncated, and a hidden label is "unknown".
        """
        classes = self.dataset.class_names

        def name(label: int) -> str:
            full = "unknown" if label < 0 else str(classes[label] if classes else label)
            return full if len(full) <= longest else f"{full[: longest - 1]}…"

        names = {label: name(label) for label in np.unique(labels).tolist()}
        return np.array([names[label] for label in labels.ravel().tolist()], object).reshape(labels.shape)

    def report_key(self, purpose: str) -> jax.Array:
        """A random key of the report: for "pairs", or for views of "test" or "train" examples."""
        return jax.random.split(self.key("report"), 3)[("pairs", "test", "train").index(purpose)]

    @cached_property
    def shown(self) -> Split:
        """The test examples that the pictures of the report are made of, in memory."""
        return subsample(self.dataset.test, NUM_SHOWN)

    @cached_property
    def shown_views(self) -> jax.Array:
        """float32[n, …]: one view of each of the shown examples."""
        return self.views(self.report_key("test"), self.shown.examples)

    @cached_property
    def shown_codes(self) -> np.ndarray:
        """float32[n, D]: the codes of the shown views."""
        return encode(self.encoder("codes"), self.shown_views)


class Evaluator:
    """One question about trained codes. A new one is a frozen dataclass, and is added to `EVALUATORS`.

    A field made by `options.option` is an option of configs.
    """

    for_every_method: ClassVar[bool] = True  # evaluated in every run; else only where the method or the pairs name it
    judges_classes: ClassVar[bool] = False  # whether labels must be those of the classes that were learnt

    def shortcomings(self, dataset: Dataset) -> list[str]:
        """What a data set lacks for this question, one line each, shown to the user before training."""
        return []

    def evaluate(self, trained: Trained) -> dict[str, Any]:
        """Entries of summary.json; none where the question has no answer, such as a probe without labels."""
        return {}

    def validation(self, trained: Trained) -> Callable[[int, Variables], dict[str, float]] | None:
        """A function of (step, variables) that returns entries of metrics.jsonl during training; None for none."""
        return None

    def groups(self, summary: Summary) -> list[Group]:
        """Rows of the closing table and of the report, with the keys that they show; from the summary alone."""
        return []

    def tiles(self, summary: Summary) -> list[Tile]:
        """Headline numbers of the report."""
        return []

    def sections(self, trained: Trained, summary: Summary) -> list[Section]:
        """Figures of the report."""
        return []


@dataclass(frozen=True)
class PairEvaluator(Evaluator):
    """A question whose answer is a mean over held-out pairs."""

    num_pairs: Annotated[int, Range(least=2)] = option(
        "evaluation.num_pairs", 10_240, "independent pairs for each held-out bound"
    )


@dataclass(frozen=True)
class LabelledViews:
    """How many views of how many examples a probe reads; every encoder sees the same views."""

    views: PositiveInt = option("evaluation.views", 1, "views drawn from each example for the probes")
    most_images: NotNegativeInt = option(
        "evaluation.most_images", 0, "training examples that the probes learn from; 0 for all"
    )

    def encoded(self, encoders: Encoders, trained: Trained) -> dict[str, tuple[Examples, Examples, Examples]]:
        """Name of an encoder → its features of the training, validation and test split; the key is that of "probe"."""
        train, *others = trained.dataset.splits
        splits = (labelled_sample(train, self.most_images) if self.most_images else train, *others)
        keys = jax.random.split(trained.key("probe"), 3)
        parts = [encode_views(encoders, *own, trained.pairs, self.views) for own in zip(splits, keys, strict=True)]
        return {name: tuple(part[name] for part in parts) for name in encoders}


def unlabelled_splits(dataset: Dataset) -> list[str]:
    """Which of "train", "validation" and "test" have no known label; hidden labels (−1) do not count as known.

    >>> known, hidden = (Split(np.zeros((2, 1)), np.array(labels)) for labels in ([0, -1], [-1, -1]))
    >>> unlabelled_splits(Dataset("some", known, known, hidden))
    ['test']
    """
    names = zip(("train", "validation", "test"), dataset.splits, strict=True)
    return [name for name, split in names if split.labels is None or not np.any(split.labels >= 0)]


def subsample(split: Split, most: int) -> Split:
    """A split of at most `most` examples, in memory; the same examples for every run.

    >>> subsample(Split(np.zeros((9, 2, 2, 1), np.uint8), np.arange(9)), 3).labels.tolist()
    [4, 5, 7]
    """
    return take(split, at_most(most, np.arange(num_examples(split))))


def num_known_classes(split: Split) -> int:
    """How many classes the known labels of a split name.

    >>> num_known_classes(Split(np.zeros((4, 1)), np.array([3, -1, 7, 3])))
    2
    """
    return 0 if split.labels is None else len(np.unique(split.labels[split.labels >= 0]))


def labelled_sample(split: Split, most: int) -> Split:
    """At most `most` examples whose label is known, in memory; the same ones for every run.

    >>> labelled_sample(Split(np.zeros((3, 2, 2, 1), np.uint8), np.array([1, -1, 0])), 4).labels.tolist()
    [1, 0]
    """
    return take(split, at_most(most, np.flatnonzero(split.labels >= 0)))


def at_most(most: int, rows: np.ndarray) -> np.ndarray:
    """int[m], m ≤ most: some of these rows, the same ones for every run, in ascending order."""
    return rows if len(rows) <= most else np.sort(np.random.default_rng(0).choice(rows, most, replace=False))


def encode_views(
    encoders: Encoders, split: Split, key: jax.Array, pairs: PairSampler, views_each: int
) -> dict[str, Examples]:
    """Name of an encoder → features and labels of several views of each example whose label is known."""
    known = np.flatnonzero(split.labels >= 0)
    keys = jax.random.split(key, len(known) * views_each)
    parts, labels, done = {name: [] for name in encoders}, [], 0
    for start in range(0, len(known), _BLOCK):
        block = take(split, known[start : start + _BLOCK])
        labels.append(np.repeat(block.labels, views_each))
        examples = jax.tree.map(lambda half: np.repeat(half, views_each, axis=0), block.examples)
        shown = view_each(keys[done : done + len(labels[-1])], examples, pairs)
        done += len(labels[-1])
        for name, encoder in encoders.items():
            parts[name].append(encode(encoder, shown))
    return {name: Examples(np.concatenate(part), np.concatenate(labels)) for name, part in parts.items()}


@lru_cache(maxsize=8)
def _compiled_encoder(method: Method, output: str) -> Callable[[Any, Any, jax.Array], jax.Array]:
    return jax.jit(lambda params, stats, x: getattr(method.encode(params, stats, x), output))


@lru_cache(maxsize=8)
def _pair_codes(method: Method, pairs: PairSampler, group_size: int, at_once: int) -> Callable:
    return make_pair_codes(partial(pairs.sample, group_size=group_size), method.pair_codes, at_once=at_once)


view_each = jax.jit(lambda keys, examples, pairs: jax.vmap(pairs.view)(keys, examples), static_argnums=2)
"""(keys, examples, pairs) → float32[n, …]: a view of each example, with a key of its own."""

_views = jax.jit(lambda key, examples, pairs: pairs.views(key, examples), static_argnums=2)
