"""How much information two arrays share: the estimate, its interval, a test of independence, and warnings."""

import math
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import NamedTuple

import jax
import numpy as np
from scipy.special import ndtr
from threadpoolctl import threadpool_limits

from mi_coding.errors import InputError
from mi_coding.estimate import columns, neighbours, start, tables
from mi_coding.estimate.columns import Columns
from mi_coding.estimate.crossfit import READOUTS, Expert, compile_ahead, padded, train_folds
from mi_coding.estimate.folds import Folds, Training, make_folds, make_orders
from mi_coding.estimate.independence import permutation_p_value
from mi_coding.estimate.result import Bound, MIEstimate


class Effort(NamedTuple):
    """How much work an estimate may be.

    Attributes:
        num_folds: of the cross-fitting.
        training: of each fold's network.
        permutations: of the test of independence.
    """

    num_folds: int
    training: Training
    permutations: int


EFFORTS = {
    "quick": Effort(3, Training(64, 2, 24, 300, 256, 3e-3), 199),
    "default": Effort(5, Training(64, 3, 24, 800, 256, 3e-3), 199),
}
"""What `effort` of `estimate_mi` may be."""

NEAR_DIMENSIONS = 3
"""Of a side, up to which nearest neighbours are asked."""

LIKELY, UNLIKELY = 1, 3
"""Standard errors by which nearest neighbours must exceed the networks to be preferred. Both underestimate when they
fail, so the larger is the more accurate; but where the networks find nothing, there mostly is nothing."""

LEAST_DEVIATION = 0.5
"""Lower limit of the standard deviation of a pair's contribution, in nats."""

DEVIATIONS = 1.96
"""Standard errors on either side of an estimate that make its 95 % interval."""

HEADROOM = 4.0
"""Nats below ln(rows of a score matrix) above which rows and columns cannot be balanced accurately."""

KINDS = {name: "estimate" if name in ("smile", "balanced") else "lower bound" for name in READOUTS}
"""The guarantee of each read-out."""


class Measured(NamedTuple):
    """An estimate before it becomes an `MIEstimate`.

    Attributes:
        local: float64[n], the contribution of every pair; the estimate is their mean. NaN for pairs not scored.
        optimism: nats by which training pairs score higher than held-out ones; the estimate was corrected by half of
            that.
        bounds: read-outs of every fold, by name.
        num_scored: rows of the score matrices behind the read-outs.
        curve: float[rounds].
        method: in words.
        disagreement: nats by which a second method, where there is one, differs.
        error: nats, the standard error of the mean of `local` where pairs are not independent in it.
    """

    local: np.ndarray
    optimism: float
    bounds: dict[str, np.ndarray]
    num_scored: int
    curve: np.ndarray
    method: str
    disagreement: float = 0.0
    error: float = 0.0


def estimate_mi(x: object, y: object, *, given: object = None, seed: int = 0, effort: str = "default") -> MIEstimate:
    """How much information two arrays share, in nats, with a 95 % interval and a test of independence.

    >>> x = np.arange(2000) % 2
    >>> y = np.where(np.arange(2000) % 20 < 2, 1 - x, x)  # a bit, and a copy that is wrong one time in ten
    >>> found = estimate_mi(x, y)
    >>> print(f"{found.nats:.3f} nats, p = {found.p_value}")
    0.368 nats, p = 0.005

    A closed form (a Gaussian or Student-t copula, of the columns or of canonical variables, whichever discriminates
    held-out pairs best) is corrected by a network. Every score of the held-out mean is of a fold that never saw the
    pair. The estimate is halfway between that mean and the mean over training pairs: to first order the one is too low
    by as much as the other is too high. For up to three columns a side nearest neighbours are evaluated as well, and
    preferred where they exceed that significantly.

    Args:
        x: [n] or [n, d]; floats, integers, booleans or strings.
        y: [n] or [n, e]; row i belongs to row i of x.
        given: [n] or [n, f]; estimates I(x; y | given) = I(x; y, given) − I(x; given) instead.
        seed: same arrays and seed, same result.
        effort: "default", or "quick" for a third of the time.
    Returns:
        An `MIEstimate`.
    Raises:
        ValueError: (an `InputError`) for arrays that cannot be estimated from, in one line.
    Source: optimism, Akaike 1974 and Efron 2004; the rest is cited where it is done.
    """
    if effort not in EFFORTS:
        raise InputError(f"effort={effort!r} is unknown; choose from {', '.join(map(repr, EFFORTS))}")
    x, y = columns.check("x", x), columns.check("y", y)
    columns.check_pair(x, y)
    if given is not None:
        given = columns.check("given", given)
        columns.check_pair(x, given, "given")
        columns.check_pair(y, given, "given")
    blas = threadpool_limits(1, "blas")  # faster on small matrices, and the same bits on any machine
    with blas, ThreadPoolExecutor(1) as beside:  # the second core; its tasks run one after the other
        if given is None:
            return _unconditional(x, y, seed, EFFORTS[effort], beside)
        return _conditional(x, y, given, seed, EFFORTS[effort], beside)


def _unconditional(x: np.ndarray, y: np.ndarray, seed: int, effort: Effort, beside: Executor) -> MIEstimate:
    rng = np.random.default_rng(seed)
    a, b = (columns.prepare(side, rng) for side in (x, y))
    p_value = beside.submit(permutation_p_value, a.features, b.features, permutations=effort.permutations, rng=rng)
    found = _measure(a, b, seed, effort, beside)
    return _to_estimate(found, p_value.result(), columns.warnings(x, y))


