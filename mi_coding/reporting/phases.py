"""Where the time of a run goes, by the clock of its host."""

import time
from collections.abc import Callable
from typing import Any


class Phases:
    """Seconds that each named phase has taken so far.

    >>> phases = Phases()
    >>> phases.timed("log", print)("step 1")
    step 1
    >>> list(phases.seconds), phases.seconds["log"] > 0
    (['log'], True)
    """

    def __init__(self):
        self.seconds: dict[str, float] = {}

    def timed(self, name: str, call: Callable) -> Callable:
        """The same function, with its time counted towards this phase."""
        self.seconds.setdefault(name, 0.0)

        def timed_call(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                self.seconds[name] += time.perf_counter() - began

        return timed_call
