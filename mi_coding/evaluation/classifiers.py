"""What do frozen features say about a label? A linear probe and a cosine nearest-neighbour vote."""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.scipy.linalg import solve_triangular

from mi_coding.evaluation.codes import LONGEST, nearest

REGULARISERS = (1e-4, 1e-3, 0.01, 0.1, 1.0, 10.0)
"""Choices for C, inverse to the L2 penalty, the strongest first; thousands of features need strong ones."""

TOLERANCE = 1e-5
"""A fit ends when a Newton step on its preconditioner's curvature would lower the objective by less than this share.

On the pixels of Fashion-MNIST, test accuracies were then within 0.0011 of scikit-learn's converged ones.
"""

MOST_STEPS = 500  # steps after which a fit ends in any case; it is judged on validation examples like every other
_RIDGE = 1e-3  # of a feature's variance, added to the preconditioner only: float32 finds a singular Cholesky otherwise
_VOTES_AT_ONCE = 2**22  # queries × classes


class Examples(NamedTuple):
    """Features float32[n, F] of single views, with the label int[n] of each."""

    features: np.ndarray
    labels: np.ndarray


class Probe(NamedTuple):
    """Share of test examples whose class is ranked first, and among the first five; the C that validation chose.

    With at most five classes, the top-5 accuracy is 1 by definition. An example of a class that training never saw
    counts as wrong.
    """

    accuracy: float
    top5_accuracy: float
    regulariser: float | None = None


class Classifier(NamedTuple):
    """A linear classifier: the logit of class k is weights[k] · features + bias[k]; float32[K, F] and float32[K]."""

    weights: jax.Array
    bias: jax.Array


def linear_probe(train: Examples, validation: Examples, test: Examples) -> Probe:
    """Multinomial logistic regression on frozen features; its one regulariser is chosen on validation examples.

    Features are first standardised to mean 0 and variance 1 over the training examples. The classifier that scored best
    on validation (of equals, the one with the strongest penalty) is tested, without being fitted again. Penalties are
    weakened until one scores worse than the best by more than the standard error of a share.

    >>> rng = np.random.default_rng(0)
    >>> def draw(n):
    ...     labels = rng.integers(0, 3, n)
    ...     return Examples(np.eye(3, dtype=np.float32)[labels], labels)
    >>> linear_probe(draw(60), draw(30), draw(30)).accuracy
    1.0

    Raises:
        ValueError: unless features are finite, float[n, F] with one F for all, and each has a label.
    """
    _check(train=train, validation=validation, test=test)
    mean = np.mean(train.features, axis=0, dtype=np.float64).astype(np.float32)
    features = np.asarray(train.features, np.float32) - mean
    wide = np.float64 if np.abs(features).max(initial=0) > LONGEST else np.float32
    deviation = np.sqrt(np.mean(np.square(features, dtype=wide), axis=0, dtype=np.float64)).astype(np.float32)
    scale = np.where(deviation > 1e-6, deviation, 1)
    features /= scale
    classes, labels = np.unique(train.labels, return_inverse=True)

    def accuracies(classifier: Classifier, part: Examples) -> tuple[float, float]:
        logits = _logits(classifier, (np.asarray(part.features, np.float32) - mean) / scale)
        return _shares(_ranks(np.asarray(logits), _positions(classes, part.labels)))

    best, chosen = -1.0, ()
    for fit in zip(logistic_path(features, labels, num_classes=len(classes)), REGULARISERS, strict=True):
        accuracy, _ = accuracies(fit[0], validation)
        if accuracy > best:
            best, chosen = accuracy, fit
        elif best - accuracy > math.sqrt(best * (1 - best) / len(validation.labels)):
            break
    classifier, regulariser = chosen
    return Probe(*accuracies(classifier, test), regulariser)


