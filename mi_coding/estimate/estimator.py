"""How much information two arrays share: the estimate, its interval, a test of independence, and warnings."""

import math
import numbers
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr
from threadpoolctl import threadpool_limits

from mi_coding.errors import InputError
from mi_coding.estimate import columns, experts, neighbours, start, tables, wide
from mi_coding.estimate.columns import Columns
from mi_coding.estimate.cores import on_both_cores
from mi_coding.estimate.crossfit import READOUTS, compile_ahead, initial_params
from mi_coding.estimate.folds import MOST_TOGETHER, Folds, Training, make_orders
from mi_coding.estimate.independence import covariance_statistics, p_value_of
from mi_coding.estimate.inputs import Table, read_tables
from mi_coding.estimate.networks import Networks, cross_fitted
from mi_coding.estimate.result import DEVIATIONS, Bound, Measured, MIEstimate
from mi_coding.estimate.rows import Rows, kept_rows, rows_of
from mi_coding.estimate.streams import stream


class Effort(NamedTuple):
    """How much work an estimate may take.

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
"""Dimensions of a side up to which nearest neighbours are evaluated."""

LIKELY, UNLIKELY = 1, 3
"""Standard errors by which nearest neighbours must exceed the networks to be preferred. Both underestimate when they
fail, so the larger is the more accurate; but where the networks find nothing, there usually is nothing."""

LEAST_DEVIATION = 0.5
"""Lower limit of the standard deviation of a pair's contribution, in nats."""

MISFIT = 0.012
"""Standard error, as a share of the estimate, of what critics miss or a finite score matrix distorts; chosen on the
development populations of `benchmarks.estimate_families`."""

LEFT_OUT = 0.025
"""The same for arrays of which only some columns and combinations of columns are used: the root mean square of the
errors for 10,000 pairs of pictures of blurred spots that share 1, 3 and 5 nats (0.3, 1.5 and 3.8 %)."""

UNSEEN = 0.03
"""Standard error, as a share of the nats that lie beyond what held-out pairs can show."""

FEW_FOLDS = 3
"""Number of folds for more than `MOST_TOGETHER` rows, trained one after the other; two thirds suffice to train on."""

MANY_FOLDS, MOST_REFITTED = 10, 5000
"""Number of folds for classifiers alone, as pairs are scarce; and the most pairs for which they are fitted again."""

KINDS = {name: "estimate" if name in ("smile", "balanced") else "lower bound" for name in READOUTS} | {
    "classifiers": "lower bound"
}
"""The guarantee of each read-out."""

PROVING = ("infonce", "classifiers")
"""Lower bounds of low variance: an interval never ends below the value that they reach on held-out pairs."""


class Job(NamedTuple):
    """What all parts of one estimate share.

    Attributes:
        rows: how the rows depend on each other.
        seed: of every random stream.
        effort: how much work it may take, including the number of permutations.
        beside: runs tasks on the second core, one after the other.
        compiler: compiles programs, while both cores prepare what the programs need.
    """

    rows: Rows
    seed: int
    effort: Effort
    beside: Executor
    compiler: Executor


