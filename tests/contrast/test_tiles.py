"""How a shard is cut."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mi_coding
from mi_coding.contrast.contract import score_limit
from mi_coding.contrast.tiles import Pull, free_gradient, score_gradient, tiling


@given(size=st.integers(1, 300), block_size=st.integers(1, 70))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_tiles_have_every_entry_once_and_stay_within_the_shard(size, block_size):
    tiles = tiling(size, block_size)
    assert tiles.block <= min(size, block_size)
    index = jnp.arange(tiles.count)
    starts, repeated = np.asarray(tiles.start(index)), np.asarray(jax.vmap(tiles.repeated)(index))
    assert np.all((starts >= 0) & (starts + tiles.block <= size))
    entries = starts[:, None] + np.arange(tiles.block)
    assert entries[~repeated].tolist() == list(range(size))
    assert tiles.is_exact == (tiles.block * tiles.count == size)


def test_a_shard_that_needs_several_tiles_is_cut_evenly():
    assert tiling(1001, 512)[1:] == (504, 2)  # 501 would do; a multiple of eight fills the registers
    assert tiling(1024, 512)[1:] == (512, 2)
    assert tiling(100, 512)[1:] == (100, 1)


def test_a_score_one_bit_above_its_peak_has_a_finite_gradient():
    peak = jnp.array([1e37], jnp.float32)
    above = jnp.nextafter(peak, jnp.inf)
    assert above - peak > 1e29
    assert score_gradient(above, Pull(peak, jnp.array([0.25], jnp.float32)), None).tolist() == [0.25]


def test_scores_held_at_the_limit_have_no_gradient():
    limit = score_limit(jnp.float32)
    scores = jnp.array([-limit, 0.0, limit, -jnp.inf], jnp.float32)
    assert free_gradient(scores, jnp.ones(4)).tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize(("platform", "side"), [("cpu", 512), ("cuda", 2048), ("tpu", 2048)])
def test_tiles_suit_the_platform_that_a_program_is_compiled_for(platform, side):
    codes = jax.ShapeDtypeStruct((2048, 8), jnp.float32)
    loss = jax.jit(jax.grad(lambda x, y: mi_coding.cpc(x, y, method="blockwise").loss, (0, 1)))
    program = loss.trace(codes, codes).lower(lowering_platforms=(platform,)).as_text()
    assert f"tensor<{side}x{side}xf32>" in program
    other = {512: 2048, 2048: 512}[side]
    assert f"tensor<{other}x{other}xf32>" not in program


def test_tiles_that_are_chosen_give_the_same_bits_as_those_that_are_named():
    x, y = (jax.random.normal(jax.random.key(seed), (1100, 4)) for seed in (0, 1))

    def run(**options):
        return jax.value_and_grad(lambda x, y: mi_coding.cpc(x, y, method="blockwise", **options).loss, (0, 1))(x, y)

    jax.tree.map(np.testing.assert_array_equal, run(), run(block_size=512))
