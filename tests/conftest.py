"""Eight virtual devices on one CPU, set before anything imports JAX, and finished runs that all workers share."""

import gc
import os
import signal
from collections import Counter

from virtual_devices import xla_flags

os.environ["XLA_FLAGS"] = xla_flags(num_devices=8)
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# With jaxlib 0.10.2, 5 of 12 programs for many virtual devices deadlocked in a collective after they were read back
# from the compilation cache; of those that were compiled, none.
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"

from finished_runs import finished_runs  # noqa: F401, a fixture

# A shell that starts the tests in the background has them ignore Ctrl-C, which some of them raise.
signal.signal(signal.SIGINT, signal.default_int_handler)

LONGEST = (
    "test_estimate",
    "test_configs",
    "test_examples",
    "test_fit",
    "test_density_ratio",
    "test_arrays",
    "test_every_method",
    "test_export",
    "test_film_runs",
    "test_estimate_command",
    "test_simclr",
    "test_cotraining_command",
    "test_main",
)
"""Files of half a minute and more, the longest first."""


def pytest_collection_modifyitems(items):
    """The longest files come first: last they would leave one core idle. Then those of few tests, which are long."""
    tests = Counter(item.path for item in items)
    rank = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: (rank.get(item.path.stem, len(LONGEST)), tests[item.path]))


def pytest_collection_finish():
    """What was imported by now stays: looking through it again and again took 5 % of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
