"""Statistics of discrete codes: entropies, information, use of the codes, lag of the prior, agreement with labels."""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from mi_coding.objectives import codes
from mi_coding.objectives.codes import CodeModel
from mi_coding.objectives.cotraining import prior_loss

TOO_FAR = 0.05  # share of Ĥ(z) by which a prior may lag behind before the entropy is called inflated
NEAREST = 100  # neighbours of `hamming_precision`
_REFITS, _REFIT_RATE = 200, 0.03  # Adam steps from the current prior, and their learning rate
_DISTANCES_AT_ONCE = 2**25


class CodeInformation(NamedTuple):
    """Entropies and information of held-out pairs of codes, in nats."""

    entropy: float  # Ĥ(z_x) = −E ln P_Ψ(z_x): what storing a code costs
    conditional_entropy: float  # Ĥ(z_x|z_y) = −E ln P_Φ(z_x|z_y)
    mi: float  # their difference, an estimate of I(z_x; z_y) but not a bound, as both are too large
    standard_error: float  # of `mi`, over pairs; the images are taken as given


class Usage(NamedTuple):
    """How many different codes occur, and how many equally likely ones would have the same entropy (perplexity)."""

    used: int
    perplexity: float


class Lag(NamedTuple):
    """Ĥ(z) under the current prior, and by how much a better prior undercuts it, in nats."""

    entropy: float
    nats: float

    @property
    def too_far(self) -> bool:
        """Whether the entropy is inflated by more than `TOO_FAR` of itself."""
        return self.nats > TOO_FAR * max(self.entropy, 1e-3)


def information(
    prior: CodeModel, conditional: CodeModel, psi: Any, phi: Any, z_x: np.ndarray, z_y: np.ndarray
) -> CodeInformation:
    """Both cross-entropies of pairs of codes, rows i of z_x and z_y, int[n, M] each; psi, phi parametrise the models.

    >>> prior, conditional = codes.independent(1, 2), codes.independent(1, 2, conditional=True)
    >>> z = np.array([[0], [1], [1]])
    >>> psi, phi = prior.init(jax.random.key(0)), conditional.init(jax.random.key(0))
    >>> print(f"{information(prior, conditional, psi, phi, z, z).entropy:.4f}")  # a uniform prior on two codes
    0.6931
    """
    z_x, z_y = jnp.asarray(z_x), jnp.asarray(z_y)
    own = -np.asarray(_log_prob(prior, psi, z_x), np.float64)
    given = -np.asarray(_log_prob(conditional, phi, z_x, z_y), np.float64)
    error = np.std(own - given, ddof=1) / math.sqrt(len(own))
    return CodeInformation(*map(float, (own.mean(), given.mean(), own.mean() - given.mean(), error)))


def plug_in_entropy(z: np.ndarray) -> float:
    """Entropy in nats of the codes that occur, at their frequencies. Too small by about (codes − 1) / 2n.

    >>> print(f"{plug_in_entropy(np.array([[0, 1], [0, 1], [1, 1], [1, 0]])):.4f}")
    1.0397
    """
    _, counts = np.unique(z, axis=0, return_counts=True)
    shares = counts / len(z)
    return float(np.sum(shares * np.log(1 / shares)))


def plug_in_mi(z_x: np.ndarray, z_y: np.ndarray) -> float:
    """I(z_x; z_y) in nats of the pairs that occur, at their frequencies. Too large by about (codes − 1)² / 2n.

    >>> z = np.array([[0], [1], [2], [2]])
    >>> plug_in_mi(z, z) == plug_in_entropy(z)
    True
    """
    return plug_in_entropy(z_x) + plug_in_entropy(z_y) - plug_in_entropy(np.concatenate([z_x, z_y], axis=1))


def usage(z: np.ndarray) -> Usage:
    """How many of the codes int[n, M] are in use, and their perplexity.

    >>> usage(np.array([[0], [0], [3], [3]]))
    Usage(used=2, perplexity=2.0)
    """
    return Usage(len(np.unique(z, axis=0)), round(math.exp(plug_in_entropy(z)), 6))


def code_summary(found: CodeInformation, z_x: np.ndarray, z_y: np.ndarray, num_values: int) -> dict[str, float]:
    """The entries of summary.json for a discrete code, from the codes int[n, M] of held-out pairs.

    Statistics that need the frequency of every code, or of every pair of codes, are left out where there are too many.
    """
    num_codes = num_values ** z_x.shape[1]
    summary = {
        "heldout/entropy_nats": found.entropy,
        "heldout/conditional_entropy_nats": found.conditional_entropy,
        "heldout/mi_nats": found.mi,
        "heldout/mi_nats_standard_error": found.standard_error,
        "heldout/bits_per_example": found.entropy / math.log(2),
    }
    if num_codes <= codes.MOST_CODES:
        used, perplexity = usage(z_x)
        summary |= {"heldout/plug_in_entropy_nats": plug_in_entropy(z_x)}
        summary |= {"code/used": used, "code/possible": num_codes, "code/perplexity": perplexity}
    if num_codes**2 <= codes.MOST_CODES:
        summary["heldout/plug_in_mi_nats"] = plug_in_mi(z_x, z_y)
    return summary


