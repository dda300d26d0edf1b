import math
from types import SimpleNamespace

import numpy as np
import pytest

from mi_coding.evaluation.health import Health, alignment, effective_rank, health_summary, uniformity


def codes(n, dims=6, seed=0):
    """Off-centre codes of very different lengths and spreads."""
    rng = np.random.default_rng(seed)
    return rng.exponential(size=(n, 1)) * (rng.normal(size=(n, dims)) * np.arange(1, dims + 1) + 1)


def rotation(dims, seed=5):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(dims, dims)))[0]


def distance(a, b):
    """‖â − b̂‖² in float64."""
    return sum((x / math.hypot(*a) - y / math.hypot(*b)) ** 2 for x, y in zip(a, b, strict=True))


def test_alignment_is_the_mean_over_pairs_of_a_loop():
    z_x, z_y = codes(40), codes(40, seed=1)
    expected = sum(distance(a, b) for a, b in zip(z_x, z_y, strict=True)) / 40
    assert alignment(z_x, z_y) == pytest.approx(expected, rel=1e-5)
    assert alignment(z_x, z_y[::-1]) != pytest.approx(expected, rel=1e-3)  # rows are pairs


def test_alignment_of_equal_opposite_and_unrelated_codes():
    z = codes(50)
    assert alignment(z, 3 * z) == pytest.approx(0, abs=1e-6)
    assert alignment(z, -z) == pytest.approx(4, rel=1e-6)
    a, b = np.random.default_rng(0).normal(size=(2, 5000, 16))
    assert alignment(a, b) == pytest.approx(2, abs=4 * 2 / math.sqrt(16 * 5000))  # four standard errors


@pytest.mark.parametrize("count", [2, 37])
def test_uniformity_is_the_mean_over_distinct_pairs_of_a_double_loop(count, monkeypatch):
    z = codes(count)
    values = [math.exp(-2 * distance(z[i], z[j])) for i in range(count) for j in range(count) if i != j]
    expected = math.log(sum(values) / len(values))
    assert uniformity(z) == pytest.approx(expected, rel=1e-5)
    monkeypatch.setattr("mi_coding.evaluation.health._CODES_AT_ONCE", 8)  # the last block has 5 rows
    assert uniformity(z) == pytest.approx(expected, rel=1e-5)


def test_uniformity_of_a_collapse_of_opposites_and_of_a_sphere():
    assert uniformity(np.ones((300, 5)) * np.arange(1, 301)[:, None]) == pytest.approx(0, abs=1e-5)
    assert uniformity(np.zeros((30, 5))) == 0
    assert uniformity(np.array([[1.0, 2.0], [-2.0, -4.0]])) == pytest.approx(-8, rel=1e-5)
    sphere = np.random.default_rng(0).normal(size=(2000, 256))
    # With cosines of variance 1 / D, ln E exp(4 cos − 4) is about 16 / 2D − 4.
    assert uniformity(sphere) == pytest.approx(8 / 256 - 4, abs=0.01)


def test_uniformity_of_a_sample_is_near_that_of_all_and_the_same_each_time():
    z = codes(3000)
    few = uniformity(z, most=1000)
    assert few == uniformity(z, most=1000)
    assert few != uniformity(z)
    assert few == pytest.approx(uniformity(z), abs=0.1)


def test_a_rotation_of_the_codes_and_their_lengths_change_nothing():
    z_x, z_y, turn = codes(60), codes(60, seed=1), rotation(6)
    assert alignment(z_x @ turn, z_y @ turn) == pytest.approx(alignment(z_x, z_y), rel=1e-5)
    assert uniformity(z_x @ turn) == pytest.approx(uniformity(z_x), rel=1e-5)
    assert effective_rank(z_x @ turn) == pytest.approx(effective_rank(z_x), rel=1e-9)
    lengths = np.random.default_rng(3).uniform(0.1, 9, (60, 1))
    assert uniformity(lengths * z_x) == pytest.approx(uniformity(z_x), rel=1e-5)
    assert effective_rank(100 * z_x) == pytest.approx(effective_rank(z_x), rel=1e-9)


