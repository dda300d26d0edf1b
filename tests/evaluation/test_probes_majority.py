"""A probe that only names the largest class says so."""

from types import SimpleNamespace

import pytest

from mi_coding.evaluation.probes import LabelProbes, _warn_of_majority


@pytest.mark.parametrize(("accuracy", "warned"), [(0.8, True), (0.75, True), (0.83, True), (0.95, False)])
def test_an_accuracy_like_the_share_of_the_largest_class_is_warned_of(accuracy, warned):
    told = []
    _warn_of_majority(SimpleNamespace(warn=told.append), accuracy, 0.8, 100)
    assert bool(told) == warned
    assert all("the largest class has 80.0% of the examples" in line for line in told)


def test_the_share_of_the_largest_class_stands_below_the_probes():
    summary = {"probe/linear_accuracy": 0.9, "probe/knn_accuracy": 0.8, "probe/largest_class_share": 0.6}
    (group,) = LabelProbes().groups(summary)
    assert group.rows[-1] == ("the largest class alone", "60.0 %", "60.0 %")
