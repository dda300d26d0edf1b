import math

import numpy as np
import pytest

from mi_coding.evaluation.health import alignment, effective_rank, uniformity

RNG = np.random.default_rng(0)


def lopsided(n=40, dims=5):
    return RNG.normal(size=(n, dims)) * np.arange(1, dims + 1) + 0.3


def turned(codes):
    """The same codes in a coordinate system turned at random."""
    return codes @ np.linalg.qr(RNG.normal(size=(codes.shape[1],) * 2))[0]


def directions(codes):
    return [row / math.sqrt(sum(v * v for v in row)) for row in codes]


def test_alignment_is_that_of_a_loop():
    z_x, z_y = lopsided(), lopsided()
    expected = np.mean([sum((a - b) ** 2) for a, b in zip(directions(z_x), directions(z_y), strict=True)])
    assert alignment(z_x, z_y) == pytest.approx(expected, rel=1e-5)
    assert alignment(z_x, 7 * z_x) == pytest.approx(0, abs=1e-6)
    assert alignment(z_x, -z_x) == pytest.approx(4, rel=1e-5)


def test_uniformity_is_that_of_a_loop_over_pairs_of_different_examples():
    z = lopsided(30)
    unit = directions(z)
    kernel = [math.exp(-2 * sum((a - b) ** 2)) for i, a in enumerate(unit) for j, b in enumerate(unit) if i != j]
    assert uniformity(z) == pytest.approx(math.log(np.mean(kernel)), rel=1e-5)


def test_uniformity_of_many_codes_is_taken_in_parts_and_of_more_from_a_sample():
    z = lopsided(2100)
    assert uniformity(z, most=10_000) == pytest.approx(uniformity(z[RNG.permutation(2100)]), rel=1e-5)
    assert uniformity(z, most=900) == pytest.approx(uniformity(z), abs=0.1)


def test_a_collapse_has_its_values():
    collapsed = np.tile([[1.0, 2.0, 3.0]], (20, 1))
    assert alignment(collapsed, collapsed) == 0
    assert uniformity(collapsed) == pytest.approx(0, abs=1e-5)
    assert effective_rank(collapsed) == pytest.approx(1)


def test_effective_rank_counts_directions_that_are_used_alike_and_is_blind_to_scale():
    assert effective_rank(100 * np.eye(9)[:, :4]) == pytest.approx(4)
    values = np.array([3.0, 2.0, 1.0])
    expected = math.exp(-sum(v / 6 * math.log(v / 6) for v in values))
    assert effective_rank(np.diag(values)) == pytest.approx(expected)
    assert effective_rank(np.zeros((5, 3))) == 1


def test_a_turn_of_the_axes_changes_nothing():
    z, other = lopsided(), lopsided()
    both = turned(np.concatenate([z, other]))
    assert alignment(both[:40], both[40:]) == pytest.approx(alignment(z, other), rel=1e-4)
    assert uniformity(both[:40]) == pytest.approx(uniformity(z), rel=1e-4)
    assert effective_rank(both[:40]) == pytest.approx(effective_rank(z), rel=1e-6)


def test_codes_that_cannot_be_judged_are_told():
    good, bad = np.ones((3, 2)), np.full((3, 2), np.nan)
    for figure in (uniformity, effective_rank, lambda z: alignment(z, z)):
        for wrong, words in ((np.ones(3), "n at least 2"), (np.ones((1, 2)), "n at least 2"), (bad, "finite")):
            with pytest.raises(ValueError, match=words):
                figure(wrong)
    with pytest.raises(ValueError, match="one shape"):
        alignment(good, good[:, :1])
    with pytest.raises(ValueError, match="at least 2"):
        uniformity(good, most=1)
