import math

from mi_coding.reporting.results import group_results


def test_every_key_is_shown_exactly_once(summary):
    for key in summary:
        summary[key] = f"<{key}>"  # text is shown as it is, so that each key can be followed
    shown = repr(group_results(summary))
    assert {key: shown.count(f"<{key}>") for key in summary} == dict.fromkeys(summary, 1)


def test_groups_come_in_order_and_vanish_with_their_keys(summary):
    assert [group.title for group in group_results(summary)] == [
        "held-out bound on mutual information",
        "label from one example",
        "training",
    ]
    unlabelled = {key: value for key, value in summary.items() if not key.startswith("probe/")}
    assert [len(group.rows) for group in group_results(unlabelled)] == [2, 5]
    assert group_results({}) == []


def test_a_key_whose_group_is_absent_stands_among_the_others():
    (group,) = group_results({"heldout/accuracy": 0.5, "probe/regulariser": 0.01, "heldout/entropy_nats": 3.25})
    assert group.title == "other results"
    assert [row[0] for row in group.rows] == ["heldout/accuracy", "probe/regulariser", "heldout/entropy_nats"]


def test_a_number_that_was_not_finite_is_a_dash():
    bound, others = group_results({"heldout/mi_lower_bound_nats": None, "x": math.nan, "y": math.inf})
    assert bound.rows[0][1] == "—"
    assert [row[1] for row in others.rows] == ["—", "—"]


def test_top_five_stands_under_the_trained_encoder_and_health_in_a_group_of_its_own():
    probe = {"probe/linear_accuracy": 0.5, "probe/linear_top5_accuracy": 0.9, "probe/random_encoder_accuracy": 0.25}
    probes, health = group_results(probe | {"health/effective_rank": 12.34, "health/feature_dim": 256})
    assert [row[:2] for row in probes.rows] == [
        ("trained encoder", "50.0 %"),
        ("  among its first five", "90.0 %"),
        ("untrained encoder", "25.0 %"),
    ]
    assert "Frozen features before the head" in probes.note
    assert [row[1] for row in health.rows] == ["12.3", "256"]


def with_steps_ahead(summary):
    for prefix, share in (("heldout", 1.0), ("heldout_largest", 1.125)):
        for k in range(1, 12):
            summary[f"{prefix}/mi_lower_bound_nats_ahead_{k}"] = share * (4 - k / 8)
            summary[f"{prefix}/mi_standard_error_nats_ahead_{k}"] = share * k / 100
            summary[f"{prefix}/accuracy_ahead_{k}"] = share / (k + 1)
    return summary


def test_the_bound_of_each_number_of_steps_ahead_has_a_row_in_order_with_both_ceilings(summary):
    groups = {group.title: group for group in group_results(with_steps_ahead(summary))}
    ahead = groups["held-out bound for each number of steps ahead"]
    assert ahead.columns == (
        "steps ahead",
        "N = 256, at most 5.545",
        "ranked first",
        "N = 397, at most 5.984",
        "ranked first",
    )
    assert ahead.rows[0] == ("1", "3.875 ± 0.010", "50.0 %", "4.359 ± 0.011", "56.2 %")
    assert [row[0] for row in ahead.rows] == [str(k) for k in range(1, 12)]
    assert "other results" not in groups
    named = repr(group_results({key: f"<{key}>" for key in summary}))
    assert {named.count(f"<{key}>") for key in summary if "_ahead_" in key} == {1}


def test_a_bound_says_whose_moments_its_distractors_are():
    summary = {
        f"{prefix}/{key}": 1.0
        for prefix in ("heldout", "heldout_across", "heldout_within")
        for key in ("mi_lower_bound_nats", "num_candidates")
    }
    (group,) = group_results(summary)
    assert [row[0] for row in group.rows] == [
        "N = 1",
        "N = 1, distractors of all films",
        "N = 1, distractors of the same film",
    ]
