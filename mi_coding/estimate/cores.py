"""Work on two threads: NumPy, SciPy and scikit-learn release the interpreter while they compute."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor


def on_both_cores(function: Callable, *arguments: Iterable) -> list:
    """The results of `map(function, *arguments)`, in its order, two at a time.

    >>> on_both_cores(pow, [2, 3], [5, 2])
    [32, 9]
    """
    with ThreadPoolExecutor(2) as both_cores:
        return list(both_cores.map(function, *arguments))
