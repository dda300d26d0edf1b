"""Where the time of a run goes, by the clock of its host."""

import time
from collections.abc import Callable, Mapping
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Phases:
    """Seconds that each named phase has taken.

    >>> phases = Phases()
    >>> phases.timed("log", print)("step 1")
    step 1
    >>> list(phases.seconds), phases.seconds["log"] > 0
    (['log'], True)
    """

    def __init__(self):
        self._seconds: dict[str, float] = {}

    def timed(self, name: str, call: Callable[_P, _T]) -> Callable[_P, _T]:
        """The same function, whose time counts as this phase."""
        self._seconds.setdefault(name, 0.0)

        def timed_call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
            began = time.perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                self._seconds[name] += time.perf_counter() - began

        return timed_call

    @property
    def seconds(self) -> Mapping[str, float]:
        """Phase → seconds so far."""
        return dict(self._seconds)