def estimate_mi(
    x: object,
    y: object,
    *,
    given: object = None,
    rows: object = "independent",
    missing: str = "error",
    seed: int = 0,
    effort: str = "default",
    permutations: int | None = None,
    pointwise: bool = False,
) -> MIEstimate:
    """How much information two arrays share, in nats, with a 95 % interval and a test of independence.

    >>> x = np.arange(2000) % 2
    >>> y = np.where(np.arange(2000) % 20 < 2, 1 - x, x)  # a bit, and a copy that is wrong one time in ten
    >>> order = np.random.default_rng(1).permutation(2000)
    >>> found = estimate_mi(x[order], y[order])
    >>> print(f"{found.nats:.3f} nats, p = {found.p_value}")
    0.368 nats, p = 0.005

    A closed form (a Gaussian or Student-t copula, of the columns or of canonical variables, whichever discriminates
    held-out pairs best) is corrected by a network, and pooled with a Gaussian mixture, or with classifiers of a
    discrete side, with weights chosen on validation pairs. Every score in the held-out mean comes from a fold that
    never saw the pair. The estimate is halfway between that mean and the mean over training pairs: to first order the
    one is too low by as much as the other is too high. For up to three columns per side nearest neighbours are
    evaluated as well, and preferred where they exceed that significantly. Two discrete arrays are counted.

    Args:
        x: [n] or [n, d]; floats, integers, booleans, strings or dates: a NumPy or JAX array, a DataFrame or Series of
            pandas or polars, a masked array, or a sparse matrix. Booleans, strings and categories have no order.
        y: [n] or [n, e]; row i belongs to row i of x.
        given: [n] or [n, f]; estimates I(x; y | given) = I(x; y, given) − I(x; given) instead.
        rows: "independent"; "series" for rows that follow one another in time; or an array [n] of groups, such as
            patients, whose rows depend on each other.
        missing: "error", or "drop" to leave out the rows that lack a value; infinite values are always an error.
        seed: the same arrays and seed give the same result.
        effort: "default", or "quick" for a third of the time.
        permutations: of the test of independence; None for 199. The smallest p is 1/(permutations + 1).
        pointwise: whether the result includes the contribution of each pair, see `MIEstimate`.
    Returns:
        An `MIEstimate`.
    Raises:
        ValueError: (an `InputError`) for arrays that cannot be estimated from, in one line.
    Source: optimism, Akaike 1974 and Efron 2004; the rest is cited where it is implemented.
    """
    if effort not in EFFORTS:
        raise InputError(f"effort={effort!r} is unknown; choose from {', '.join(map(repr, EFFORTS))}")
    if not isinstance(seed, numbers.Integral) or not 0 <= seed < 2**32:
        raise InputError(f"seed={seed!r}; expected a whole number from 0 to 4294967295")
    if permutations is not None and not (isinstance(permutations, numbers.Integral) and 19 <= permutations <= 10**6):
        raise InputError(f"permutations={permutations!r}; expected a whole number from 19 to 1,000,000")
    arrays = {"x": x, "y": y} | ({} if given is None else {"given": given})
    read, kept, warnings = read_tables(arrays, missing)
    rows, of_rows = rows_of(kept_rows(rows, kept), read["x"].array, read["y"].array)
    for one, other in (("x", "y"), ("x", "given"), ("y", "given"))[: 1 if given is None else 3]:
        columns.check_pair(read[one], read[other], other)
    warnings += of_rows + columns.warnings(read["x"], read["y"])
    how = EFFORTS[effort]
    how = how if permutations is None else how._replace(permutations=int(permutations))
    blas = threadpool_limits(1, "blas")  # faster on small matrices, and the same bits on any machine
    with blas, ThreadPoolExecutor(1) as beside, ThreadPoolExecutor(1) as compiler:
        job = Job(rows, int(seed), how, beside, compiler)
        measure = _unconditional if given is None else _conditional
        found = measure(*read.values(), job, warnings)
    return found if pointwise else replace(found, pointwise=None)


def _unconditional(x: Table, y: Table, job: Job, warnings: list[str]) -> MIEstimate:
    a, b = _prepared(job.seed, x=x, y=y)
    everyone = np.arange(len(x.array))

    def draws():  # one at a time: all would fill the memory
        rng = stream(job.seed, "draws")
        return (job.rows.exchanged(everyone, rng) for _ in range(job.effort.permutations))

    waves = stream(job.seed, "waves of the test")
    without_critic = job.beside.submit(covariance_statistics, a.features, b.features, draws(), waves)
    found = _measure(a, b, job)
    statistics = [*without_critic.result(), found.null if job.rows.test_critics else None]
    if a.codes is not None and b.codes is not None:
        statistics.append(tables.count_statistic(a.codes, b.codes, draws()))
    p_value = p_value_of([one for one in statistics if one is not None])
    return _to_estimate(found, p_value, warnings, job.rows, _entropies(a, b), job.effort.permutations)


def _conditional(x: Table, y: Table, given: Table, job: Job, warnings: list[str]) -> MIEstimate:
    """The chain rule, pair by pair, so that errors that both terms share cancel in the interval."""
    side, other, both = _prepared(job.seed, x=x, given=given, y=y.beside(given))
    whole, part = (_measure(side, by, job) for by in (both, other))
    found = whole._replace(
        local=whole.local - part.local,
        optimism=whole.optimism - part.optimism,
        disagreement=whole.disagreement + part.disagreement,
        error=math.hypot(whole.error, part.error),
        method=f"{whole.method}; less {part.method}",
        largest=max(float(np.nanmean(term.local)) for term in (whole, part)),
        bounds={},  # those of the terms are none of their difference
    )
    nats, error = _mean_and_error(found, job.rows)
    return _to_estimate(found, float(ndtr(-nats / error)), warnings, job.rows, (None, None))