def logistic_path(
    features: np.ndarray | jax.Array,
    labels: np.ndarray | jax.Array,
    *,
    num_classes: int,
    regularisers: Sequence[float] = REGULARISERS,
    tolerance: float = TOLERANCE,
) -> Iterator[Classifier]:
    """Multinomial logistic regressions, one for each regulariser C, each started from the one before.

    Each minimises scikit-learn's objective C · Σ cross-entropy + ½‖weights‖², the bias unpenalised, by L-BFGS in
    float32. The features are preconditioned by the Cholesky factor of their second moments; on pixels of Fashion-MNIST
    that took between a half and a sixth of the steps.

    >>> x = np.array([[-1.0], [-1.0], [-1.0], [1.0]], np.float32)
    >>> weak, strong = logistic_path(x, np.array([0, 0, 0, 1]), num_classes=2, regularisers=(0.01, 1.0))
    >>> bool(jnp.linalg.norm(weak.weights) < jnp.linalg.norm(strong.weights))
    True

    Args:
        features: float32[n, F] of about mean 0 and variance 1.
        labels: int[n] in 0 .. num_classes − 1.
        regularisers, tolerance: values of C, preferably in rising order; see `TOLERANCE`.
    """
    x, y = jnp.asarray(features, jnp.float32), jnp.asarray(labels)
    moments = _second_moments(x)
    classifier = Classifier(jnp.zeros((num_classes, x.shape[1])), jnp.zeros(num_classes))
    for regulariser in regularisers:
        classifier = _fit(classifier, regulariser, x, y, moments, tolerance)
        yield classifier


