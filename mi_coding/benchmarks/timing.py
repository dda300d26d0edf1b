"""How the benchmarks time: programs take turns, so that a busy neighbour slows all of them alike."""

import statistics
import time
from collections.abc import Callable


def take_turns(runs: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Seconds of every run by name, in the order of turns; the first of each, which may compile, is not counted."""
    seconds = {name: [] for name in runs}
    for turn in range(repeats + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def median_seconds(runs: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """The medians of `take_turns`."""
    return {name: statistics.median(values) for name, values in take_turns(runs, repeats).items()}
