"""Do frozen features fall into groups that are the classes? By k-means, which uses no labels."""

import warnings
from dataclasses import dataclass
from typing import Any

import jax
from threadpoolctl import threadpool_limits

from mi_coding.evaluation.base import (
    Evaluator,
    Trained,
    encode_views,
    labelled_sample,
    num_known_classes,
    unlabelled_splits,
)
from mi_coding.evaluation.classifiers import Examples
from mi_coding.evaluation.code_statistics import clustering_accuracy
from mi_coding.evaluation.codes import unit
from mi_coding.evaluation.probes import RAW, TRAINED, UNTRAINED, compared_encoders
from mi_coding.reporting.results import Group, Summary, percent, show

MOST_CLUSTERED = 4_000  # test examples
STARTS = 5  # of k-means, of which the least sum of squares is kept

_KEYS = {TRAINED: "trained", UNTRAINED: "untrained", RAW: "raw"}
_NOTE = (
    "k-means with as many clusters as classes, on features of test examples scaled to length one; best of "
    f"{STARTS} starts by its own sum of squares. Accuracy: each cluster is matched with one class, such that as many "
    "examples as possible agree. NMI: mutual information of cluster and class over the mean of their entropies."
)


@dataclass(frozen=True)
class Clusters(Evaluator):
    """Agreement of k-means clusters of features with classes; none without labels, or where training used them."""

    def evaluate(self, trained: Trained) -> dict[str, Any]:
        count = num_known_classes(trained.dataset.train)
        if trained.method.learns_labels or count < 2 or "test" in unlabelled_splits(trained.dataset):
            return {}
        test = labelled_sample(trained.dataset.test, MOST_CLUSTERED)
        if len(test.labels) < 2 * count:
            return {}
        key = jax.random.split(trained.key("probe"), 3)[2]
        found = encode_views(compared_encoders(trained), test, key, trained.pairs, 1)
        return {
            f"clusters/{_KEYS[name]}_{measure}": value
            for name, examples in found.items()
            for measure, value in agreement(examples, count).items()
        }

    def groups(self, summary: Summary) -> list[Group]:
        measures = {name: (f"clusters/{key}_accuracy", f"clusters/{key}_nmi") for name, key in _KEYS.items()}
        rows = [
            (name, show(summary, accuracy, percent), show(summary, nmi, "{:.3f}".format))
            for name, (accuracy, nmi) in measures.items()
            if accuracy in summary
        ]
        if not rows:
            return []
        keys = frozenset(key for found in measures.values() for key in found)
        return [Group("clusters without labels", ("features", "accuracy", "NMI"), tuple(rows), _NOTE, keys)]


def agreement(examples: Examples, count: int) -> dict[str, float]:
    """Accuracy by the best matching, and normalised mutual information, of `count` clusters and the labels.

    >>> features = np.repeat(np.eye(3, dtype=np.float32), 4, axis=0)
    >>> agreement(Examples(features, np.repeat([2, 0, 1], 4)), 3)
    {'accuracy': 1.0, 'nmi': 1.0}
    """
    from sklearn.cluster import KMeans  # slow to import, and here alone
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import normalized_mutual_info_score

    with threadpool_limits(limits=1), warnings.catch_warnings():  # one thread: the same clusters on any machine
        warnings.simplefilter("ignore", ConvergenceWarning)  # of features that have collapsed, as the result shows
        clusters = KMeans(count, n_init=STARTS, random_state=0).fit_predict(unit(examples.features))
    return {
        "accuracy": clustering_accuracy(clusters, examples.labels),
        "nmi": float(normalized_mutual_info_score(examples.labels, clusters)),
    }
