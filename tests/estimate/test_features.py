"""Every pair of columns, ranked features, lags and sums of information."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest
from sklearn.datasets import load_breast_cancer
from sklearn.feature_selection import SelectKBest

import mi_coding
from mi_coding.estimate import fast

pytestmark = pytest.mark.usefixtures("short_training")

RNG = np.random.default_rng(0)


def gaussian(rho, n, rng):
    x, noise = rng.normal(size=(2, n))
    return x, rho * x + math.sqrt(1 - rho**2) * noise


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.8, 0.99])
@pytest.mark.parametrize("n", [500, 10_000])
def test_counts_in_cells_are_near_the_truth_which_the_interval_covers(rho, n):
    truth, covered, found = -0.5 * math.log(1 - rho**2), 0, []
    for seed in range(40):
        x, y = gaussian(rho, n, np.random.default_rng(seed))
        one = fast.information(fast.cells_of(np.sinh(x)), fast.cells_of(y**3))
        found.append(one.nats)
        covered += abs(one.nats - truth) <= 1.96 * one.error + 1e-3
    assert np.mean(found) == pytest.approx(truth, rel=0.08, abs=0.012)
    assert covered >= 32


def test_p_of_counts_is_uniform_or_larger():
    found = []
    for seed in range(200):
        x, y = gaussian(0, 500, np.random.default_rng(seed))
        found.append(fast.information(fast.cells_of(x), fast.cells_of(y)).p_value)
    assert kstest(found, "uniform", alternative="greater").pvalue > 0.001  # not more small ones than a uniform law has


FRAME = pd.DataFrame({"size": RNG.normal(size=3000), "noise": RNG.normal(size=3000)})
FRAME["copy"] = -(FRAME["size"] ** 3)
FRAME["word"] = np.where(FRAME["size"] + 0.5 * RNG.normal(size=3000) > 0, "large", "small")


def test_a_matrix_has_names_intervals_and_corrected_p_values():
    found = mi_coding.mi_matrix(FRAME)
    assert list(found.nats.columns) == list(found.nats.index) == list(FRAME.columns)
    pd.testing.assert_frame_equal(found.nats, found.nats.T)
    assert found.nats.loc["size", "copy"] > 3
    assert found.nats.loc["word", "word"] == pytest.approx(math.log(2), abs=0.01)
    assert np.isnan(found.nats.loc["size", "size"])
    assert found.p_values.loc["size", "word"] < 1e-6 < 0.05 < found.p_values.loc["noise", "word"]
    off = ~np.eye(4, dtype=bool)
    assert (found.low.to_numpy()[off] <= found.nats.to_numpy()[off]).all()
    assert (found.high.to_numpy()[off] >= found.nats.to_numpy()[off]).all()
    assert "<table" in found._repr_html_()
    assert found.plot().axes[0].get_title(loc="left").startswith("mutual information")
    pd.testing.assert_frame_equal(mi_coding.mi_matrix(FRAME, n_jobs=2).nats, found.nats)


def test_the_full_estimate_of_every_pair_is_had_on_demand():
    found = mi_coding.mi_matrix(FRAME[["size", "noise"]].iloc[:300], effort="quick")
    whole = mi_coding.estimate_mi(FRAME["noise"].iloc[:300], FRAME["size"].iloc[:300], effort="quick")
    assert found.nats.loc["size", "noise"] == pytest.approx(whole.nats, abs=1e-6)


def test_features_are_ranked_by_what_they_tell():
    data = load_breast_cancer(as_frame=True)
    found = mi_coding.rank_features(data.data, data.target)
    assert found.table["nats"].is_monotonic_decreasing
    assert set(found.table["column"]) == set(data.data.columns)
    assert "worst perimeter" in found.table["column"].tolist()[:5]
    assert (found.table["low"] <= found.table["nats"]).all()
    scores, p_values = found
    best = data.data.columns[int(np.argmax(scores))]
    assert best == found.table["column"][0]
    assert p_values.shape == (30,)
    kept = SelectKBest(mi_coding.rank_features, k=5).fit(data.data, data.target)
    assert set(data.data.columns[kept.get_support()]) == set(found.table["column"][:5])
    assert "<table" in found._repr_html_()


@pytest.mark.parametrize("method", ["mrmr", "cmim"])
def test_a_column_that_repeats_another_is_chosen_late(method):
    a, b, noise = np.random.default_rng(1).normal(size=(3, 4000))
    X = pd.DataFrame({"a": a, "again": a + 0.01 * noise, "b": 0.8 * b + 0.1 * noise, "noise": noise})
    y = np.sign(a + 0.7 * b)
    assert mi_coding.rank_features(X, y).table["column"].tolist()[:2] in (["a", "again"], ["again", "a"])
    found = mi_coding.rank_features(X, y, method=method)
    first, second, *_ = found.table["column"]
    assert {first, second} in ({"a", "b"}, {"again", "b"})
    assert X.columns[int(np.argmax(found[0]))] == first
    assert X.columns[np.argsort(-found[0])[1]] == second


def test_wrong_arguments_are_one_line():
    for wrong, words in (
        (lambda: mi_coding.rank_features(FRAME, FRAME["noise"], method="best"), "method='best'"),
        (lambda: mi_coding.rank_features(FRAME, FRAME[["noise", "size"]]), "y has 2 columns"),
        (lambda: mi_coding.mi_matrix(FRAME[["size"]]), "expected at least two"),
        (lambda: mi_coding.mi_matrix(FRAME, effort="slow"), "effort='slow'"),
        (lambda: mi_coding.transfer_entropy(FRAME["size"], FRAME["noise"], lags=0), "lags=0"),
        (lambda: mi_coding.lag_scan(FRAME["size"], FRAME["noise"], lags=[2000]), "at most a quarter"),
        (lambda: mi_coding.lag_scan(FRAME, FRAME["noise"]), "x has 4 columns"),
        (lambda: mi_coding.total_correlation(FRAME["size"]), "given 1 arrays"),
    ):
        with pytest.raises(ValueError, match=words) as caught:
            wrong()
        assert "\n" not in str(caught.value)


@pytest.mark.soak
def test_what_follows_is_found_at_its_lag_and_in_its_direction():
    rng = np.random.default_rng(3)
    x = rng.normal(size=800)
    y = np.roll(x, 3) + 0.7 * rng.normal(size=800)
    scan = mi_coding.lag_scan(x, y, lags=range(-5, 6))
    assert scan.best == 3
    assert scan.p_values[scan.lags == 3] <= 0.01
    assert (scan.p_values[np.abs(scan.lags) < 3] > 0.05).all()
    truth = 0.5 * math.log(1 + 1 / 0.49)
    assert scan.low.max() <= truth <= scan.high[scan.lags == 3]
    assert "lag 3" in scan.plot().axes[0].get_title(loc="left")
    there = mi_coding.transfer_entropy(x, y, lags=3, effort="quick")
    back = mi_coding.transfer_entropy(y, x, lags=3, effort="quick")
    assert there.nats > 0.25 > 0.1 > back.nats


def test_three_arrays_share_what_two_do_not():
    rng = np.random.default_rng(4)
    x, y = rng.integers(0, 2, (2, 2000))
    z = x ^ y
    found = mi_coding.total_correlation(x, y, z, effort="quick")
    assert found.nats == pytest.approx(math.log(2), abs=0.02)
    assert list(found.terms) == ["I(x2; x1)", "I(x3; x1, x2)"]
    assert found.interval[0] <= found.nats <= found.interval[1]
    assert mi_coding.interaction_information(x, y, z, effort="quick").nats == pytest.approx(-math.log(2), abs=0.02)


def test_columns_without_an_order_keep_none():
    rng = np.random.default_rng(0)
    x = rng.choice(list("abcdefgh"), 400)
    y = np.where(rng.random(400) < 0.7, np.roll(x, 1), rng.choice(list("abcdefgh"), 400))
    whole = mi_coding.estimate_mi(y, x, effort="quick")
    assert mi_coding.total_correlation(x, y, effort="quick").nats == pytest.approx(whole.nats, abs=1e-9)
    found = mi_coding.transfer_entropy(x, y, effort="quick")
    past = mi_coding.estimate_mi(y[1:], x[:-1], given=y[:-1], rows="series", effort="quick")
    assert found.nats == pytest.approx(past.nats, abs=1e-9)


def test_cells_with_too_few_rows_prove_nothing():
    rng = np.random.default_rng(0)
    names, coin = fast.cells_of(np.arange(1000), nominal=True), fast.cells_of(rng.integers(0, 2, 1000))
    many = [fast.cells_of(rng.integers(0, 20, 1000), nominal=True) for _ in range(2)]
    mostly_zero = fast.cells_of(np.where(rng.random(2000) < 0.988, 0, rng.random(2000)))
    for x, y in [(names, coin), many, (mostly_zero, fast.cells_of(rng.normal(size=2000)))]:
        found = fast.information(x, y)
        assert found.p_value > 0.01
        assert found.nats < 3 * found.error