def knn_probe(train: Examples, test: Examples, *, neighbours: int, temperature: float) -> Probe:
    """A vote of the nearest training examples by cosine, each with weight exp(cosine / temperature) for its class.

    Of equally near examples the first ones vote; of classes with equal votes the one with the smaller label is ranked
    first. A class without a vote is ranked after all that have one.

    >>> examples = Examples(np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([0, 1]))
    >>> knn_probe(examples, examples, neighbours=1, temperature=0.1).accuracy
    1.0

    Args:
        neighbours: voters for each query; all, if there are fewer.
        temperature: above 0; a small one leaves the vote to the nearest.
    Raises:
        ValueError: unless features are finite, float[n, F] with one F for all, and each has a label.
    Source: arXiv:1805.01978, section 3.4.
    """
    _check(train=train, test=test)
    if neighbours < 1 or not temperature > 0:
        raise ValueError(f"neighbours {neighbours} must be at least 1 and temperature {temperature} above 0")
    classes, voters = np.unique(train.labels, return_inverse=True)
    truth = _positions(classes, test.labels)
    positions, cosines = nearest(test.features, train.features, count=neighbours)
    at_once = max(1, _VOTES_AT_ONCE // len(classes))
    ranks = [
        _ranks(_votes(voters[positions[rows]], cosines[rows], temperature, len(classes)), truth[rows])
        for rows in (slice(i, i + at_once) for i in range(0, len(truth), at_once))
    ]
    return Probe(*_shares(np.concatenate(ranks)))


def _votes(classes: np.ndarray, cosines: np.ndarray, temperature: float, num_classes: int) -> np.ndarray:
    """float64[q, K]: weights summed by class, −1 for none; cosines are nearest first, and the nearest has weight 1."""
    weights = np.exp((cosines - cosines[:, :1]).astype(np.float64) / temperature)
    cells = classes + num_classes * np.arange(len(classes))[:, None]
    size, shape = len(classes) * num_classes, (-1, num_classes)
    votes = np.bincount(cells.ravel(), weights.ravel(), minlength=size).reshape(shape)
    return np.where(np.bincount(cells.ravel(), minlength=size).reshape(shape) > 0, votes, -1.0)


_second_moments_of = jax.jit(lambda x: jnp.matmul(x.T, x, precision="highest") / len(x))
_logits = jax.jit(lambda of, x: jnp.matmul(x, of.weights.T, precision="highest") + of.bias)


def _second_moments(x: jax.Array) -> jax.Array:
    """float32[F, F]. On a CPU BLAS computes half of the products of a matrix with itself, which XLA does not."""
    if all(device.platform == "cpu" for device in x.devices()):
        host = np.asarray(x)
        return jnp.asarray(host.T @ host / np.float32(len(host)))
    return _second_moments_of(x)


@jax.jit
def _fit(
    start: Classifier, regulariser: float, x: jax.Array, y: jax.Array, moments: jax.Array, tolerance: float
) -> Classifier:
    """The classifier that minimises mean cross-entropy + ‖weights‖² / 2Cn, which is scikit-learn's objective / Cn.

    Works on v with weights = v · L⁻¹, where L Lᵀ approximates the Hessian: the curvature of cross-entropy is about 1/K
    of the second moments where all classes are equally likely. The objective stays exact, whatever L is.
    """
    multiply = partial(jnp.matmul, precision="highest")
    eye, decay, curvature = jnp.eye(len(moments)), 1 / (regulariser * len(x)), 1 / len(start.bias)
    factor = jnp.linalg.cholesky(curvature * (moments + _RIDGE * eye) + decay * eye)
    inverse = solve_triangular(factor, eye, lower=True)

    def classifier(v: Classifier) -> Classifier:
        return Classifier(multiply(v.weights, inverse), v.bias / jnp.sqrt(curvature))

    def objective(v: Classifier) -> jax.Array:
        weights, bias = classifier(v)
        logits = multiply(weights, x.T) + bias[:, None]  # [K, n]: up to four times as fast on a CPU as [n, K]
        true = jnp.take_along_axis(logits, y[None], axis=0)[0]
        return jnp.mean(jax.nn.logsumexp(logits, axis=0) - true) + decay / 2 * jnp.sum(weights**2)

    optimiser, value_and_grad = optax.lbfgs(), optax.value_and_grad_from_state(objective)

    def unfinished(carry) -> jax.Array:
        _, state, step = carry
        value, gradient = optax.tree.get(state, "value"), optax.tree.get(state, "grad")
        newton_decrease = optax.tree.norm(gradient, squared=True) / 2
        return (step == 0) | ((step < MOST_STEPS) & (newton_decrease > tolerance * value))

    def improve(carry):
        v, state, step = carry
        value, gradient = value_and_grad(v, state=state)
        updates, state = optimiser.update(gradient, state, v, value=value, grad=gradient, value_fn=objective)
        return optax.apply_updates(v, updates), state, step + 1

    v = Classifier(multiply(start.weights, factor), start.bias * jnp.sqrt(curvature))
    return classifier(jax.lax.while_loop(unfinished, improve, (v, optimiser.init(v), 0))[0])


def _positions(classes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """int[n]: the position of each label in the sorted classes; −1 where it is not among them."""
    places = np.minimum(np.searchsorted(classes, labels), len(classes) - 1)
    return np.where(classes[places] == labels, places, -1)


def _ranks(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """How many classes are ranked before the true one, int[n]; a true class of −1, or a score of NaN, ranks last."""
    own = np.take_along_axis(scores, truth[:, None], axis=1)
    behind = (own > scores) | ((own == scores) & (np.arange(scores.shape[1]) >= truth[:, None]))
    return np.where(truth < 0, np.iinfo(np.int64).max, scores.shape[1] - behind.sum(axis=1))


def _shares(ranks: np.ndarray) -> tuple[float, float]:
    return float(np.mean(ranks < 1)), float(np.mean(ranks < 5))


def _check(**parts: Examples) -> None:
    """Raise a ValueError that names the first part that cannot be probed."""
    width = next(iter(parts.values())).features.shape[-1:]
    for name, (features, labels) in parts.items():
        if features.ndim != 2 or features.shape[1:] != width or labels.shape != features.shape[:1] or not len(labels):
            raise ValueError(
                f"{name}: features {features.shape} with labels {labels.shape}; "
                f"expected (n, {'F' if not width else width[0]}) with (n,), n at least 1"
            )
        if not np.isfinite(features).all():
            raise ValueError(f"{name}: features must be finite")
