import math

import pytest

from mi_coding.evaluation import EVALUATORS
from mi_coding.reporting import results
from mi_coding.reporting.results import Group, Tile, collect_tiles, group_rows

ALL = [kind() for kind in EVALUATORS.values()]


def group_results(summary, evaluators=ALL):
    return results.group_results(summary, evaluators)


class OneKey:
    """Stands where an evaluator would, and knows one key."""

    def __init__(self, key):
        self.key = key

    def groups(self, summary):
        return [group_rows(f"of {self.key}", summary, {self.key: ("row", "{:.1f}".format)}, note="how")]

    def tiles(self, summary):
        return [Tile(self.key, str(summary[self.key]))] if self.key in summary else []


def test_groups_of_evaluators_come_first_and_training_before_the_rest():
    summary = {"x": 1, "train/steps": 7, "b": 2.0, "a": 1.0}
    groups = group_results(summary, [OneKey("a"), OneKey("b"), OneKey("c")])
    assert [group.title for group in groups] == ["of a", "of b", "training", "other results"]
    assert groups[0] == Group("of a", ("", ""), (("row", "1.0"),), "how", frozenset({"a"}))
    assert groups[-1].rows == (("x", "1"),)
    assert collect_tiles(summary, [OneKey("b"), OneKey("c"), OneKey("a")]) == [Tile("b", "2.0"), Tile("a", "1.0")]


def test_every_key_is_shown_exactly_once(summary):
    for key in summary:
        summary[key] = f"<{key}>"  # text is shown as it is, so that each key can be followed
    shown = repr(group_results(summary))
    assert {key: shown.count(f"<{key}>") for key in summary} == dict.fromkeys(summary, 1)


def test_fewer_test_examples_than_candidates_are_said(summary):
    for count, said in ((397, False), (396, True), (0, False), (None, False)):
        bound, *_ = group_results(summary | {"heldout/num_examples": count})
        assert ("drawn from 396 test examples, fewer than 397 candidates" in bound.note) == said
        assert ("ln 396 = 5.98 nats" in bound.note) == said


def test_groups_come_in_order_and_vanish_with_their_keys(summary):
    assert [group.title for group in group_results(summary)] == [
        "held-out bound on mutual information",
        "label of a test example, from all training labels",
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


def test_a_number_is_finite_or_none():
    summary = {"x": 0.5, "y": math.nan, "z": None, "text": "0.5"}
    assert [results.finite(summary, key) for key in (*summary, "absent")] == [0.5, None, None, None, None]


@pytest.mark.parametrize(("value", "shown"), [(1000, "1,000"), (0.123456, "0.1235"), (True, "True"), ("x", "x")])
def test_a_value_of_unknown_meaning_is_shown_in_short(value, shown):
    assert results.show({"key": value}, "key") == shown
