"""Eight virtual devices on one CPU, set before anything imports JAX, and no program is compiled twice."""

import os
from collections import Counter

from compile_once import compile_once
from virtual_devices import xla_flags

os.environ["XLA_FLAGS"] = xla_flags(num_devices=8)
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# With jaxlib 0.10.2, 5 of 12 programs of many virtual devices that were read from the compilation cache stopped at a
# rendezvous that one device never came to; of those that were compiled, none.
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"

from jax._src import compiler

compiler.compile_or_get_cached = compile_once(compiler.compile_or_get_cached)


def pytest_collection_modifyitems(items):
    """Files of few tests come first: they run whole commands, for minutes, and last they would leave one core idle."""
    tests = Counter(item.path for item in items)
    items.sort(key=lambda item: tests[item.path])
