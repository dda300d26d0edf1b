"""What was found, what is used, what is left out and why: filled in by the readers of a source, and reported once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

_NAMED = 3  # names of examples left out that a line shows, for each reason


class LeftOut(NamedTuple):
    """What is left out for one reason: how many, and the first few names."""

    count: int = 0
    names: tuple[str, ...] = ()

    @property
    def named(self) -> str:
        """The names, and whether there are more."""
        return ", ".join(self.names) + (", …" if self.count > len(self.names) else "")


@dataclass
class Account:
    """What a source has, what is used of it, and what is left out and why.

    >>> account = Account("images", found=5)
    >>> account.leave_out("cannot be decoded", ["a.png", "b.png"])
    >>> account.lines()
    ['data: 3 of 5 images are used; left out: 2 cannot be decoded (a.png, b.png)']
    >>> account.summary()
    {'data/found': 5, 'data/used': 3, 'data/left_out/cannot_be_decoded': 2}

    Attributes:
        unit: what is counted, in the plural, such as "images" or "films".
        found: how many the source has.
        left_out: by reason, a few words that follow a number, such as "cannot be decoded".
        notes: what is assumed or altered, such as rescaled values: one line each, with its count.
        facts: what the user may check, such as `size`: last part of a key of summary.json → number or text.
    """

    unit: str = "examples"
    found: int = 0
    left_out: dict[str, LeftOut] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def used(self) -> int:
        """How many are neither left out nor lost."""
        return self.found - sum(left.count for left in self.left_out.values())

    def leave_out(self, reason: str, names: Sequence[str]) -> None:
        """Counts what is left out, by name; an empty sequence counts nothing."""
        if names:
            self._add(reason, LeftOut(len(names), tuple(names[:_NAMED])))

    def note(self, line: str) -> None:
        """Adds a line about what is assumed or altered, unless it is there already."""
        if line not in self.notes:
            self.notes.append(line)

    def lines(self) -> list[str]:
        """The account for the terminal: what is used and left out, the facts, and the notes, one line each."""
        count = f"{self.used:,} of {self.found:,}" if self.left_out else f"{self.used:,}"
        used = f"{count} {self.unit}{' are used' if self.left_out else ''}"
        left = "; ".join(f"{one.count:,} {reason} ({one.named})" for reason, one in self.left_out.items())
        facts = ", ".join(f"{name.replace('_', ' ')} {_written(value)}" for name, value in self.facts.items())
        first = "; ".join(part for part in (used, facts, left and f"left out: {left}") if part)
        return [f"data: {first}", *(f"data: {note}" for note in self.notes)]

    def summary(self) -> dict[str, Any]:
        """The entries of summary.json."""
        left_out = {f"data/left_out/{_as_key(reason)}": left.count for reason, left in self.left_out.items()}
        facts = {f"data/{name}": value for name, value in self.facts.items()}
        notes = {"data/notes": "; ".join(self.notes)} if self.notes else {}
        return {"data/found": self.found, "data/used": self.used} | left_out | facts | notes

    def merge(self, other: "Account") -> None:
        """Adds what is left out, the notes and the facts of another account of the same source."""
        for reason, left in other.left_out.items():
            self._add(reason, left)
        for line in other.notes:
            self.note(line)
        self.facts |= other.facts

    def _add(self, reason: str, more: LeftOut) -> None:
        before = self.left_out.get(reason, LeftOut())
        self.left_out[reason] = LeftOut(before.count + more.count, (*before.names, *more.names)[:_NAMED])


def class_counts(labels: Any, class_names: Sequence[str] | None = None, most: int = 10) -> str:
    """How many examples each class has, largest first, as text; hidden labels (−1) last.

    >>> class_counts([0, 1, 1, -1], ["ant", "bee"])
    'bee: 2, ant: 1, hidden: 1'
    """
    counts = dict(zip(*map(np.ndarray.tolist, np.unique(labels, return_counts=True)), strict=True))
    hidden = counts.pop(-1, 0)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{class_names[label] if class_names else label}: {count:,}" for label, count in ordered[:most]]
    rest = [f"{len(ordered) - most:,} more classes"] if len(ordered) > most else []
    return ", ".join([*shown, *rest, *([f"hidden: {hidden:,}"] if hidden else [])])


def _written(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _as_key(reason: str) -> str:
    """A reason as the end of a key: without spaces and slashes."""
    return "_".join("".join(c if c.isalnum() else " " for c in reason).split())
