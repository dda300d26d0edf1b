"""Typed options: each rule tells what it refuses, and what a kind reads is what the config says."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pytest

from mi_coding.errors import InputError
from mi_coding.options import (
    Each,
    NotNegativeInt,
    OneOf,
    Positive,
    Probability,
    Range,
    check_options,
    group,
    option,
    options_of,
    read,
    values_of,
)


@dataclass(frozen=True)
class Inner:
    rate: Probability = option("inner.rate", 0.5, "a share")


@dataclass(frozen=True)
class Kind:
    size: NotNegativeInt = option("size", meaning="how large")
    scale: Positive = option("scale", 1.0, "what is divided by")
    name: Annotated[str, OneOf(("relu", "smelu"))] = option("name", "relu", "which")
    flag: bool = option("flag", False, "whether")
    widths: Annotated[tuple, Each(int, Range(above=0), "(8, 16)")] = option("widths", (8,), "of layers")
    prices: Annotated[tuple, Each(float, Range(least=0), "(0.0, 0.5)", empty=True)] = option("prices", (), "of codes")
    decay: Annotated[float, Range(least=0, below=1)] = option("decay", 0.0, "of an average")
    inner: Inner = group(Inner)
    plain: int = 7


def test_values_of_the_config_are_read_and_others_take_their_defaults():
    kind = read(Kind, {"size": 3, "scale": 2, "widths": [4, 5], "inner.rate": 1, "unrelated": "x"}, plain=8)
    assert kind == Kind(3, 2.0, "relu", False, (4, 5), (), 0.0, Inner(1.0), 8)
    assert isinstance(kind.scale, float)
    of_numpy = read(Kind, {"size": np.int64(3), "scale": np.float32(2)}, plain=8)
    assert (of_numpy.size, type(of_numpy.size), type(of_numpy.scale)) == (3, int, float)
    assert values_of(kind)["inner.rate"] == 1.0
    assert [spec.key for spec in options_of(Kind)] == [*values_of(kind)]
    assert "plain" not in values_of(kind)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"size": -1}, "config.size=-1; expected a number ≥ 0"),
        ({"size": 2.5}, "config.size=2.5; expected a whole number"),
        ({"size": True}, "config.size=True; expected a whole number"),
        ({"size": 2**31}, "config.size=2147483648; expected at most 2,147,483,647"),
        ({"scale": 0.0}, "config.scale=0.0; expected a number > 0"),
        ({"scale": float("nan")}, "config.scale=nan; expected a finite number"),
        ({"scale": float("inf")}, "config.scale=inf; expected a finite number"),
        ({"scale": "wide"}, "config.scale='wide'; expected a number"),
        ({"name": "smeluu"}, "config.name='smeluu' is unknown; expected one of relu, smelu; did you mean 'smelu'?"),
        ({"name": 3}, "config.name=3; expected text"),
        ({"flag": 1}, "config.flag=1; expected True or False"),
        ({"widths": ()}, "config.widths=(); expected whole numbers > 0, such as (8, 16)"),
        ({"widths": (8, 0)}, "config.widths=(8, 0); expected whole numbers > 0, such as (8, 16)"),
        ({"widths": (True,)}, "config.widths=(True,); expected whole numbers > 0, such as (8, 16)"),
        ({"widths": 8}, "config.widths=8; expected a tuple"),
        ({"prices": (0.5, -1.0)}, "config.prices=(0.5, -1.0); expected numbers ≥ 0, such as (0.0, 0.5)"),
        ({"decay": 1.0}, "config.decay=1.0; expected less than 1"),
        ({"inner.rate": 1.5}, "config.inner.rate=1.5; expected at most 1"),
    ],
)
def test_a_value_out_of_its_range_names_the_option_and_what_is_expected(value, words):
    with pytest.raises(InputError) as error:
        read(Kind, {"size": 1} | value)
    assert str(error.value) == words


def test_a_missing_option_without_a_default_is_named_with_its_meaning():
    with pytest.raises(InputError, match=r"config\.size is missing in the config; it is how large, int ≥ 0"):
        read(Kind, {})


def test_objects_made_without_a_config_are_checked_alike():
    check_options(Kind(1))
    with pytest.raises(InputError, match=r"config\.scale=-1\.0"):
        check_options(Kind(1, scale=-1.0))


def test_a_name_that_is_added_to_a_table_later_is_known():
    table = {"one": 1}
    rule = OneOf(table)
    assert rule.complaint("two")
    table["two"] = 2
    assert rule.complaint("two") == ""
    assert str(rule) == "one of one, two"