def prior_lag(prior: CodeModel, psi: Any, log_q: jax.Array, key: jax.Array) -> Lag:
    """How far a prior is from the best one for an encoder's outputs on many examples, log_q float[n, M, K].

    The best one of its kind is meant: what the kind cannot express, such as dependence under an independent prior, is
    no lag. Of a single symbol the best one is known, its marginal distribution; of several, the prior is fitted further
    to these examples, from its current parameters. Pass many examples, because a fit to few would overfit them. The key
    is for the draws of an autoregressive prior.
    """
    entropy = float(_code_length(prior, psi, log_q, key=key))
    if prior.num_symbols == 1:
        return Lag(entropy, entropy - float(codes.entropy(codes.population(log_q))))
    fitted = _refit(prior, psi, log_q, key)
    return Lag(entropy, entropy - float(_code_length(prior, fitted, log_q, key=key)))


_log_prob = jax.jit(codes.log_prob, static_argnums=0)
_code_length = jax.jit(prior_loss, static_argnums=0)


@partial(jax.jit, static_argnums=0)
def _refit(prior: CodeModel, psi: Any, log_q: jax.Array, key: jax.Array) -> Any:
    optimizer = optax.adam(optax.cosine_decay_schedule(_REFIT_RATE, _REFITS))

    def improve(_: int, carry: Any) -> Any:
        psi, state = carry
        updates, state = optimizer.update(jax.grad(_code_length, argnums=1)(prior, psi, log_q, key=key), state)
        return optax.apply_updates(psi, updates), state

    return jax.lax.fori_loop(0, _REFITS, improve, (psi, optimizer.init(psi)))[0]


def clustering_accuracy(clusters: np.ndarray, labels: np.ndarray) -> float:
    """Share of examples with the label of their cluster, by the best one-to-one matching of clusters and labels.

    Both are int[n]. Clusters or labels that are left over match nothing, and count as wrong.

    >>> clustering_accuracy(np.array([2, 2, 0, 1]), np.array([0, 0, 1, 1]))
    0.75
    """
    from scipy.optimize import linear_sum_assignment  # slow to import, as scikit-learn is
    from sklearn.metrics.cluster import contingency_matrix

    together = contingency_matrix(labels, clusters).T  # a row for each cluster
    rows, columns = linear_sum_assignment(together, maximize=True)
    return float(together[rows, columns].sum() / len(labels))


def hamming_precision(
    queries: np.ndarray, query_labels: np.ndarray, known: np.ndarray, known_labels: np.ndarray, *, count: int = NEAREST
) -> float:
    """Precision at `count`: the share of a query's nearest codes that have its label, by Hamming distance.

    Queries are int[q, M] with labels int[q], known codes int[n, M] with labels int[n], n ≥ `count`. Where only some of
    the codes at one distance can be taken, each is equally likely, and the result is the expectation over that draw.

    >>> known, labels = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([5, 5, 6, 6])
    >>> hamming_precision(np.array([[0, 0]]), np.array([5]), known, labels, count=2)
    0.75

    Raises:
        ValueError: for fewer known codes than neighbours.
    """
    if len(known) < count:
        raise ValueError(f"{len(known)} known codes are fewer than {count} neighbours")
    num_values = int(max(queries.max(), known.max())) + 1
    ours, theirs = (np.eye(num_values, dtype=np.float32)[z].reshape(len(z), -1) for z in (queries, known))
    at_once = max(1, _DISTANCES_AT_ONCE // len(known))
    blocks = [slice(start, start + at_once) for start in range(0, len(ours), at_once)]
    distances = (queries.shape[1] - (ours[rows] @ theirs.T).astype(np.int32) for rows in blocks)
    same = (query_labels[rows][:, None] == known_labels for rows in blocks)
    shares = [_nearest_share(d, s, count, queries.shape[1] + 1) for d, s in zip(distances, same, strict=True)]
    return float(np.mean(np.concatenate(shares)))


def _nearest_share(distances: np.ndarray, same: np.ndarray, count: int, levels: int) -> np.ndarray:
    """float64[q]: expected share of `same` among the `count` smallest distances of each row."""
    cells = distances + levels * np.arange(len(distances), dtype=np.int32)[:, None]
    size = levels * len(distances)
    at = np.bincount(cells.ravel(), minlength=size).reshape(-1, levels)
    right = np.bincount(cells[same], minlength=size).reshape(-1, levels)
    before = np.cumsum(at, axis=1) - at
    taken = np.clip(count - before, 0, at)
    return np.sum(taken * right / np.maximum(at, 1), axis=1) / count
