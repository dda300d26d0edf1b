"""The parts of the estimator, each against brute force or a closed form."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import kstest, multivariate_t
from scipy.stats import t as student_t

from mi_coding.critics import EllipticalRatio, elliptical_scores, separable
from mi_coding.estimate import columns, copula, correlation, crossfit, independence, inputs, neighbours, tables
from mi_coding.estimate.folds import FEWEST_ROUNDS, Training, make_folds, make_orders
from mi_coding.objectives import bounds


def pairs(n=400, rho=0.8, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    return x, rho * x[:, ::-1] * [1, -1] + math.sqrt(1 - rho**2) * rng.normal(size=(n, 2))


def test_values_of_any_size_are_brought_to_one_scale():
    values = np.random.default_rng(0).normal(size=(100, 2))
    for scale in (2.0**1020, 2.0**-1000):
        np.testing.assert_array_equal(columns.bounded(values * scale), columns.bounded(values))


def test_ties_are_broken_at_random_and_order_is_kept():
    values = np.repeat([3.0, 1.0, 2.0], 50)
    found = columns.ranks(values, np.random.default_rng(0))
    assert sorted(found) == list(range(150))
    assert set(found[:50]) == set(range(100, 150))
    assert abs(np.corrcoef(found[:50], np.arange(50))[0, 1]) < 0.5


def test_a_wide_array_is_cut_to_its_principal_components():
    rng = np.random.default_rng(0)
    wide = rng.normal(size=(300, 3)) @ rng.normal(size=(3, 200)) + 0.01 * rng.normal(size=(300, 200))
    table = inputs.read("x", wide)
    prepared = columns.prepare(table, rng)
    assert prepared.scores.shape == (300, columns.MOST_DENSE)
    assert prepared.wide.shape == (300, 200)
    assert "200 columns" in columns.warnings(table, table)[1]


def test_what_is_rounding_alone_is_no_component():
    rng = np.random.default_rng(0)
    wide = rng.normal(size=(300, 3)) @ rng.normal(size=(3, 200))
    found = columns._principal(wide)
    assert found.shape == (300, 3)
    np.testing.assert_allclose(found @ found.T, (wide - wide.mean(0)) @ (wide - wide.mean(0)).T, atol=1e-8)


def test_copies_and_monotone_maps_of_columns_are_left_out():
    rng = np.random.default_rng(0)
    plain = rng.normal(size=(300, 2))
    repeated = np.concatenate([plain, 3 * plain[:, :1] + 1, -np.exp(plain[:, 1:]), plain], axis=1)
    once, twice = (columns.prepare(inputs.read("x", array), np.random.default_rng(1)) for array in (plain, repeated))
    np.testing.assert_array_equal(once.scores, twice.scores)
    np.testing.assert_array_equal(once.features, twice.features)
    bent = np.concatenate([plain, plain[:, :1] ** 2], axis=1)  # not one to one
    assert columns.prepare(inputs.read("x", bent), rng).scores.shape == (300, 3)


@pytest.mark.parametrize("degrees", [1.5, 4.0, math.inf])
def test_the_closed_form_is_the_ratio_of_three_densities(degrees):
    x, y = pairs(40)
    rng = np.random.default_rng(0)
    scores = [np.stack([columns.normal_scores(c, rng) for c in side.T], 1) for side in (x, y)]
    law = copula.fit(*scores, degrees)
    found = elliptical_scores(*copula.ratio_parts(law, *scores), min(degrees, 1e7), 4.0)
    a, b = (copula.margins_of(s, degrees) for s in scores)
    for i, j in ((0, 0), (3, 7), (11, 2)):
        joint = log_t(np.concatenate([a[i], b[j]]), law.dispersion, degrees)
        expected = joint - log_t(a[i], law.dispersion[:2, :2], degrees) - log_t(b[j], law.dispersion[2:, 2:], degrees)
        assert float(found[i, j]) == pytest.approx(expected, abs=2e-4)


def test_the_closed_form_of_nearly_equal_columns_keeps_its_precision():
    x, y = pairs(300)
    rng = np.random.default_rng(0)
    x = np.concatenate([x, x + 1e-3 * rng.normal(size=x.shape)], axis=1)
    law = copula.fit(x, y, math.inf)
    found = elliptical_scores(*copula.ratio_parts(law, x, y), copula.NEARLY_GAUSSIAN, 6.0)
    expected = copula.log_density(np.concatenate([x, y], axis=1), law.dispersion, math.inf)
    for side, block in ((x, law.dispersion[:4, :4]), (y, law.dispersion[4:, 4:])):
        expected = expected - copula.log_density(side, block, math.inf)
    np.testing.assert_allclose(np.diag(found), expected, atol=5e-3)


def log_t(value, dispersion, degrees):
    return multivariate_t(np.zeros(len(value)), dispersion, df=1e9 if math.isinf(degrees) else degrees).logpdf(value)


def test_margins_are_the_quantiles_of_the_same_rank():
    found = copula.margins_of(np.array([[-1.0, 0.0, 2.0]]), 3.0)
    np.testing.assert_allclose(student_t(3).cdf(found), [[0.158655, 0.5, 0.97725]], atol=1e-5)


def test_heavy_tails_are_found_by_likelihood():
    rng = np.random.default_rng(1)
    draws = rng.normal(size=(3000, 4)) / np.sqrt(rng.gamma(1.0, 1.0, (3000, 1)))  # two degrees of freedom
    scores = np.stack([columns.normal_scores(c, rng) for c in draws.T], 1)
    assert copula.fit(scores[:, :2], scores[:, 2:]).degrees == 2.0
    gaussian = rng.normal(size=(3000, 4))
    assert copula.fit(gaussian[:, :2], gaussian[:, 2:]).degrees >= 20


def test_standard_errors_of_neighbours_are_the_scatter_over_samples():
    def sample(seed):
        x, noise = np.random.default_rng(seed).normal(size=(2, 1000, 1))
        return x, x + noise

    means = [neighbours.extrapolated(*sample(seed))[0].mean() for seed in range(60)]
    nothing, rng = np.zeros(1000), np.random.default_rng(0)
    errors = np.mean([neighbours.standard_errors(*sample(seed), nothing, rng) for seed in range(8)], axis=0)
    np.testing.assert_allclose(errors, np.std(means), rtol=0.3)
    naive = neighbours.extrapolated(*sample(0))[0].std() / np.sqrt(1000)
    assert naive < 0.8 * np.std(means)  # what the deviation over rows would say


def test_what_another_method_did_not_score_is_left_out():
    x, y = np.random.default_rng(0).normal(size=(2, 60, 1))  # so few rows that there are two parts
    other = np.full(60, np.nan)
    other[::2] = 0.3
    error, of_difference = neighbours.standard_errors(x, y, other, np.random.default_rng(1))
    np.testing.assert_allclose(of_difference, error, rtol=1e-12)


def test_nearest_neighbours_are_those_of_a_double_loop():
    x, y = pairs(60)
    _, found = neighbours.local_information(x, y, neighbours=(8, 3))
    harmonic = lambda k: sum(1 / i for i in range(1, k)) - 0.5772156649015329  # noqa: E731 (digamma of a whole number)
    for i in (0, 17, 59):
        far_x, far_y = (np.delete(np.abs(side - side[i]).max(1), i) for side in (x, y))
        reach = np.sort(np.maximum(far_x, far_y))[2]
        inside = [int((far < reach).sum()) for far in (far_x, far_y)]
        expected = harmonic(3) + harmonic(60) - sum(harmonic(k + 1) for k in inside)
        assert found[i] == pytest.approx(expected, abs=1e-9)


def test_the_bias_of_neighbours_is_extrapolated_on_a_line_to_none():
    x, y = pairs(60)
    few, more = neighbours.local_information(x, y, neighbours=(neighbours.FEW, neighbours.MORE))
    found, moved = neighbours.extrapolated(x, y)
    line = np.polynomial.Polynomial.fit([neighbours.FEW, neighbours.MORE], [few.mean(), more.mean()], 1)
    assert found.mean() == pytest.approx(line(0))
    np.testing.assert_allclose(found - few, moved)


def test_canonical_codes_straighten_what_was_bent():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(3000, 2))
    y = 0.9 * z[:, :1] + math.sqrt(1 - 0.81) * rng.normal(size=(3000, 1))
    angle = np.sum(z**2, axis=1)  # turned by so much, the farther out the more: no straight line finds it
    x = np.stack(
        [np.cos(angle) * z[:, 0] - np.sin(angle) * z[:, 1], np.sin(angle) * z[:, 0] + np.cos(angle) * z[:, 1]], 1
    )
    train, test = np.arange(2000), np.arange(2000, 3000)
    found = {one.choice: one.codes() for one in correlation.canonical_variables(x, y, train, size=1, seed=0)}
    assert len(found) == len(correlation.WAVELENGTHS) * len(correlation.RIDGES)
    best = max(abs(np.corrcoef(a[test, 0], b[test, 0])[0, 1]) for a, b in found.values())
    assert best > 0.7 > 0.4 > abs(np.corrcoef(x[test, 0], y[test, 0])[0, 1])


def test_weak_signals_in_many_columns_are_found():
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(1200, 1))
    direction = rng.normal(size=60) / math.sqrt(60)
    x, y = (shared * direction + rng.normal(size=(1200, 60)) for _ in range(2))
    train, test = np.arange(800), np.arange(800, 1200)
    found = {one.choice[1]: one.codes() for one in correlation.canonical_variables(x, y, train, size=1, seed=0)}
    by_ridge = {ridge: abs(np.corrcoef(a[test, 0], b[test, 0])[0, 1]) for ridge, (a, b) in found.items()}
    assert by_ridge[10.0] > 0.3 > 0.15 > by_ridge[1e-4]  # 0.5 with the direction known


def p_value(x, y, permutations, rng):
    orders = [rng.permutation(len(x)) for _ in range(permutations)]
    return independence.p_value_of(independence.covariance_statistics(x, y, orders, rng))


def test_p_values_are_uniform_under_independence():
    rng = np.random.default_rng(0)
    found = np.array([p_value(rng.normal(size=(40, 2)), rng.standard_t(2, size=(40, 3)), 19, rng) for _ in range(300)])
    assert set(np.round(found * 20, 9)) <= set(range(1, 21))
    assert kstest(found - rng.random(300) / 20, "uniform").pvalue > 0.01


def test_dependence_without_correlation_is_seen():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(800, 2))
    y = np.sign(x[:, :1] * x[:, 1:]) * np.abs(rng.normal(size=(800, 1)))
    assert abs(np.corrcoef(x[:, 0], y[:, 0])[0, 1]) < 0.1
    assert p_value(x, y, 99, rng) == 0.01


def test_counts_give_the_information_of_a_table_without_bias():
    rng = np.random.default_rng(0)
    truth = 0.368064  # a bit and its copy, wrong one time in ten
    found = []
    for _ in range(300):
        x = rng.integers(0, 2, 500)
        found.append(tables.local_information(x, np.where(rng.random(500) < 0.1, 1 - x, x)).mean())
    assert abs(np.mean(found) - truth) < 4 * np.std(found) / math.sqrt(300)
    independent = [tables.local_information(*rng.integers(0, 4, (2, 500))).mean() for _ in range(300)]
    assert abs(np.mean(independent)) < 4 * np.std(independent) / math.sqrt(300)


def test_tables_of_many_values_are_read_as_whole_tables_are():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 40, 600)
    y = np.where(rng.random(600) < 0.5, x, rng.integers(0, 30, 600))
    folds = make_folds(600, 3, rng)
    found = tables.heldout_bounds(x, y, folds)
    for fold, (train, test) in enumerate(zip(folds.train, folds.test, strict=True)):
        table = np.full((40, 40), 0.5)
        np.add.at(table, (x[train], y[train]), 1)
        ratio = np.log(table * table.sum() / (table.sum(1, keepdims=True) * table.sum(0, keepdims=True)))
        scores = jnp.float32(ratio[x[test[0]]][:, y[test[0]]])
        for name, readout in crossfit.READOUTS.items():
            assert found[name][fold] == pytest.approx(float(readout(scores)), abs=1e-4)
    ids = np.arange(20_000)  # whose whole table would take 3 GB
    assert tables.heldout_bounds(ids, ids, make_folds(20_000, 5, rng))["infonce"].max() < 0.1


def test_only_well_filled_tables_are_counted():
    x = np.arange(2000) % 10
    assert tables.suits(x, x)
    assert not tables.suits(x[:1000], x[:1000])
    assert not tables.suits(x, None)


def test_no_row_is_in_two_parts_of_a_fold():
    folds = make_folds(103, 5, np.random.default_rng(0))
    for train, valid, test in zip(folds.train, folds.valid, folds.test, strict=True):
        assert len({*train, *valid, *test.ravel()}) == len(train) + len(valid) + test.size
    assert len(set(folds.test.ravel())) == 100  # scored once, three rows of 103 never
    assert all(set(seen) <= set(train) for seen, train in zip(folds.seen, folds.train, strict=True))


def test_all_rows_of_large_folds_are_scored_in_blocks_of_one_size():
    folds = make_folds(2 * 4501, 2, np.random.default_rng(0))
    assert folds.test.shape == (2, 3, 2000)
    assert folds.seen.shape == (2, 2000)
    for train, valid, blocks in zip(folds.train, folds.valid, folds.test, strict=True):
        assert {*train, *valid}.isdisjoint(blocks.ravel())
        assert all(len(set(block)) == 2000 for block in blocks)
    assert len(set(folds.test.ravel())) == 9002
    assert folds.valid.shape == (2, 562)


def test_no_row_is_learned_from_twice_in_a_round():
    training = Training(width=8, depth=1, rank=2, steps=50, batch=16, learning_rate=1e-3)
    orders = make_orders(100, training, np.random.default_rng(0))
    assert orders.shape == (8, 6, 16)  # 8 rounds of 6 steps: 48 of the 50
    for order in orders.reshape(8, -1):
        assert len({*order} & {*range(100)}) == 96
    assert make_orders(10, training, np.random.default_rng(0)).shape == (50, 1, 10)  # fewer rows than a batch
    assert len(make_orders(1000, training, np.random.default_rng(0))) == FEWEST_ROUNDS


def test_balanced_scores_are_those_of_a_float64_loop():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(7, 7)) + np.arange(7) * 0.3
    rows, columns_ = np.zeros(7), np.zeros(7)
    weights = np.exp(scores)
    for _ in range(crossfit.ROUNDS_OF_BALANCE):
        rows = np.array([math.log(7) - math.log(sum(weights[i] * np.exp(columns_))) for i in range(7)])
        columns_ = np.array([math.log(7) - math.log(sum(weights[:, j] * np.exp(rows))) for j in range(7)])
    expected = np.diag(scores) + rows + columns_
    np.testing.assert_allclose(crossfit.balanced(jnp.float32(scores)), expected, atol=2e-5)
    scaled = weights * np.exp(rows[:, None] + columns_)
    np.testing.assert_allclose(scaled.sum(0), 7, rtol=1e-9)
    np.testing.assert_allclose(scaled.sum(1), 7, rtol=0.05)


@pytest.mark.parametrize(("dim", "rho"), [(3, 0.9), (10, 0.7), (2, 0.99)])
def test_balanced_scores_of_an_exact_critic_are_near_its_own(dim, rho):
    rng, apart = np.random.default_rng(0), []
    for _ in range(3):
        x, noise = rng.normal(size=(2, 2000, dim))
        y = rho * x + math.sqrt(1 - rho**2) * noise
        squares = rho**2 * (np.sum(x**2, axis=1)[:, None] + np.sum(y**2, axis=1)) - 2 * rho * x @ y.T
        scores = -squares / (2 * (1 - rho**2)) - 0.5 * dim * math.log(1 - rho**2)
        apart.append(float(crossfit.balanced(jnp.float32(scores)).mean()) - np.diag(scores).mean())
    assert abs(np.mean(apart)) < 0.025


def test_balance_does_not_depend_on_what_is_added_to_rows_and_columns():
    rng = np.random.default_rng(0)
    scores = jnp.float32(rng.normal(size=(30, 30)))
    moved = scores + jnp.float32(rng.normal(size=30)) + jnp.float32(rng.normal(size=(30, 1)))
    assert float(crossfit.balanced(moved).mean()) == pytest.approx(float(crossfit.balanced(scores).mean()), abs=0.02)


def test_a_critic_has_the_parameters_that_were_best_on_validation_pairs():
    x, y = (jnp.float32(half) for half in pairs(n=240))
    folds = make_folds(240, 3, np.random.default_rng(0))
    train, valid = (jnp.asarray(part[0]) for part in (folds.train, folds.valid))
    how = Training(width=64, depth=2, rank=16, steps=400, batch=16, learning_rate=3e-2)  # long: it soon overfits
    orders = jnp.asarray(make_orders(len(train), how, np.random.default_rng(1)))
    zeros = EllipticalRatio(jnp.zeros((240, 1)), jnp.zeros(240), jnp.zeros(240))
    expert = crossfit.Expert(x, y, zeros, zeros, jnp.float32(30), jnp.float32(4))
    critic = separable(width=how.width, depth=how.depth, rank=how.rank)
    initial = critic.init(np.random.default_rng(2), x.shape[1], y.shape[1])
    params, curve = crossfit._train(initial, expert, train=train, valid=valid, orders=orders, how=how)
    scores = expert.base(valid) + critic.scores(params, x[valid], y[valid])
    found = math.log(len(valid)) - crossfit.pick_loss(scores)
    rounds = np.asarray(curve)[np.isfinite(curve)]
    assert rounds[-1] < rounds.max() - 0.01  # the last are not the best
    assert float(found) == pytest.approx(rounds.max(), abs=1e-4)


def test_the_gradient_of_picking_is_that_of_its_definition():
    scores = jnp.float32(np.random.default_rng(0).normal(size=(7, 7)) * 4)

    def by_definition(scores):
        return math.log(7) - 0.5 * (bounds.infonce(scores) + bounds.infonce(scores.T))

    value, gradient = jax.value_and_grad(lambda s: 3 * crossfit.pick_loss(s))(scores)
    expected, of_definition = jax.value_and_grad(lambda s: 3 * by_definition(s))(scores)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(gradient, of_definition, atol=1e-6)
