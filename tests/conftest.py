"""Eight virtual devices for every test; the flag is read when JAX first looks for devices."""

import os

os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
