"""Norms of many arrays: both ways of computing them, against NumPy; and LARS against that of optax."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mi_coding.training import norms
from mi_coding.training.optimizers import OPTIMIZERS, is_weight

RNG = np.random.default_rng(0)
TREE = {
    "kernel": RNG.normal(size=(3, 3, 40, 7)),
    "one row": RNG.normal(size=(norms.ROW,)),
    "more": RNG.normal(size=(norms.ROW + 1, 2)),
    "scalar": np.float32(-3.0),
    "zero": np.zeros((4, 4)),
}
LEAVES = [jnp.float32(leaf) for leaf in jax.tree.leaves(TREE)]


@pytest.mark.parametrize("way", [norms._together, norms._one_by_one])
def test_norms_are_those_of_numpy(way):
    np.testing.assert_allclose(way(*LEAVES), [np.linalg.norm(leaf) for leaf in LEAVES], rtol=1e-6)


def test_the_global_norm_is_that_of_all_numbers():
    expected = np.linalg.norm(np.concatenate([np.ravel(leaf) for leaf in LEAVES]))
    assert float(norms.global_norm(LEAVES)) == pytest.approx(expected, rel=1e-6)


def test_bfloat16_is_summed_in_float32():
    ones = jnp.ones(5000, jnp.bfloat16)
    assert float(norms._together(ones)[0]) == pytest.approx(np.sqrt(5000), rel=1e-6)


@pytest.mark.parametrize(
    ("given", "expected"), [("bfloat16", "float32"), ("float32", "float32"), ("float64", "float64")]
)
def test_both_ways_agree_on_the_dtype_of_a_norm(given, expected):
    with jax.enable_x64(given == "float64"):
        mixed = [jnp.full((3, 3), 2.0, given), jnp.ones(7, jnp.float32)]
        for found in (norms._together(*mixed), norms._one_by_one(*mixed), norms.leaf_norms(mixed)):
            assert found.dtype == expected
            np.testing.assert_allclose(found, [6.0, np.sqrt(7)], rtol=1e-6)
        whole = jax.jit(norms.global_norm)(mixed)
        assert (whole.dtype, float(whole)) == (expected, pytest.approx(np.sqrt(43), rel=1e-6))


def test_lars_takes_the_steps_of_optax():
    params = {"w": jnp.float32(RNG.normal(size=(5, 4))), "b": jnp.ones(4), "zero": jnp.zeros((2, 2))}
    schedule = optax.constant_schedule(0.3)
    theirs = optax.lars(schedule, 1e-4, is_weight, trust_ratio_mask=is_weight, momentum=0.9)
    ours = OPTIMIZERS["lars"](schedule, 1e-4, 0.9)
    states = [one.init(params) for one in (ours, theirs)]
    assert jax.tree.structure(states[0]) == jax.tree.structure(states[1])  # so that checkpoints stay readable
    for step in range(3):
        gradients = jax.tree.map(lambda leaf: jnp.cos(leaf + step), params)  # noqa: B023
        found = [one.update(gradients, state, params) for one, state in zip((ours, theirs), states, strict=True)]
        states = [state for _, state in found]
        jax.tree.map(np.testing.assert_array_equal, *(updates for updates, _ in found))
        params = optax.apply_updates(params, found[0][0])
