"""How rows depend on each other: splits, draws under independence, standard errors, copies."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter

from mi_coding.errors import InputError
from mi_coding.estimate.independence import covariance_statistics, p_value_of
from mi_coding.estimate.rows import Grouped, Independent, Series, entered_twice, memory_of, rows_of
from mi_coding.estimate.tables import shrunk_information


def remembering(phi, count, rng):
    """An autoregressive series [count, 1]."""
    return lfilter([1], [1, -phi], rng.normal(size=count + 500))[500:, None]


@pytest.mark.parametrize("count", [200, 1003])
def test_groups_are_in_one_part_of_a_fold(count):
    rng = np.random.default_rng(0)
    number = np.unique(rng.integers(0, 40, count), return_inverse=True)[1]
    folds = Grouped(number).folds(5, rng)
    for train, valid, test in zip(folds.train, folds.valid, folds.test[:, 0], strict=True):
        groups = [set(number[part]) for part in (train, valid, test)]
        assert not groups[0] & groups[1] | groups[1] & groups[2] | groups[0] & groups[2]
        assert len(valid) >= 4
        assert len(train) > count // 2
    assert len(set(folds.test.ravel())) == folds.test.size > 0.7 * count


def test_what_is_scored_of_a_series_lies_apart_from_what_is_learnt():
    folds = Series(1000, memory=12).folds(5, np.random.default_rng(0))
    for train, valid, test in zip(folds.train, folds.valid, folds.test[:, 0], strict=True):
        assert np.abs(train[:, None] - test).min() > 12
        assert np.abs(train[:, None] - valid).min() > 12
        assert np.abs(valid[:, None] - test).min() > 12
        assert (np.diff(test) == 1).all()
    assert sorted(folds.test.ravel()) == list(range(1000))


@pytest.mark.parametrize("rows", [Independent(30), Grouped(np.arange(30) // 3), Series(30, 2)])
def test_a_draw_uses_every_row_once_and_keeps_what_depends(rows):
    some = np.random.default_rng(1).permutation(30)[:24] if not isinstance(rows, Grouped) else np.arange(30)
    draw = rows.exchanged(some, np.random.default_rng(2))
    assert sorted(draw) == list(range(len(some)))
    if isinstance(rows, Grouped):
        assert len({tuple(sorted(draw[i : i + 3] // 3)) for i in range(0, 30, 3)}) == 10  # groups stay together
        assert (np.ptp(draw.reshape(10, 3) // 3, axis=1) == 0).all()
    if isinstance(rows, Series):
        in_time = np.argsort(some)
        later = np.argsort(in_time)[draw][in_time]  # place in time of the y of each x, in the order of time
        assert (np.diff(later) % len(some) == 1).all()


@pytest.mark.parametrize("phi", [0.9, 0.99])
def test_independent_series_are_rejected_as_often_as_they_should_be(phi):
    found, rng = [], np.random.default_rng(3)
    for _ in range(150):
        x, y = (remembering(phi, 500, rng) for _ in range(2))
        rows = Series(500, memory_of(x, y))
        draws = np.stack([rows.exchanged(np.arange(500), rng) for _ in range(99)])
        found.append(p_value_of(covariance_statistics(x, y, draws, rng)))
    assert 0.005 <= np.mean(np.array(found) <= 0.05) <= 0.11  # 0.05 and three standard errors; 0.8 as independent rows


def test_critics_are_not_tested_on_folds_of_few_independent_stretches():
    rng = np.random.default_rng(3)
    for phi, tested in ((0.9, True), (0.99, False)):
        rows, warnings = rows_of("series", *(remembering(phi, 1000, rng) for _ in range(2)))
        assert rows.test_critics == tested
        assert [text.split(", ")[-1] for text in warnings] == ["and p is computed without the critics"] * (not tested)


@pytest.mark.parametrize(
    ("make", "rows"),
    [
        (lambda rng: rng.normal(size=400), Independent(400)),
        (lambda rng: np.repeat(rng.normal(size=80), 5), Grouped(np.arange(400) // 5)),
        (lambda rng: remembering(0.8, 400, rng)[:, 0], Series(400, 20)),
    ],
)
def test_the_standard_error_is_the_scatter_of_means(make, rows):
    draws = [make(np.random.default_rng(seed)) for seed in range(300)]
    scatter = np.std([draw.mean() for draw in draws])
    found = np.sqrt(np.mean([rows.error_of_mean(draw) ** 2 for draw in draws]))
    assert found == pytest.approx(scatter, rel=0.2)
    with_gaps = draws[0].copy()
    with_gaps[::7] = np.nan
    assert math.isfinite(rows.error_of_mean(with_gaps))


def test_the_memory_of_a_series_is_where_both_have_forgotten():
    rng = np.random.default_rng(0)
    slow, fast = remembering(0.97, 5000, rng), rng.normal(size=(5000, 1))
    assert memory_of(slow, fast) <= 2  # one that forgets at once is enough
    assert 40 < memory_of(slow, remembering(0.97, 5000, rng)) < 140  # .97^(2·38) = .1, twice


@pytest.mark.parametrize(
    ("make", "copies"),
    [
        (lambda rng: rng.normal(size=(2, 800, 1)), 0),
        (lambda rng: np.tile(rng.normal(size=(2, 400, 1)), (1, 2, 1)), 400),  # all doubled
        (lambda rng: rng.normal(size=(2, 800, 1))[:, rng.integers(0, 800, 800)], "bootstrap"),
        (lambda rng: rng.normal(size=(2, 800, 1)).round(1), 0),  # rounded
        (lambda rng: rng.poisson(3, size=(2, 800, 1)) * rng.integers(0, 2, (800, 1)), 0),  # zero-inflated counts
        (
            lambda rng: np.where(
                rng.random((800, 1)) < 0.5, rng.choice([-1, 1], (2, 800, 1)), rng.normal(size=(2, 800, 1))
            ),
            0,
        ),
        (lambda rng: np.repeat(rng.normal(size=(2, 8, 1)), 100, axis=1), 0),  # atoms alone
        (lambda rng: np.stack([np.arange(800)[:, None] % 50] * 2), 0),  # categories that tell each other
    ],
    ids=["continuous", "doubled", "bootstrap", "rounded", "zeros", "half atoms", "atoms", "categories"],
)
def test_copies_of_observations_are_told_from_values_that_repeat(make, copies):
    x, y = make(np.random.default_rng(0))
    number = entered_twice(x, y)
    if copies == 0:
        assert number is None
        return
    expected = len(x) - len(np.unique(np.concatenate([x, y], axis=1), axis=0)) if copies == "bootstrap" else copies
    assert len(x) - len(set(number)) == expected
    for one in np.unique(number)[:50]:
        assert len(np.unique(np.concatenate([x, y], axis=1)[number == one], axis=0)) == 1


def test_what_is_assumed_of_rows_is_doubted_where_the_arrays_say_otherwise():
    rng = np.random.default_rng(0)
    walk = rng.normal(size=(2, 500, 1)).cumsum(axis=1)
    rows, (warning,) = rows_of("independent", *walk)
    assert isinstance(rows, Independent)
    assert "lag-1 correlation 0.9" in warning or "lag-1 correlation 1.0" in warning
    assert "pass rows='series'" in warning
    assert rows_of("independent", *rng.normal(size=(2, 500, 1)))[1] == []
    assert rows_of("independent", walk[0], rng.normal(size=(500, 1)))[1] == []  # of one alone, nothing is distorted
    rows, warnings = rows_of("series", *walk)
    assert isinstance(rows, Series)
    assert "few independent stretches" in warnings[0]
    rows, warnings = rows_of("independent", *np.tile(rng.normal(size=(2, 400, 1)), (1, 2, 1)))
    assert isinstance(rows, Grouped)
    assert "400 of 800 pairs are exact copies" in warnings[0]
    names = np.array([f"patient {i // 4}" for i in range(500)])
    assert rows_of(names, *walk)[0].number.max() == 124


def test_a_group_larger_than_a_fold_leaves_no_fold_empty():
    number = np.repeat(np.arange(11), [200] + [80] * 10)
    for seed in range(20):
        folds = Grouped(number).folds(10, np.random.default_rng(seed))
        assert min(folds.test.shape) > 0
        assert len(folds.test) <= 10


@pytest.mark.parametrize("absent", [None, float("nan"), pd.NA, np.datetime64("NaT")])
def test_rows_without_a_group_are_told(absent):
    groups = [f"patient {i // 4}" if i % 9 else absent for i in range(200)]
    with pytest.raises(InputError, match="rows names no group for 23 of 200 rows; expected one for each"):
        rows_of(np.array(groups, object), *[np.zeros((200, 1))] * 2)


def test_folds_of_groups_are_of_about_the_same_size():
    number = np.repeat(np.arange(801), [200] + [1] * 800)
    for seed in range(10):
        test = Grouped(number).folds(5, np.random.default_rng(seed)).test
        assert test.shape[0] * test.shape[1] * test.shape[2] == 1000
    fifty = np.repeat(np.arange(14), [1] * 9 + [10, 1, 10, 10, 10])
    assert Grouped(fifty).folds(5, np.random.default_rng(0)).test.shape[2] >= 8


@pytest.mark.parametrize("sizes", ["equal", "alike", "one large"])
def test_an_exchange_pairs_groups_with_groups_of_their_size(sizes):
    """What group effects a, b add to Σ x·y varies as Σ n_g² under independence, and as Σ o_gh² under exchanges."""
    rng = np.random.default_rng(0)
    sizes = {"equal": [7] * 40, "alike": rng.integers(1, 21, 80), "one large": [200] + [1] * 800}[sizes]
    rows = Grouped(np.repeat(np.arange(len(sizes)), sizes))
    found = []
    for _ in range(20):
        other = rows.number[rows.exchanged(np.arange(len(rows.number)), rng)]
        _, overlaps = np.unique(np.stack([rows.number, other]), axis=1, return_counts=True)
        found.append(np.sum(overlaps**2) / np.sum(np.square(sizes)))
    assert np.mean(found) > 0.8


def test_rows_of_one_group_do_not_predict_each_other():
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(100), 10)
    x, y = rng.integers(0, 50, (2, 100))[:, patient]
    left_out, counted, _ = shrunk_information(x, y, patient)
    assert (left_out.mean() + counted.mean()) / 2 < 0.1  # 2.7 nats, each row left out alone
    alone = shrunk_information(x, y, np.arange(1000))
    np.testing.assert_array_equal(alone[:2], shrunk_information(x, y)[:2])


def test_series_of_symbols_leave_out_stretches_of_their_memory():
    assert Series(100, memory=5).stretches.tolist() == [i // 20 for i in range(100)]
    assert Independent(9).stretches is None