def test_effective_rank_counts_orthonormal_columns_and_a_constant_as_one():
    assert effective_rank(rotation(20)[:, :7]) == pytest.approx(7)
    assert effective_rank(rotation(20)[:7]) == pytest.approx(7)  # fewer rows than columns
    assert effective_rank(np.full((30, 8), 2.5, np.float32)) == pytest.approx(1)
    assert effective_rank(np.zeros((30, 8))) == 1


def test_effective_rank_is_exp_of_the_entropy_of_singular_values():
    values = np.array([8.0, 4.0, 2.0, 2.0])  # shares 1/2, 1/4, 1/8, 1/8: 1.75 bits
    features = rotation(30)[:, :4] * values @ rotation(4, seed=6)
    assert effective_rank(features) == pytest.approx(2**1.75)
    assert effective_rank(features + 100) < 2  # not centred


@pytest.mark.parametrize("measure", [lambda z: alignment(z, z), lambda z: alignment(codes(4), z), uniformity])
def test_codes_that_cannot_be_measured_are_refused(measure):
    with pytest.raises(ValueError, match=r"\(1, 6\) must be \(n, D\) with n at least 2"):
        measure(codes(1))
    with pytest.raises(ValueError, match=r"\(6,\) must be"):
        measure(codes(4)[0])
    with pytest.raises(ValueError, match="must be finite"):
        measure(np.where(codes(4) > 1, np.inf, 0))


def test_features_that_cannot_be_measured_are_refused():
    with pytest.raises(ValueError, match=r"features \(1, 6\) must be"):
        effective_rank(codes(1))
    with pytest.raises(ValueError, match="features must be finite"):
        effective_rank(np.full((3, 3), np.nan))


def test_codes_without_a_partner_are_refused():
    with pytest.raises(ValueError, match=r"z_x \(4, 6\) and z_y \(3, 6\) must have one shape"):
        alignment(codes(4), codes(3))
    with pytest.raises(ValueError, match="most 1 must be at least 2"):
        uniformity(codes(4), most=1)


def of_codes(method, z, turn):
    """A run whose examples are their own codes z, float[n, 4], and whose y has the code z turn."""
    return SimpleNamespace(
        method=method,
        variables=(turn, None),
        population=lambda name: z,
        key=lambda name: None,
        pairs=SimpleNamespace(examples_of=lambda population: population),
        views=lambda key, examples: examples,
        encoder=lambda output: lambda x: x,
        pair_codes=lambda: lambda variables, key, population, rows: (z, z @ turn),
        warn=pytest.fail,
    )


def test_codes_of_different_kinds_have_no_alignment():
    codes = np.random.default_rng(0).normal(size=(50, 4))
    with_pairs, without = health_summary(codes, codes, codes), health_summary(codes, None, codes)
    assert with_pairs.keys() - without.keys() == {"health/alignment"}
    assert with_pairs["health/alignment"] == 0
    assert without["health/feature_dim"] == 4


def test_health_has_a_row_for_each_figure_that_is_there():
    (group,) = Health().groups({"health/effective_rank": 12.34, "health/feature_dim": 256, "loss": 1.0})
    assert [row[1] for row in group.rows] == ["12.3", "256"]
    assert "loss" not in group.keys


def test_a_sorted_split_is_sampled_from_all_of_it():
    directions = np.repeat(np.eye(4, dtype=np.float32), 50, axis=0)  # of the first quarter one is used
    trained = of_codes(SimpleNamespace(halves_are_alike=False), directions, None)
    assert Health(num_pairs=50).evaluate(trained)["health/effective_rank"] > 3.5


def test_alignment_is_of_the_codes_as_the_critic_compares_them():
    z, turn = codes(64), np.eye(4)[[1, 2, 3, 0]].astype(np.float32)
    z = np.pad(z, [(0, 0), (0, 4 - z.shape[1])]) if z.shape[1] < 4 else z[:, :4]
    method = SimpleNamespace(halves_are_alike=True, compared=lambda params, z_x, z_y: (z_x @ params, z_y))
    summary = Health(num_pairs=64).evaluate(of_codes(method, z, turn))
    assert alignment(z, z @ turn) > 1
    assert summary["health/alignment"] == pytest.approx(0, abs=1e-5)
