"""No compiled program is kept here between runs."""

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache


@pytest.fixture(autouse=True, scope="module")
def fresh_programs():
    """Compiles every program anew.

    A CPU program read from the compilation cache no longer keeps collectives that do not depend on each other in one
    order on all devices (seen with jaxlib 0.10.2): about one in three such runs of the table stopped, with seven
    devices at one exchange and the eighth at another.
    """
    was_enabled = jax.config.jax_enable_compilation_cache
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()
    yield
    jax.config.update("jax_enable_compilation_cache", was_enabled)
    compilation_cache.reset_cache()
