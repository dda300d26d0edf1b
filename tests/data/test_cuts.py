"""Cutting a split off another: nothing lost, nothing twice, every class with its share."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mi_coding.data.account import Account
from mi_coding.data.cuts import check_counts, cut, groups_by_name
from mi_coding.errors import InputError


@given(st.lists(st.integers(0, 6), max_size=60), st.sampled_from([(), (0.1,), (0.2, 0.1)]))
def test_every_example_is_in_one_part_and_the_rest_has_every_class(classes, shares):
    labels = np.array(classes, int)
    parts = cut(labels, len(labels), shares)
    assert len(parts) == len(shares) + 1
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(labels)))
    assert set(labels[parts[-1]]) == set(classes)


def test_parts_are_stratified_by_class():
    labels = np.random.default_rng(0).permutation(np.repeat([3, 0, 7], [500, 90, 10]))
    test, validation, train = cut(labels, 600, (0.2, 0.1))
    assert [np.sum(labels[part] == 3) for part in (train, validation, test)] == [350, 50, 100]
    assert [np.sum(labels[part] == 0) for part in (train, validation, test)] == [63, 9, 18]
    assert [np.sum(labels[part] == 7) for part in (train, validation, test)] == [7, 1, 2]


def test_a_tenth_of_a_thousand_classes_of_four_is_a_tenth():
    validation, rest = cut(np.repeat(np.arange(1000), 4), 4000, (0.1,))
    assert (len(validation), len(rest)) == (400, 3600)


def test_a_part_has_at_least_two_examples():
    assert [len(part) for part in cut(None, 6, (0.2, 0.1))] == [2, 2, 2]
    assert [len(part) for part in cut(np.array([0, 0, 0, 1, 1, 1]), 6, (0.1,))] == [2, 4]


def test_a_cut_is_deterministic_and_shuffled():
    first, second = cut(None, 50, (0.1,)), cut(None, 50, (0.1,))
    for one, other in zip(first, second, strict=True):
        assert one.tolist() == other.tolist() != sorted(one.tolist())


def test_splits_of_one_example_are_refused():
    with pytest.raises(InputError, match="photos has too few examples: 5, 1, 3 to train"):
        check_counts("photos", [5, 1, 3])


GROUPS = np.repeat(np.arange(60), np.arange(60) % 4 + 1)


def test_groups_are_never_cut_and_parts_have_about_their_share_of_them():
    labels = GROUPS % 3
    parts = cut(labels, len(GROUPS), (0.2, 0.1), GROUPS)
    found = [set(GROUPS[part].tolist()) for part in parts]
    assert sum(map(len, found)) == 60  # no group is in two parts
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(GROUPS)))
    assert [len(groups) for groups in found] == [12, 6, 42]
    assert [np.bincount(np.unique(GROUPS[part]) % 3).tolist() for part in parts] == [[4] * 3, [2] * 3, [14] * 3]


def test_the_class_of_a_group_is_that_of_most_of_its_examples():
    groups = np.repeat(np.arange(40), 5)
    labels = np.where(np.arange(200) % 5 < 3, groups % 2, 1 - groups % 2)
    test, *_ = cut(labels, 200, (0.2, 0.1), groups)
    assert np.bincount(np.unique(groups[test]) % 2).tolist() == [4, 4]


def test_names_are_grouped_by_what_a_pattern_matches_in_them():
    account = Account()
    names = ["s1/a.png", "s2/a.png", "s1/b.png", "x/1.png", "y/2.png"]
    assert groups_by_name(names, r"s(\d)/", account).tolist() == [0, 1, 0, 2, 3]
    assert account.notes == [
        "2 names such as x/1.png do not match data.group: each is a group of its own",
        "4 groups of up to 2 examples, each in one split",
    ]
    assert groups_by_name(names, "", account) is None
    wrong = (("s(", "is not a regular expression: "), ("nowhere", "matches none of the names, such as s1/a.png"))
    for pattern, words in wrong:
        with pytest.raises(InputError, match=re.escape(words)):
            groups_by_name(names, pattern, account)
