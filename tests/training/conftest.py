import jax
import jax.numpy as jnp
import numpy as np
import pytest


@pytest.fixture(scope="session")
def images():
    return jnp.asarray(np.random.default_rng(0).random((30, 6, 6, 1)), jnp.float32)


@pytest.fixture(scope="module")
def key():
    return jax.random.key(3)
