"""How the estimator puts its parts together, with stand-ins that answer what is known."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import mi_coding
from mi_coding.estimate import EFFORTS, columns, estimator, experts, inputs, neighbours, networks, start
from mi_coding.estimate.crossfit import READOUTS, Scored, Trained
from mi_coding.estimate.rows import Independent

N, OPTIMISM = 64, 0.6


def measured(local, **options):
    return estimator.Measured(np.asarray(local), **{"optimism": 0.0, **options}, **NOTHING)


NONE = (None, None)  # entropies of sides that are not discrete
NOTHING = {"bounds": {}, "num_scored": 200, "curve": np.zeros(0), "method": "known"}


def plus_minus(mean, deviation, count=400):
    return mean + deviation * np.tile([1.0, -1.0], count // 2)


def half_width(found):
    nats, (low, high) = found.nats, found.interval
    assert high - nats == pytest.approx(nats - low)
    return (high - low) / 2


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, 0.03),  # 0.6 / sqrt(400)
        ({"error": 0.05}, 0.05),  # the larger of both
        ({"error": 0.01}, 0.03),
        ({"optimism": 0.16}, 0.05),  # and a quarter of it: 3, 4, 5
        ({"disagreement": 0.08}, 0.05),  # and half of it
        ({"optimism": 0.16, "disagreement": 0.24}, 0.13),  # 3, 4, 12, 13
    ],
)
def test_an_interval_is_196_standard_errors_on_either_side(options, error):
    found = estimator._to_estimate(measured(plus_minus(2.0, 0.6), **options), 0.01, [], Independent(400), NONE)
    assert found.nats == pytest.approx(2.0)
    assert half_width(found) == pytest.approx(1.96 * error)


def test_pairs_that_were_not_scored_count_nowhere():
    local = np.concatenate([plus_minus(2.0, 0.6), np.full(50, np.nan)])
    found = estimator._to_estimate(measured(local), 0.01, [], Independent(450), NONE)
    assert found.nats == pytest.approx(2.0)
    assert half_width(found) == pytest.approx(1.96 * 0.6 / math.sqrt(400))
    assert found.num_pairs == 450


def test_pairs_that_all_add_the_same_leave_half_a_nat_of_deviation():
    found = estimator._to_estimate(measured(np.full(400, 2.0)), 0.01, [], Independent(400), NONE)
    assert half_width(found) == pytest.approx(1.96 * 0.025)


def test_conditional_information_is_the_difference_pair_by_pair(monkeypatch):
    whole = measured(plus_minus(2.0, 3.0, N), optimism=0.5, disagreement=0.1, error=0.15)
    part = measured(plus_minus(0.5, 2.2, N), optimism=0.1, disagreement=0.3, error=0.2)
    by_width = {2: whole, 1: part}  # columns of y and given, and of given alone
    monkeypatch.setattr(estimator, "_measure", lambda x, y, *rest: by_width[y.scores.shape[1]])
    x, y, z = np.random.default_rng(0).normal(size=(3, N))
    found = mi_coding.estimate_mi(x, y, given=z)
    # The deviation of the difference is 0.8, so its mean errs by 0.1, less than the 0.25 that both errors make.
    error = math.hypot(0.25, (0.5 - 0.1) / 4, (0.1 + 0.3) / 2)
    assert found.nats == pytest.approx(1.5)
    assert half_width(found) == pytest.approx(1.96 * error)
    assert found.p_value == pytest.approx(0.5 * math.erfc(1.5 / error / math.sqrt(2)), rel=1e-6)
    assert found.method == "known; less known"


@pytest.fixture
def known_networks(monkeypatch):
    """In place of networks: row i of held-out pairs scores i, and pairs that were learned from look better."""

    def trained(initial, experts, train, valid, orders, others, *, how):
        nothing = np.zeros((len(train), 1))
        return Trained({}, nothing, nothing[:, :0], nothing)

    def scored(trained, experts, rows, others, draws, anchored, is_test, *, how):
        bounds = {name: np.zeros(len(rows)) for name in READOUTS}
        scores = rows + (0.0 if is_test else OPTIMISM)
        return Scored(scores, scores, bounds, np.zeros((len(rows), 20)))

    beginning = start.Start(path=(), number=0, degrees=math.inf, loss=1.0)
    monkeypatch.setattr(start, "choose", lambda *arguments: (beginning, beginning))
    monkeypatch.setattr(start, "follow", lambda *arguments: (np.zeros(1), np.zeros(1)))
    monkeypatch.setattr(networks, "_alike", lambda expert, **widths: expert)
    monkeypatch.setattr(estimator, "compile_ahead", lambda *arguments, **options: None)
    monkeypatch.setattr(networks, "train_folds", trained)
    monkeypatch.setattr(networks, "score_folds", scored)
    monkeypatch.setattr(experts, "suited", lambda x, y: [])


def measure(num_columns):
    rng = np.random.default_rng(0)
    x, y = (columns.prepare(inputs.read(name, rng.normal(size=(N, num_columns))), rng) for name in "xy")
    with ThreadPoolExecutor(1) as beside:
        return estimator._measure(x, y, estimator.Job(Independent(N), 0, EFFORTS["quick"], beside, beside))


def test_the_interval_is_wider_where_columns_are_left_out(known_networks):
    assert measure(4).misfit == estimator.MISFIT < estimator.LEFT_OUT == measure(130).misfit


def test_half_of_the_optimism_is_added_once_to_every_scored_pair(known_networks):
    found = measure(num_columns=4)  # too many for nearest neighbours
    scored = np.isfinite(found.local)
    assert scored.sum() == N // 3 * 3
    assert found.optimism == pytest.approx(OPTIMISM)
    np.testing.assert_allclose(found.local[scored], np.flatnonzero(scored) + OPTIMISM / 2)


@pytest.mark.parametrize(("errors_apart", "preferred"), [(0.99, False), (1.01, True)])
def test_nearest_neighbours_are_preferred_from_one_error_on(known_networks, monkeypatch, errors_apart, preferred):
    more, near = 0.3, np.arange(N) + OPTIMISM / 2 + 0.3
    monkeypatch.setattr(neighbours, "extrapolated", lambda x, y: (near, 0.07))
    monkeypatch.setattr(neighbours, "standard_errors", lambda *rest: (0.2, more / errors_apart))
    found = measure(num_columns=1)
    assert found.disagreement == pytest.approx(more)
    assert (found.method == "nearest neighbours") == preferred
    if preferred:
        np.testing.assert_array_equal(found.local, near)
        assert (found.optimism, found.error) == (2 * 0.07, 0.2)  # the estimate was moved by half of the optimism