def _prepared(seed: int, **sides: Table) -> list[Columns]:
    ties = [stream(seed, f"ties of {name}") for name in sides]
    return on_both_cores(columns.prepare, sides.values(), ties)


def _entropies(x: Columns, y: Columns) -> tuple[float | None, float | None]:
    """Entropies of both sides, nats; None for one that is not discrete."""
    return tuple(None if side.codes is None else tables.entropy(side.codes) for side in (x, y))


def _measure(x: Columns, y: Columns, job: Job) -> Measured:
    """The estimate by the method that suits the arrays."""
    num_folds = job.effort.num_folds if len(x.scores) <= MOST_TOGETHER else min(FEW_FOLDS, job.effort.num_folds)
    folds = job.rows.folds(num_folds, stream(job.seed, "folds"))
    if x.codes is not None and y.codes is not None:
        counted = _counted(x.codes, y.codes, folds, job.rows)
        if tables.suits(x.codes, y.codes) or x.is_nominal or y.is_nominal:
            return counted
        found = _learnt(x, y, folds, job)
        less = counted.local.mean() - counted.optimism / 2 < np.nanmean(found.local) - found.optimism / 2
        return (found if less else counted)._replace(null=found.null)
    return _learnt(x, y, folds, job)


def _counted(codes_x: np.ndarray, codes_y: np.ndarray, folds: Folds, rows: Rows) -> Measured:
    """Estimates by counting, where there are enough pairs per cell; else by counts that are shrunk to independence."""
    bounds, num_scored = tables.heldout_bounds(codes_x, codes_y, folds), folds.test.shape[2]
    if rows.are_independent and tables.suits(codes_x, codes_y):
        local, how = tables.local_information(codes_x, codes_y), "counts of every pair of values"
        return Measured(local, 0.0, bounds, num_scored, np.zeros(0), how)
    left_out, counted, how = tables.shrunk_information(codes_x, codes_y, rows.stretches)
    optimism = float(counted.mean() - left_out.mean())
    return Measured(left_out + optimism / 2, optimism, bounds, num_scored, np.zeros(0), how)


def _learnt(x: Columns, y: Columns, folds: Folds, job: Job) -> Measured:
    """Estimates by critics; for few columns by nearest neighbours, where these find significantly more."""
    num_rows = len(x.scores)
    how = job.effort.training.grown(num_rows)
    orders = make_orders(folds.train.shape[1], how, stream(job.seed, "orders"))
    draws = _draws(job.rows, folds.test, job.effort.permutations, stream(job.seed, "draws of test rows"))
    sides = [(x, y)] * len(folds.train)
    is_wide = x.wide is not None or y.wide is not None
    if is_wide:
        sides = [wide.narrowed(x, y, *rows, job.seed) for rows in zip(folds.train, folds.valid, strict=True)]
    names = experts.suited(*sides[0])
    together = len(folds.train) if num_rows <= MOST_TOGETHER else 1
    sizes = start.widths(*sides[0]) | {"rows": num_rows, "num_others": len(names), "num_folds": together}
    initial = initial_params(stream(job.seed, "initial weights"), len(sides), sizes["features"], how)
    program = job.compiler.submit(compile_ahead, initial, folds, orders, draws[:together, 0], how=how, **sizes)
    by_class = experts.Classifiers.suits(x, y) and num_rows <= MOST_REFITTED
    low = max(side.scores.shape[1] for side in (x, y)) <= NEAR_DIMENSIONS and job.rows.are_independent and not by_class
    near = job.beside.submit(neighbours.extrapolated, x.scores, y.scores) if low else None
    networks = Networks(sides, folds, orders, draws, how, together, initial, job.seed, program)
    found = cross_fitted(networks, names, job.beside)._replace(misfit=LEFT_OUT if is_wide else MISFIT)
    if by_class:
        return _or_classifiers(found, x, y, job)
    if near is None:
        return found
    local, moved = near.result()
    more = float(np.nanmean(local - found.local))  # on the same pairs, whose sampling noise cancels
    rng = stream(job.seed, "parts")
    near_error, of_difference = neighbours.standard_errors(x.scores, y.scores, found.local, rng)
    nats, error = _mean_and_error(found, job.rows)
    needed = (LIKELY if nats > DEVIATIONS * error else UNLIKELY) * of_difference + neighbours.bias(moved, num_rows)
    found = found._replace(disagreement=abs(more))
    if more < needed:
        return found
    return found._replace(local=local, optimism=2 * moved, error=near_error, misfit=0.0, method="nearest neighbours")


