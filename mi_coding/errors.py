"""Errors, above all those that the user can correct, and how they name the option that they are about."""

import difflib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

NO_VALUE = ...  # of a `Setting` without a value; a singleton even after pickling


class Setting(NamedTuple):
    """An option inside the message of an `InputError`, which each command spells as its users type it.

    >>> str(Setting("data.source", "digit")), str(Setting("seed")), str(Setting("data.image_size", 64, flag=True))
    ("config.data.source='digit'", 'config.seed', '--config.data.image_size=64')

    Attributes:
        key: dotted key of a config, such as "data.source".
        value: the value that was given or is proposed; without it, only the option is named.
        flag: whether it is a proposal, written as it would be typed on the command line.
    """

    key: str
    value: Any = NO_VALUE
    flag: bool = False

    def __str__(self) -> str:
        return self.spelled(f"{'--' if self.flag else ''}config.{self.key}")

    def spelled(self, name: str) -> str:
        """The option under the name that a command has for it, with its value."""
        if self.value is NO_VALUE:
            return name
        return f"{name}={self.value}" if self.flag else f"{name}={self.value!r}"


class InputError(ValueError):
    """A mistake in a command, a config or its data: one line with what was given, what was expected and what to do.

    A command prints the line on stderr and exits with code 2, without a traceback.

    >>> error = InputError(Setting("data.source", "digit"), " is unknown; expected one of digits, folder")
    >>> print(error)
    config.data.source='digit' is unknown; expected one of digits, folder
    >>> print(error.spelled(lambda setting: setting.spelled("--source")))
    --source='digit' is unknown; expected one of digits, folder

    Args:
        parts: text and the options it is about, in the order of the message.
    """

    def __init__(self, *parts: str | Setting):
        super().__init__("".join(map(str, parts)))
        self.parts = parts

    def spelled(self, spell: Callable[[Setting], str]) -> str:
        """The message with its options as a command spells them."""
        return "".join(spell(part) if isinstance(part, Setting) else part for part in self.parts)


@contextmanager
def respelled(spell: Callable[[Setting], str]) -> Iterator[None]:
    """A context whose `InputError`s name their options by `spell`, see `InputError.spelled`."""
    try:
        yield
    except InputError as error:
        raise InputError(error.spelled(spell)) from None


def nearest(name: str, names: Sequence[str]) -> list[str]:
    """The names that an unknown one may have been meant to be, the likeliest first: equal, with that word, spelt alike.

    >>> nearest("size", ["workdir", "image_size"]), nearest("layers", ["workdir", "layer"]), nearest("x", ["layer"])
    (['image_size'], ['layer'], [])
    """
    with_word = [one for one in names if one == name] + [one for one in names if name in one.split("_")]
    return with_word + difflib.get_close_matches(name, names, n=1)


class NonFiniteLossError(ArithmeticError):
    """The loss became infinite or NaN; the last good checkpoint is kept and the process exits with code 1."""


class AgreedError(InputError):
    """An `InputError` raised in all processes of a run; its message is empty in all but the one that prints it."""


class SaveError(RuntimeError):
    """A checkpoint could not be written, such as on a full disk; the last one is kept and the process exits with 1."""


class PeersUnavailableError(RuntimeError):
    """The other processes are unreachable, perhaps for now: the process exits with code 1, and a scheduler retries."""
