"""Have the codes collapsed? Figures that need no label."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from threadpoolctl import threadpool_limits

from mi_coding.evaluation.base import PairEvaluator, Trained, at_most
from mi_coding.evaluation.codes import encode, unit, why_they_tell_nothing
from mi_coding.reporting.results import Group, Rows, Summary, group_rows

NUM_PAIRS = 4096  # pairs from which health figures are computed, or `config.evaluation.num_pairs` if that is fewer
MOST_CODES = 10_000  # codes whose pairs `uniformity` takes the mean over; of more, a sample
_CODES_AT_ONCE = 1024  # compared with all others
_ROWS: Rows = {
    "health/alignment": (
        "alignment in the critic: mean squared distance, 0 is best, 2 unrelated",
        lambda v: f"{v:.3f}",
    ),
    "health/uniformity": ("uniformity of codes: 0 is collapse, lower is better", lambda v: f"{v:.2f}"),
    "health/effective_rank": ("effective rank of features", lambda v: f"{v:.1f}"),
    "health/feature_dim": ("number of features, the largest possible rank", lambda v: f"{v:,.0f}"),
}


@dataclass(frozen=True)
class Health(PairEvaluator):
    """Alignment, uniformity and effective rank on pairs that training never saw."""

    def evaluate(self, trained: Trained) -> dict[str, Any]:
        count, population, key = min(NUM_PAIRS, self.num_pairs), trained.population("test"), trained.key("test")
        examples = trained.pairs.examples_of(population)
        rows = at_most(count, np.arange(len(jax.tree.leaves(examples)[0])))
        examples = jax.tree.map(lambda half: half[rows], examples)
        shown = trained.views(key, examples)
        features = encode(trained.encoder("features"), shown)
        if trained.method.halves_are_alike:
            z_x, z_y = trained.pair_codes()(trained.variables, key, population, jnp.arange(count))
            z_x, z_y = np.asarray(z_x), np.asarray(z_y)
        else:
            z_x, z_y = encode(trained.encoder("codes"), shown), None
        if reason := why_they_tell_nothing(z_x):
            trained.warn(f"{reason}: they carry no information; {likely_why(z_x, examples)}")
            if not np.isfinite(z_x).all():
                return {}
        summary = health_summary(z_x, None, features)
        if z_y is None:
            return summary
        return {"health/alignment": alignment(*trained.method.compared(trained.variables[0], z_x, z_y))} | summary

    def groups(self, summary: Summary) -> list[Group]:
        return [group_rows("health of the codes", summary, _ROWS)]


def likely_why(codes: np.ndarray, examples: Any) -> str:
    """The likely reason why codes float[n, D] of these examples tell nothing.

    >>> likely_why(np.array([[np.nan]]), np.array([[1.0]]))
    'the encoder overflows or its parameters are not finite: look for the step at which the loss grew'
    """
    if not np.isfinite(codes).all():
        return "the encoder overflows or its parameters are not finite: look for the step at which the loss grew"
    halves = [np.asarray(half) for half in jax.tree.leaves(examples)]
    if all(np.ptp(half, axis=0).max() == 0 for half in halves):
        return f"the {len(halves[0]):,} test examples are all alike, too: look at the data"
    return "the examples differ, so training has collapsed or has not begun: compare the loss with ln N"


def health_summary(codes_x: np.ndarray, codes_y: np.ndarray | None, features: np.ndarray) -> dict[str, float]:
    """The entries of summary.json for codes float[n, D] of held-out pairs and features float[n, F].

    `codes_y` is None where the two halves of a pair have codes of different kinds; alignment is then undefined.
    """
    return ({} if codes_y is None else {"health/alignment": alignment(codes_x, codes_y)}) | {
        "health/uniformity": uniformity(codes_x),
        "health/effective_rank": effective_rank(features),
        "health/feature_dim": features.shape[1],
    }


def alignment(z_x: np.ndarray, z_y: np.ndarray) -> float:
    """How far apart the two codes of a pair lie: the mean squared distance of their directions, ‖ẑ_x − ẑ_y‖².

    Between 0 and 4: 0 is best, about 2 means that the codes of a pair are unrelated. Collapsed codes also have 0, so
    read it with `uniformity`. Row i of z_x, float[n, D], is paired with row i of z_y.

    >>> alignment(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[3.0, 0.0], [1.0, 0.0]]))
    1.0

    Raises:
        ValueError: unless both are finite, of one shape, with at least two rows.
    Source: arXiv:2005.10242, section 4.1.
    """
    z_x, z_y = _checked("z_x", z_x), _checked("z_y", z_y)
    if z_x.shape != z_y.shape:
        raise ValueError(f"z_x {z_x.shape} and z_y {z_y.shape} must have one shape: row i of one is paired with row i")
    return float(np.mean(np.sum((unit(z_x) - unit(z_y)) ** 2, axis=1, dtype=np.float64)))


def uniformity(z: np.ndarray, *, most: int = MOST_CODES) -> float:
    """How evenly codes fill the sphere: ln of the mean of exp(−2 ‖ẑ_i − ẑ_j‖²) over pairs of different examples.

    Between −8 and 0: 0 is a collapse to one direction, lower is more even; codes spread evenly over a sphere of many
    dimensions reach about −4. Of more than `most` codes, float[n, D], a sample is measured, the same for every call.

    >>> round(uniformity(np.eye(4)), 3)  # all at right angles
    -4.0

    Raises:
        ValueError: unless z is finite with at least two rows, and most is at least 2.
    Source: arXiv:2005.10242, section 4.1, with t = 2.
    """
    z = _checked("z", z)
    if most < 2:
        raise ValueError(f"most {most} must be at least 2: uniformity compares codes with each other")
    if len(z) > most:
        z = z[np.random.default_rng(0).choice(len(z), most, replace=False)]
    directions, count = unit(z), len(z)
    squares = np.sum(directions**2, axis=1)
    total = 0.0
    for start in range(0, count, _CODES_AT_ONCE):
        some = slice(start, start + _CODES_AT_ONCE)
        distances = squares[some, None] + squares - 2 * directions[some] @ directions.T
        similar = np.exp(-2 * distances)
        np.fill_diagonal(similar[:, some], 0)  # no example is a pair with itself
        total += np.sum(similar, dtype=np.float64)
    return float(np.log(total / (count * (count - 1))))


def effective_rank(features: np.ndarray) -> float:
    """How many directions features use: exp of the entropy of their singular values, normalised to sum 1.

    Between 1 and min(n, F): 1 is a collapse to one direction, F means that all directions are used equally. The
    features are taken as they are, not centred, as in RankMe. Features that are all zero have 1.

    >>> round(effective_rank(np.eye(8)[:, :3]), 3)
    3.0

    Raises:
        ValueError: unless features are finite, float[n, F], with at least two rows.
    Source: Roy & Vetterli, EUSIPCO 2007; RankMe, arXiv:2210.02885.
    """
    features = _checked("features", features).astype(np.float64)
    with threadpool_limits(1):  # on a busy machine two threads took 9 s where one takes 0.2 s, waiting for each other
        values = np.linalg.svd(features, compute_uv=False)
    if not values.any():
        return 1.0
    shares = values[values > 0] / values.sum()
    return float(np.exp(-np.sum(shares * np.log(shares))))


def _checked(name: str, codes: np.ndarray) -> np.ndarray:
    codes = np.asarray(codes)
    if codes.ndim != 2 or len(codes) < 2:
        raise ValueError(f"{name} {codes.shape} must be (n, D) with n at least 2")
    if not np.isfinite(codes).all():
        raise ValueError(f"{name} must be finite")
    return codes
