"""Eight virtual devices on one CPU, set before anything imports JAX."""

import os

from virtual_devices import xla_flags

os.environ["XLA_FLAGS"] = xla_flags(num_devices=8)
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# With jaxlib 0.10.2, 5 of 12 programs of many virtual devices that were read from the compilation cache stopped at a
# rendezvous that one device never came to; of those that were compiled, none.
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
