"""How many examples of a source may be unreadable."""

from collections.abc import Callable, Sequence

from mi_coding.errors import InputError

MAX_UNREADABLE = 0.1  # share of examples that may be unreadable; with more the data count as broken


def check_readable(
    unreadable: Sequence[str], total: int, warn: Callable[[str], None] = lambda line: None, *, what: str = "images"
) -> None:
    """Warns of files that cannot be decoded; raises InputError where they are too many: one rule for all readers."""
    if not unreadable:
        return
    named = ", ".join(unreadable[:3]) + (", …" if len(unreadable) > 3 else "")
    message = f"{len(unreadable):,} of {total:,} {what} cannot be decoded: {named}"
    if len(unreadable) > MAX_UNREADABLE * total:
        share = f"{len(unreadable) / total:.1%}, more than {MAX_UNREADABLE:.0%}"
        raise InputError(f"{message}; that is {share}: repair or remove these files")
    warn(f"{message}; left out")