def _draws(rows: Rows, test: np.ndarray, permutations: int, rng: np.random.Generator) -> np.ndarray:
    """int16[F, B, 1 + permutations, t]: the test rows int[F, B, t] as observed, and exchanged under independence.

    The rows of the blocks of a fold interleave: where they depend on each other, all blocks have the same exchange.
    """
    num_folds, num_blocks, size = test.shape
    draws = np.empty((num_folds, num_blocks, 1 + permutations, size), np.int16)  # of at most 3,000 rows
    draws[:, :, 0] = np.arange(size)
    for blocks, of_fold in zip(test, draws, strict=True):
        seeds = None if rows.are_independent else rng.integers(2**63, size=permutations)
        for block, of_block in zip(blocks, of_fold, strict=True):
            for number, draw in enumerate(of_block[1:]):
                draw[:] = rows.exchanged(block, rng if seeds is None else np.random.default_rng(seeds[number]))
    return draws


def _or_classifiers(found: Measured, x: Columns, y: Columns, job: Job) -> Measured:
    """An estimate from few pairs with a class as one side: by classifiers alone, where held-out pairs score higher."""
    folds = job.rows.folds(MANY_FOLDS, stream(job.seed, "folds of classifiers"))
    local, optimism = experts.Classifiers(job.seed).cross_fitted(x, y, folds)
    more = float(np.nanmean(local)) - (float(np.nanmean(found.local)) - found.optimism / 2)
    found.bounds["classifiers"] = np.array([np.nanmean(local)])
    if more <= 0:
        return found
    how = "classifiers of the discrete side"
    return found._replace(local=local + optimism / 2, optimism=optimism, disagreement=more, method=how)


def _mean_and_error(found: Measured, rows: Rows) -> tuple[float, float]:
    """The estimate and its standard error, which combines that of the mean over pairs, half of the correction for
    optimism, half of the difference between two methods, and what critics may miss.

    Where nothing was found, every contribution is zero; that does not make the estimate certain, so the deviation has a
    floor.
    """
    of_mean = rows.error_of_mean(found.local, LEAST_DEVIATION)
    nats = float(np.nanmean(found.local))
    terms = max(of_mean, found.error), found.optimism / 4, found.disagreement / 2, found.misfit * nats
    return nats, float(np.linalg.norm(terms))


def _to_estimate(
    found: Measured,
    p_value: float,
    warnings: list[str],
    rows: Rows,
    entropies: tuple[float | None, float | None],
    permutations: int = 0,
) -> MIEstimate:
    nats, error = _mean_and_error(found, rows)
    ceiling = math.log(found.num_scored)
    if (beyond := (nats if found.largest is None else found.largest) - (ceiling - 1)) > 0:
        error = math.hypot(error, UNSEEN * beyond)
        count = found.num_scored
        reach = f"ln {count:,} = {ceiling:.1f} nats, the most that {count:,} held-out pairs can show"
        warnings.append(
            f"near or above {reach}: beyond that the estimate rests on {found.method}, and may be too low or too high"
        )
    if found.optimism > max(0.2, 0.2 * nats):
        warnings.append(
            f"training pairs score {found.optimism:.2f} nats above held-out ones (overfitting): more pairs are needed"
        )
    bounds = {
        name: Bound(float(values.mean()), ceiling if name == "infonce" else math.inf, KINDS[name])
        for name in KINDS
        if (values := found.bounds.get(name)) is not None
    }
    proved = [bounds[name].value for name in PROVING if name in bounds]
    return MIEstimate(
        nats=max(nats, 0.0),
        interval=(max(nats - DEVIATIONS * error, 0.0), max(nats + DEVIATIONS * error, *proved, 0.0)),
        p_value=p_value,
        bounds=bounds,
        curve=found.curve,
        warnings=tuple(warnings),
        method=found.method,
        num_pairs=len(found.local),
        pointwise=found.local,
        entropies=entropies,
        permutations=permutations,
    )
