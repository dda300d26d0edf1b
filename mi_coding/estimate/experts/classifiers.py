"""Classifiers of a discrete side from the other: ln p(class | x) − ln p(class) is a log density ratio."""

import warnings

import numpy as np

from mi_coding.estimate.columns import Columns
from mi_coding.estimate.folds import Folds

MOST_CLASSES = 50
"""The most distinct values of a side that is treated as a class label."""

MOST_IN_FOREST = 3000
"""Training rows up to which a forest is grown; with more, boosting is as good and faster."""

STRENGTHS = (0.01, 0.1, 1.0, 10.0)
"""Inverse penalties of the logistic regression to choose from, by validation pairs."""

LEAST = 1e-4
"""Least probability of a class: one that was never seen may still occur."""


class Classifiers:
    """Logistic regression and trees, averaged with the weights that predict the classes of validation rows best."""

    def __init__(self, seed: int):
        self._seed = seed

    @staticmethod
    def suits(x: Columns, y: Columns) -> bool:
        """Whether exactly one side is discrete, with few values."""
        return (_is_class(x.codes) and y.codes is None) or (_is_class(y.codes) and x.codes is None)

    def fit(self, x: Columns, y: Columns, train: np.ndarray, valid: np.ndarray) -> None:
        """Fits the classifiers to training rows; validation rows choose their penalty and shares."""
        features, labels = self._sides(x, y)
        self._num_classes = labels.max() + 1
        counts = np.bincount(labels[train], minlength=self._num_classes) + 0.5
        self._log_prior = np.log(counts / counts.sum())
        models = [_Logistic(strength) for strength in STRENGTHS] + [self._trees(len(train))]
        models = [_fitted(model, features[train], labels[train]) for model in models]
        found = [self._probabilities(model, features[valid]) for model in models]
        true = [part[np.arange(len(valid)), labels[valid]] for part in found]
        best = int(np.argmax([np.log(one).mean() for one in true[:-1]]))
        shares = np.linspace(0, 1, 5)
        losses = [-np.log(share * true[best] + (1 - share) * true[-1]).mean() for share in shares]
        self._models, self._share = [models[best], models[-1]], float(shares[int(np.argmin(losses))])
        self._chosen = best

    def scores(self, x: Columns, y: Columns, rows: np.ndarray) -> np.ndarray:
        """float32[m, m]: of every x of some rows with every y."""
        found = self._ratios(x, y, rows)[:, self._sides(x, y)[1][rows]].astype(np.float32)
        return found.T if y.codes is None else found

    def cross_fitted(self, x: Columns, y: Columns, folds: Folds) -> tuple[np.ndarray, float]:
        """float64[n], ln p(class | x) − ln p(class) of held-out pairs, whose mean is a lower bound in expectation; and
        by how many nats training pairs score higher.

        Unlike a critic that is pooled with others, it is refitted with the validation rows, once they have chosen.
        """
        local, optimism = np.full(len(x.scores), np.nan), []
        for train, valid, test, seen in zip(*folds, strict=True):
            self.fit(x, y, train, valid)
            features, labels = self._sides(x, y)
            both = np.concatenate([train, valid])
            models = [_Logistic(STRENGTHS[self._chosen]), self._trees(len(both))]
            self._models = [_fitted(model, features[both], labels[both]) for model in models]
            test = np.unique(test)
            of_test, of_seen = (self._ratios(x, y, rows)[np.arange(len(rows)), labels[rows]] for rows in (test, seen))
            local[test] = of_test
            optimism.append(of_seen.mean() - of_test.mean())
        return local, float(np.mean(optimism))

    def _sides(self, x: Columns, y: Columns) -> tuple[np.ndarray, np.ndarray]:
        """The features float32[n, e] to predict from, all columns of that side, and the class labels int[n]."""
        side, labels = (y, x.codes) if y.codes is None else (x, y.codes)
        return side.features if side.wide is None else side.wide, labels

    def _ratios(self, x: Columns, y: Columns, rows: np.ndarray) -> np.ndarray:
        """float64[m, K]: ln p(class | x) − ln p(class) of every class."""
        features = self._sides(x, y)[0]
        first, second = (self._probabilities(model, features[rows]) for model in self._models)
        return np.log(self._share * first + (1 - self._share) * second) - self._log_prior

    def _probabilities(self, model, features: np.ndarray) -> np.ndarray:
        """float64[m, K], including classes that were absent from training."""
        found = np.full((len(features), self._num_classes), LEAST)
        found[:, model.classes_] = np.maximum(model.predict_proba(features), LEAST)
        return found / found.sum(axis=1, keepdims=True)

    def _trees(self, count: int):
        from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

        if count <= MOST_IN_FOREST:
            return RandomForestClassifier(200, min_samples_leaf=3, random_state=self._seed)
        how = {"max_iter": 60, "max_leaf_nodes": 15, "l2_regularization": 1.0, "early_stopping": False}
        return HistGradientBoostingClassifier(random_state=self._seed, **how)


def _is_class(codes: np.ndarray | None) -> bool:
    return codes is not None and codes.max() < MOST_CLASSES


def _fitted(model, features: np.ndarray, labels: np.ndarray):
    """The model, fitted; where training rows have one class alone, one that always predicts it."""
    if (labels == labels[0]).all():
        from sklearn.dummy import DummyClassifier

        model = DummyClassifier(strategy="most_frequent")
    return model.fit(features, labels)


class _Logistic:
    """Logistic regression, whose warnings about slow convergence do not matter here: held-out rows judge it."""

    def __init__(self, strength: float):
        from sklearn.linear_model import LogisticRegression

        self._model = LogisticRegression(C=strength, max_iter=200)

    def fit(self, features: np.ndarray, labels: np.ndarray) -> "_Logistic":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._model.fit(features, labels)
        self.classes_, self.predict_proba = self._model.classes_, self._model.predict_proba
        return self
