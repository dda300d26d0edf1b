"""How far does a handful of labels go? Accuracy with few labelled examples of each class, on frozen features."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from threadpoolctl import threadpool_limits

from mi_coding.data import Split, take
from mi_coding.evaluation.base import (
    Evaluator,
    Trained,
    at_most,
    encode_views,
    labelled_sample,
    num_known_classes,
    unlabelled_splits,
)
from mi_coding.evaluation.classifiers import Examples
from mi_coding.evaluation.probes import RAW, TRAINED, UNTRAINED, compared_encoders
from mi_coding.options import NotNegativeInt, option
from mi_coding.pairs import crops
from mi_coding.reporting.figure import BLUE, MUTED, ORANGE, Chart, Figure
from mi_coding.reporting.page import Section
from mi_coding.reporting.results import Group, Summary, finite, percent

COUNTS = (1, 5, 10, 100)
"""Labelled examples of each class."""

DRAWS = 10  # of these examples
MOST_LABELLED, MOST_TESTED = 4_000, 2_000  # examples to draw from, and to average accuracy over
MOST_FITTED = 2_000  # labelled examples of all classes together: the time of a fit grows with their square
SCRATCH = "the same network from scratch"
SCRATCH_STEPS, SCRATCH_BATCH, SCRATCH_RATE = 300, 64, 2e-3  # of training from scratch: Adam, a cosine to zero

_KEYS = {TRAINED: "trained", UNTRAINED: "untrained", RAW: "raw", SCRATCH: "scratch"}
_SCRATCH_DRAWS = "few_labels/scratch_draws"
_COLOURS = {TRAINED: BLUE, SCRATCH: "#7a5195", UNTRAINED: ORANGE, RAW: MUTED}
_PENALTIES = tuple(np.geomspace(1e-2, 1e4, 7))  # of features of variance 1, divided by their number


@dataclass(frozen=True)
class FewLabels(Evaluator):
    """Accuracy with 1, 5, 10 and 100 labels per class, mean and deviation over ten draws.

    None without labels, and none for encoders that were trained on labels. A number of labels is left out where a class
    has fewer, or where it would be more than 2,000 over all classes.
    The classifier is a ridge regression on one-hot labels; leave-one-out error on the few labels alone chooses its
    penalty.
    """

    scratch: NotNegativeInt = option(
        "evaluation.few_labels_scratch", 0, "draws for which the same network is also trained from scratch; 0 for none"
    )

    def evaluate(self, trained: Trained) -> dict[str, Any]:
        if trained.method.learns_labels or not trained.num_classes or unlabelled_splits(trained.dataset):
            return {}
        data = trained.dataset
        fitted = [n for n in COUNTS if n * num_known_classes(data.train) <= MOST_FITTED]
        splits = [_pool(data.train, max(fitted, default=0)), labelled_sample(data.test, MOST_TESTED)]
        fewest = np.unique(splits[0].labels, return_counts=True)[1].min()
        counts = [n for n in fitted if n <= fewest]
        draws = {count: [_draw(splits[0].labels, count, seed) for seed in range(DRAWS)] for count in counts}
        summary = {}
        for name, encoded in _encoded(trained, splits).items():
            pool, test = _standardised(*encoded)
            for count, rows in draws.items():
                summary |= _entries(name, count, _ridge_accuracies(pool, test, rows))
        if not self.scratch or not draws:
            return summary
        if not _has_one_encoder(trained):
            trained.warn("config.evaluation.few_labels_scratch is for encoders of single examples, and is left out")
            return summary
        for count, rows in draws.items():
            summary |= _entries(SCRATCH, count, _from_scratch(trained, splits, rows[: self.scratch]))
        return summary | {_SCRATCH_DRAWS: min(self.scratch, DRAWS)}

    def groups(self, summary: Summary) -> list[Group]:
        curves = _curves(summary)
        if not curves:
            return []
        counts = sorted({count for points in curves.values() for count in points})
        rows = [
            (name, *(_shown(points[count]) if count in points else "" for count in counts))
            for name, points in curves.items()
        ]
        note = (
            f"Mean ± standard deviation over {DRAWS} draws of the labelled examples, the same for all features; ridge "
            "regression on frozen features of one view each, its penalty chosen by leave-one-out on these labels."
        )
        if draws := finite(summary, _SCRATCH_DRAWS):
            note += f" From scratch: {draws:.0f} of these draws, {SCRATCH_STEPS} steps of Adam on augmented views."
        titles = ("features", *(f"{count} per class" for count in counts))
        keys = frozenset(key for key in summary if key.startswith("few_labels/"))
        return [Group("label from few labelled examples", titles, tuple(rows), note, keys)]

    def sections(self, trained: Trained, summary: Summary) -> list[Section]:
        curves = _curves(summary)
        if not curves or max(map(len, curves.values())) < 2:
            return []
        text = (
            "Accuracy for the label of an unseen example against the number of labelled examples of each class, with "
            f"the standard deviation over {DRAWS} draws of them."
        )
        return [Section("How far a few labels go", text, few_labels_chart(curves), "few_labels")]


def _encoded(trained: Trained, splits: list[Split]) -> dict[str, tuple[Examples, Examples]]:
    """Name of an encoder → the examples to draw labelled ones from, and the test examples."""
    encoders, pairs = compared_encoders(trained), trained.pairs
    keys = jax.random.split(trained.key("probe"), 3)
    pool, test = (encode_views(encoders, split, key, pairs, 1) for split, key in zip(splits, keys, strict=False))
    return {name: (pool[name], test[name]) for name in encoders}


def few_labels_chart(curves: Mapping[str, Mapping[int, tuple[float, float]]]) -> Figure:
    """Accuracy against labels per class: name → labels per class → (mean, standard deviation)."""
    chart = Chart(3.2, (0.05, 0.15, 0.745, 0.74), "accuracy", "labelled examples of each class")
    for name, points in curves.items():
        counts, values = list(points), np.array(list(points.values()))
        chart.dots(counts, values[:, 0], name.removeprefix("the same network "), _COLOURS[name])  # the margin is narrow
        chart.axes.fill_between(counts, *(values @ [[1, 1], [-1, 1]]).T, color=_COLOURS[name], alpha=0.15, linewidth=0)
    chart.axes.set_xscale("log")
    ticks = sorted({count for points in curves.values() for count in points})
    chart.axes.set_xticks(ticks, [str(tick) for tick in ticks])
    chart.axes.minorticks_off()
    chart.axes.set_ylim(0, 1)
    return chart.finished()


def _has_one_encoder(trained: Trained) -> bool:
    """Whether the method has an encoder of single examples, which could be trained on labels."""
    pairs = trained.pairs
    return not (pairs.are_sequences or pairs.two_encoders or pairs.takes_films or pairs.takes_given_pairs)


def _pool(train: Split, count: int) -> Split:
    """The labelled examples to draw from: a sample of all, to which classes with fewer than `count` there are added.

    >>> rare = Split(np.zeros((9_001, 1)), np.append(np.zeros(9_000, int), 1))
    >>> _pool(rare, 5).labels.sum(), len(_pool(rare, 5).labels) - MOST_LABELLED <= 1
    (np.int64(1), True)
    """
    labels = np.asarray(train.labels)
    known = np.flatnonzero(labels >= 0)
    rows = at_most(MOST_LABELLED, known)
    for label in np.unique(labels[known]):
        if np.sum(labels[rows] == label) < count:
            rows = np.union1d(rows, at_most(count, np.flatnonzero(labels == label)))
    return take(train, rows)


def _draw(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """int[K · count]: the rows of `count` random examples of each class.

    >>> _draw(np.array([0, 1, 0, 1]), 2, seed=0).tolist()
    [0, 1, 2, 3]
    """
    rng = np.random.default_rng(seed)
    rows = [rng.choice(np.flatnonzero(labels == label), count, replace=False) for label in np.unique(labels)]
    return np.sort(np.concatenate(rows))


def _standardised(pool: Examples, test: Examples) -> tuple[Examples, Examples]:
    """Features with mean 0 and variance 1 over the pool, whose labels are not used, divided by √F."""
    mean, deviation = pool.features.mean(axis=0), pool.features.std(axis=0)
    scale = np.where(deviation > 1e-6, deviation, 1) * np.sqrt(pool.features.shape[1])
    return tuple(examples._replace(features=(examples.features - mean) / scale) for examples in (pool, test))


def _ridge_accuracies(pool: Examples, test: Examples, draws: Sequence[np.ndarray]) -> list[float]:
    """For each draw, the share of test examples that a ridge regression on the labels of its rows gets right."""
    from sklearn.linear_model import RidgeClassifierCV  # slow to import, and here alone

    with threadpool_limits(limits=1):  # matrices this small are slower on several
        fitted = [RidgeClassifierCV(_PENALTIES).fit(pool.features[rows], pool.labels[rows]) for rows in draws]
        return [float(np.mean(one.predict(test.features) == test.labels)) for one in fitted]


def _from_scratch(trained: Trained, splits: list[Split], draws: Sequence[np.ndarray]) -> list[float]:
    """For each draw, the share of test examples that the encoder gets right, trained on the labels of its rows alone.

    All draws have the same number of rows, so that one program serves all.
    """
    method, pairs, number = trained.method, trained.pairs, jnp.arange(SCRATCH_BATCH)
    variables = method.encoder_variables(trained.untrained())
    optimizer = optax.adam(optax.cosine_decay_schedule(SCRATCH_RATE, SCRATCH_STEPS))

    def views(key: jax.Array, examples: jax.Array) -> jax.Array:
        x, y = pairs.streamed_batch(key, examples, number)  # two of each, as training has them
        return jnp.concatenate([crops(x)[0], y])

    def loss(learnt: Any, stats: Any, x: jax.Array, labels: jax.Array) -> tuple[jax.Array, Any]:
        (features, _), stats = method.encoder.apply(learnt[0], stats, x, True)
        logits = features @ learnt[1][0] + learnt[1][1]
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, labels)), stats

    @jax.jit
    def train(key: jax.Array, params: Any, stats: Any, examples: jax.Array, labels: jax.Array) -> Any:
        def step(carry: Any, key: jax.Array) -> tuple[Any, None]:
            learnt, stats, state = carry
            chosen, drawn = jax.random.split(key)
            at = jax.random.randint(chosen, (SCRATCH_BATCH,), 0, len(labels))
            x = views(drawn, examples[at])
            gradient, stats = jax.grad(loss, has_aux=True)(learnt, stats, x, jnp.tile(labels[at], len(x) // len(at)))
            updates, state = optimizer.update(gradient, state)
            return (optax.apply_updates(learnt, updates), stats, state), None

        shown = jax.eval_shape(views, key, examples[0 * number])
        features = jax.eval_shape(lambda x: method.encoder.apply(params, stats, x, False)[0][0], shown)
        head = jnp.zeros((features.shape[1], trained.num_classes)), jnp.zeros(trained.num_classes)
        start = (params, head), stats, optimizer.init((params, head))
        return jax.lax.scan(step, start, jax.random.split(key, SCRATCH_STEPS))[0][:2]

    @jax.jit
    def logits(learnt: Any, stats: Any, x: jax.Array) -> jax.Array:
        return method.encoder.apply(learnt[0], stats, x, False)[0][0] @ learnt[1][0] + learnt[1][1]

    accuracies, key = [], jax.random.split(trained.key("probe"), 3)[1]
    for seed, rows in enumerate(draws):
        few = take(splits[0], rows)
        found = train(jax.random.key(seed), *variables, jnp.asarray(few.examples), jnp.asarray(few.labels))
        judged = encode_views({SCRATCH: partial(logits, *found)}, splits[1], key, pairs, 1)[SCRATCH]
        accuracies.append(float(np.mean(np.argmax(judged.features, axis=1) == judged.labels)))
    return accuracies


def _entries(name: str, count: int, accuracies: list[float]) -> dict[str, float]:
    """The entries of summary.json for one kind of features and one number of labels."""
    prefix = f"few_labels/{_KEYS[name]}_{count}"
    deviation = {f"{prefix}_deviation": float(np.std(accuracies, ddof=1))} if len(accuracies) > 1 else {}
    return {f"{prefix}_accuracy": float(np.mean(accuracies))} | deviation


def _curves(summary: Summary) -> dict[str, dict[int, tuple[float, float]]]:
    """Name of features → labels per class → mean and standard deviation, as far as the summary has them."""
    curves = {}
    for name, key in _KEYS.items():
        points = {
            count: (value, finite(summary, f"few_labels/{key}_{count}_deviation") or 0.0)
            for count in COUNTS
            if (value := finite(summary, f"few_labels/{key}_{count}_accuracy")) is not None
        }
        if points:
            curves[name] = points
    return curves


def _shown(point: tuple[float, float]) -> str:
    mean, deviation = point
    return f"{percent(mean)} ± {100 * deviation:.1f}" if deviation else percent(mean)
