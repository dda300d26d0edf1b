"""How bounds are shown: rows, headline numbers, figures, and the warning of overfitting."""

import math

import numpy as np
import pytest
from figures import assert_texts_inside_and_apart, grown, texts

from mi_coding.evaluation.bound import BOUND, HeldoutBounds, bound_ahead, bound_over_training, overfitting_warning

LN_256 = math.log(256)


@pytest.fixture
def summary():
    """Bounds of two numbers of candidates for 11 steps ahead; every number differs, so that a mix-up shows."""
    summary = {}
    for prefix, share, n in (("heldout", 1.0, 256), ("heldout_largest", 1.125, 397)):
        summary[f"{prefix}/mi_lower_bound_nats"] = share * 4
        summary[f"{prefix}/num_candidates"] = n
        summary[f"{prefix}/mi_ceiling_nats"] = math.log(n)
        for k in range(1, 12):
            summary[f"{prefix}/mi_lower_bound_nats_ahead_{k}"] = share * (4 - k / 8)
            summary[f"{prefix}/mi_standard_error_nats_ahead_{k}"] = share * k / 100
            summary[f"{prefix}/accuracy_ahead_{k}"] = share / (k + 1)
    return summary


def test_each_number_of_steps_ahead_has_a_row_with_both_ceilings(summary):
    _, ahead = HeldoutBounds().groups(summary)
    assert ahead.title == "held-out bound for each number of steps ahead"
    assert ahead.columns == (
        "steps ahead",
        "N = 256, at most 5.545",
        "ranked first",
        "N = 397, at most 5.984",
        "ranked first",
    )
    assert ahead.rows[0] == ("1", "3.875 ± 0.010", "50.0 %", "4.359 ± 0.011", "56.2 %")
    assert [row[0] for row in ahead.rows] == [str(k) for k in range(1, 12)]


def test_every_key_of_a_bound_is_shown_exactly_once(summary):
    groups = HeldoutBounds().groups(summary)
    assert frozenset().union(*(group.keys for group in groups)) >= summary.keys()
    named = repr([group._replace(keys=()) for group in HeldoutBounds().groups({key: f"<{key}>" for key in summary})])
    assert {named.count(f"<{key}>") for key in summary if "_ahead_" in key} == {1}


def test_a_bound_says_whose_moments_its_distractors_are_and_of_which_encoder_it_is():
    summary = {
        f"{prefix}/{key}": 1.0
        for prefix in ("heldout", "heldout_across", "heldout_within", "heldout_untrained")
        for key in ("mi_lower_bound_nats", "num_candidates")
    }
    group, _ = HeldoutBounds().groups(summary)
    assert [row[0] for row in group.rows] == [
        "N = 1",
        "N = 1, distractors of all films",
        "N = 1, distractors of the same film",
        "N = 1, untrained encoder",
    ]


@pytest.mark.parametrize(
    ("bounds", "warned"),
    [([1.0, 1.7, 1.5], False), ([1.0, 1.7, 1.4], True), ([0.05, 0.12, 0.01], False), ([2.0], False)],
    ids=["within noise", "fallen", "small", "one value"],
)
def test_a_bound_that_falls_by_more_than_noise_is_overfitting(bounds, warned):
    curve = np.arange(1, 1 + len(bounds)), np.array(bounds)
    warning = overfitting_warning({BOUND: curve})
    assert bool(warning) == warned
    assert not warned or "memorised (overfitting)" in warning
    assert overfitting_warning({"train/mi_lower_bound_nats": curve}) is None


@pytest.mark.parametrize("num_candidates", [2, 256, 65536])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.999])
def test_bound_and_ceiling_carry_labels_that_never_touch(num_candidates, share):
    ceiling, steps = math.log(num_candidates), np.arange(1, 1001)
    bounds = grown(steps, to=share * ceiling)
    validation = (steps[::100], bounds[::100])
    figure = bound_over_training((steps, bounds), validation, num_candidates)
    assert_texts_inside_and_apart(figure)
    shown = texts(figure)
    assert f"ceiling ln {num_candidates:,} = {ceiling:.2f}" in shown
    assert f"train {bounds[-1]:.2f}" in shown
    assert f"validation {validation[1][-1]:.2f}" in shown


def test_a_validation_bound_below_zero_is_inside_the_axes():
    steps = np.arange(4)
    figure = bound_over_training((steps, np.linspace(0, 3, 4)), (steps, np.array([0.0, 1.0, -1.0, -3.0])), 256)
    assert figure.axes[0].get_ylim()[0] < -3


@pytest.mark.parametrize("bounds", [[], [0.5], [0.5, math.nan], [-40.0, 1.0, 5.0]])
def test_a_run_of_any_length_has_a_picture_that_holds_its_ceiling(bounds):
    figure = bound_over_training((np.arange(len(bounds)), np.array(bounds)), None, 256)
    low, high = figure.axes[0].get_ylim()
    assert -LN_256 * 1.06 < low <= 0
    assert high > LN_256
    assert_texts_inside_and_apart(figure)


def test_bounds_against_steps_ahead_show_values_errors_and_the_ceiling():
    few, many = (np.array([2.5, 1.25, -0.5]), np.array([0.02, 0.03, 0.04])), (np.array([2.75, 1.5, -0.25]), np.zeros(3))
    figure = bound_ahead({256: few, 397: many})
    (axes,) = figure.axes
    drawn = [line for line in axes.lines if len(line.get_xdata()) == 3]
    for line, (values, _) in zip([line for line in drawn if line.get_marker() == "o"], (few, many), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3])
        np.testing.assert_array_equal(line.get_ydata(), values)
    ends = sorted(float(y) for line in drawn if line.get_marker() != "o" for y in line.get_ydata())
    expected = [
        v + sign * 2 * e
        for values, errors in (few, many)
        for v, e in zip(values, errors, strict=True)
        for sign in (1, -1)
    ]
    np.testing.assert_allclose(ends, sorted(expected))
    assert f"ceiling ln 256 = {LN_256:.2f}" in texts(figure)
    assert_texts_inside_and_apart(figure)
    with pytest.raises(ValueError, match="bounds is empty"):
        bound_ahead({})
