"""Typed options: fields of a dataclass that are read from a config by their dotted keys.

A kind of pairs, an encoder, a method or an evaluation declares its options as fields; `read` checks the values of a
config and makes the object. No other file knows which keys it has.

>>> @dataclass(frozen=True)
... class Critic:
...     temperature: Positive = option("critic.temperature", 0.1, "divides the scores")
>>> read(Critic, {"critic.temperature": 0.5})
Critic(temperature=0.5)
>>> read(Critic, {"critic.temperature": -1.0})
Traceback (most recent call last):
mi_coding.errors.InputError: config.critic.temperature=-1.0; expected a number > 0
"""

import dataclasses
import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from numbers import Number
from typing import Annotated, Any, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

from mi_coding.errors import InputError, Setting

LARGEST_COUNT = 2**31 - 1  # devices count in int32

_T = TypeVar("_T")
_OPTION, _GROUP = "mi_coding option", "mi_coding options"
TYPES = {int: "a whole number", float: "a number", bool: "True or False", str: "text", tuple: "a tuple"}


@dataclass(frozen=True)
class Range:
    """The numbers that an option may have: finite, at least `least` or above `above`, at most `most`, below `below`."""

    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None

    def complaint(self, value: float) -> str:
        """What was expected instead of `value`; "" if nothing."""
        if not math.isfinite(value):
            return "; expected a finite number"
        if self.above is not None and not value > self.above:
            return f"; expected a number > {self.above:g}"
        if self.least is not None and value < self.least:
            return f"; expected a number ≥ {self.least:g}"
        most = LARGEST_COUNT if self.most is None and isinstance(value, int) else self.most
        if most is not None and value > most:
            return f"; expected at most {most:,}"
        return f"; expected less than {self.below:g}" if self.below is not None and value >= self.below else ""

    def __str__(self) -> str:
        limits = {">": self.above, "≥": self.least, "≤": self.most, "<": self.below}
        return ", ".join(f"{sign} {limit:,}" for sign, limit in limits.items() if limit is not None)


