"""Eight virtual devices on one CPU, set before anything imports JAX, and finished runs that all workers share."""

import os

from virtual_devices import xla_flags

os.environ["XLA_FLAGS"] = xla_flags(num_devices=8)
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# With jaxlib 0.10.2, 5 of 12 programs for many virtual devices deadlocked in a collective after they were read back
# from the compilation cache; of those that were compiled, none.
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"

from finished_runs import finished_runs  # noqa: F401, a fixture