def _conditional(
    x: np.ndarray, y: np.ndarray, given: np.ndarray, seed: int, effort: Effort, beside: Executor
) -> MIEstimate:
    """The chain rule, pair by pair, so that errors that both terms share cancel in the interval."""
    rng = np.random.default_rng(seed)
    side, other, both = (columns.prepare(a, rng) for a in (x, given, np.concatenate([y, given], axis=1)))
    whole, part = (_measure(side, by, seed, effort, beside) for by in (both, other))
    found = whole._replace(
        local=whole.local - part.local,
        optimism=whole.optimism - part.optimism,
        disagreement=whole.disagreement + part.disagreement,
        error=math.hypot(whole.error, part.error),
        method=f"{whole.method}; less {part.method}",
    )
    nats, error = _mean_and_error(found)
    return _to_estimate(found, float(ndtr(-nats / error)), columns.warnings(x, y))


def _measure(x: Columns, y: Columns, seed: int, effort: Effort, beside: Executor) -> Measured:
    """The estimate by the method that suits the arrays."""
    rng = np.random.default_rng(seed)
    folds = make_folds(len(x.scores), effort.num_folds, rng)
    if tables.suits(x.codes, y.codes):
        local = tables.local_information(x.codes, y.codes)
        counted = tables.heldout_bounds(x.codes, y.codes, folds)
        return Measured(local, 0.0, counted, folds.test.shape[1], np.zeros(0), "counts of every pair of values")
    orders = make_orders(folds.train.shape[1], effort.training, rng)
    program = beside.submit(compile_ahead, folds, orders, rows=len(x.scores), how=effort.training, **start.widths(x, y))
    low = max(side.scores.shape[1] for side in (x, y)) <= NEAR_DIMENSIONS
    near = beside.submit(neighbours.extrapolated, x.scores, y.scores) if low else None
    found = _cross_fitted(x, y, folds, orders, seed, effort.training, program)
    if near is None:
        return found
    local, moved = near.result()
    more = float(np.nanmean(local - found.local))  # on the same pairs, whose sampling noise cancels
    near_error, of_difference = neighbours.standard_errors(x.scores, y.scores, found.local, rng)
    nats, error = _mean_and_error(found)
    needed = (LIKELY if nats > DEVIATIONS * error else UNLIKELY) * of_difference
    found = found._replace(disagreement=abs(more))
    if more < needed:
        return found
    return found._replace(local=local, optimism=2 * moved, error=near_error, method="nearest neighbours")


def _cross_fitted(
    x: Columns, y: Columns, folds: Folds, orders: np.ndarray, seed: int, how: Training, program: Future
) -> Measured:
    """By networks; XLA compiles their program while NumPy fits the closed forms that they start from."""
    starts = start.choose(x, y, folds.train[0], folds.valid[0], seed)
    widths = start.widths(x, y)
    pairs = [_stacked(start.follow(starts, x, y, rows, seed), **widths) for rows in folds.train]
    experts = jax.tree.map(lambda *parts: np.stack(parts), *pairs)
    told = math.log(folds.valid.shape[1]) - min(s.loss for s in starts)
    anchored = np.bool_(told > math.log(folds.test.shape[1]) - HEADROOM)
    program.result()
    scored = jax.device_get(train_folds(jax.random.key(seed), experts, folds, orders, anchored, how=how))
    optimism = float(scored.seen.mean() - scored.test.mean())
    local = np.full(len(x.scores), np.nan)
    local[folds.test.ravel()] = scored.test.ravel() + optimism / 2
    curve = np.nanmean(scored.curve[:, np.isfinite(scored.curve).any(0)], axis=0)
    method = str(min(starts, key=lambda found: found.loss))
    return Measured(local, optimism, scored.bounds, folds.test.shape[1], curve, method)


def _stacked(experts: tuple[Expert, Expert], features: int, cross: int) -> Expert:
    """Both experts of a fold as one, padded to the same widths."""

    def alike(expert):
        x, y = (padded(side, features) for side in (expert.x, expert.y))
        bases = [base._replace(cross=padded(base.cross, cross)) for base in (expert.base_x, expert.base_y)]
        return Expert(x, y, *bases, expert.degrees, expert.dim)

    return jax.tree.map(lambda *parts: np.stack(parts), *map(alike, experts))


def _mean_and_error(found: Measured) -> tuple[float, float]:
    """The estimate and its standard error: of the mean over pairs, half of what the optimism was corrected by, and half
    of what two methods differ by.

    Where nothing was found, every contribution is zero; that does not make the estimate certain, so the deviation has a
    floor.
    """
    local = found.local[np.isfinite(found.local)]
    of_mean = max(float(local.std()), LEAST_DEVIATION) / math.sqrt(len(local))
    return float(local.mean()), math.hypot(max(of_mean, found.error), found.optimism / 4, found.disagreement / 2)


def _to_estimate(found: Measured, p_value: float, warnings: list[str]) -> MIEstimate:
    nats, error = _mean_and_error(found)
    ceiling = math.log(found.num_scored)
    if nats > ceiling - 1:
        warnings.append(
            f"near ln {found.num_scored:,} = {ceiling:.1f} nats, the most that so few pairs show: at least this much"
        )
    if found.optimism > max(0.2, 0.2 * nats):
        warnings.append(
            f"training pairs score {found.optimism:.2f} nats above held-out ones (overfitting): more pairs are needed"
        )
    bounds = {
        name: Bound(float(values.mean()), ceiling if name == "infonce" else math.inf, KINDS[name])
        for name in READOUTS
        if (values := found.bounds.get(name)) is not None
    }
    return MIEstimate(
        nats=max(nats, 0.0),
        interval=(max(nats - DEVIATIONS * error, 0.0), max(nats + DEVIATIONS * error, 0.0)),
        p_value=p_value,
        bounds=bounds,
        curve=found.curve,
        warnings=tuple(warnings),
        method=found.method,
        num_pairs=len(found.local),
    )