class OneOf:
    """The names that an option may have: the keys of a table, or a list."""

    def __init__(self, choices: Iterable[Any]):
        self.choices = choices  # kept by reference: keys that are added to a table later count, too

    def complaint(self, value: Any) -> str:
        """What was expected instead of `value`, with the nearest name; "" if nothing."""
        if value in self.choices:
            return ""
        near = difflib.get_close_matches(str(value), list(map(str, self.choices)), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return f" is unknown; expected {self}{hint}"

    def __str__(self) -> str:
        return f"one of {', '.join(map(str, self.choices))}"


@dataclass(frozen=True)
class Each:
    """The values that a tuple may hold: numbers of one type in one range."""

    of: type  # of a value, int or float
    range: Range  # of a value
    example: str  # of a tuple, for the message
    empty: bool = False  # whether the tuple may be empty

    def complaint(self, value: tuple) -> str:
        """What was expected instead of `value`; "" if nothing."""
        types = (int,) if self.of is int else (int, float)
        good = all(type(one) in types and not self.range.complaint(one) for one in value)
        return "" if good and (value or self.empty) else f"; expected {self}, such as {self.example}"

    def __str__(self) -> str:
        return f"{'whole numbers' if self.of is int else 'numbers'} {self.range}"


Positive = Annotated[float, Range(above=0)]
NotNegative = Annotated[float, Range(least=0)]
PositiveInt = Annotated[int, Range(above=0)]
NotNegativeInt = Annotated[int, Range(least=0)]
Probability = Annotated[float, Range(least=0, most=1)]


def option(key: str, default: Any = dataclasses.MISSING, meaning: str = "") -> Any:
    """A field of a dataclass that is an option of configs.

    Args:
        key: dotted, such as "critic.temperature".
        default: value for configs that do not have the key; without it, the key is required. None leaves the choice
            to the class, which makes it in `__post_init__`.
        meaning: one line for the user, with the unit.
    """
    return dataclasses.field(default=default, metadata={_OPTION: (key, meaning)})


def group(kind: type) -> Any:
    """A field that is itself a dataclass of options, all of which have defaults."""
    return dataclasses.field(default_factory=kind, metadata={_GROUP: kind})


class OptionSpec(NamedTuple):
    """One option of a kind."""

    key: str  # dotted, as in configs
    field: str  # name of the field of the kind
    type: type  # int, float, bool, str or tuple
    rule: Any  # what values are allowed beyond the type, an object with a method `complaint` like `Range`; None for all
    default: Any  # `dataclasses.MISSING` where there is none
    meaning: str  # one line for the user

    @property
    def type_name(self) -> str:
        """The type and the values allowed, for the user."""
        return f"{self.type.__name__} {self.rule}" if self.rule else self.type.__name__

    def checked(self, value: Any) -> Any:
        """The value in the option's own type; raises InputError, with what was expected, for an invalid one."""
        value = tuple(value) if self.type is tuple and isinstance(value, list) else value
        if isinstance(value, Number) and hasattr(value, "item"):  # of NumPy, as in a grid by np.arange
            value = value.item()
        types = (int, float) if self.type is float else self.type
        if not isinstance(value, types) or isinstance(value, bool) != (self.type is bool):  # True is an int
            raise InputError(Setting(self.key, value), f"; expected {TYPES[self.type]}")
        if complaint := self.rule.complaint(value) if self.rule else "":
            raise InputError(Setting(self.key, value), complaint)
        return float(value) if self.type is float else value


@cache
def own_options(kind: type) -> tuple[OptionSpec, ...]:
    """The options that are fields of a kind itself and not of its groups, in order."""
    hints = get_type_hints(kind, include_extras=True)
    return tuple(_spec(field, hints[field.name]) for field in dataclasses.fields(kind) if _OPTION in field.metadata)


def options_of(kind: type) -> tuple[OptionSpec, ...]:
    """All options of a kind, those of its groups included."""
    return own_options(kind) + tuple(spec for inner in _groups(kind).values() for spec in options_of(inner))


def _groups(kind: type) -> dict[str, type]:
    return {field.name: field.metadata[_GROUP] for field in dataclasses.fields(kind) if _GROUP in field.metadata}


def read(kind: Callable[..., _T], config: Mapping[str, Any], **parts: Any) -> _T:
    """An object of a kind with the options that a config has for it.

    Args:
        kind: a dataclass whose options are fields made by `option`.
        config: dotted key → value; keys that are not options of the kind are ignored.
        parts: values of other fields.
    Raises:
        InputError: for a key that is missing, a value of the wrong type or out of its range, or values that are
            incompatible.
    """
    for spec in own_options(kind):
        if spec.key in config:
            parts[spec.field] = spec.checked(config[spec.key])
        elif spec.default is dataclasses.MISSING:
            raise InputError(Setting(spec.key), f" is missing in the config; it is {spec.meaning}, {spec.type_name}")
    return kind(**parts, **{name: read(inner, config) for name, inner in _groups(kind).items()})


def check_options(instance: Any) -> None:
    """Raises InputError if an option of an object made without `read` has the wrong type or is out of range."""
    for spec in own_options(type(instance)):
        if (value := getattr(instance, spec.field)) is not None:
            spec.checked(value)


def values_of(instance: Any) -> dict[str, Any]:
    """Dotted key → value of all options of an object, those of its groups included."""
    values = {spec.key: getattr(instance, spec.field) for spec in own_options(type(instance))}
    for name in _groups(type(instance)):
        values |= values_of(getattr(instance, name))
    return values


def _spec(field: dataclasses.Field, hint: Any) -> OptionSpec:
    key, meaning = field.metadata[_OPTION]
    plain, rule = get_args(hint)[:2] if get_origin(hint) is Annotated else (hint, None)
    return OptionSpec(key, field.name, get_origin(plain) or plain, rule, field.default, meaning)
