"""Sequences of unequal length: padding is never seen, however much of it there is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi_coding.data import Split
from mi_coding.data.sequences import padded
from mi_coding.errors import InputError
from mi_coding.pairs import Sequences

LENGTHS = [6, 9, 14]
SPLIT = Split(padded([np.arange(length, dtype=np.float32)[:, None] for length in LENGTHS]), None)
CUTS = Sequences(step_size=2, num_steps=3)


@pytest.mark.parametrize(("row", "length"), enumerate(LENGTHS))
def test_a_cut_lies_anywhere_before_the_padding_and_nowhere_else(row, length):
    keys = jax.random.split(jax.random.key(0), 400)
    cuts = np.asarray(jax.vmap(lambda key: CUTS.view(key, SPLIT.examples[row]))(keys))
    assert cuts.shape == (400, 3, 2, 1)
    firsts = cuts[:, 0, 0, 0]
    np.testing.assert_array_equal(cuts.reshape(400, 6), firsts[:, None] + np.arange(6))
    assert set(firsts.tolist()) == set(range(length - 6 + 1))


def test_more_padding_changes_no_draw():
    longer = np.pad(SPLIT.examples, ((0, 0), (0, 50), (0, 0)), constant_values=np.nan)
    rows = jnp.arange(64)
    draws = [CUTS.sample(jax.random.key(1), jnp.asarray(some), rows)[0] for some in (SPLIT.examples, longer)]
    np.testing.assert_array_equal(*draws)


def test_sequences_all_cut_to_the_shortest_are_those_without_padding():
    short = SPLIT.examples[:, :6]
    padded_short = np.pad(short, ((0, 0), (0, 3), (0, 0)), constant_values=np.nan)
    rows = jnp.arange(64)
    whole = Sequences(step_size=2).sample(jax.random.key(1), jnp.asarray(short), rows)[0]
    np.testing.assert_array_equal(CUTS.sample(jax.random.key(1), jnp.asarray(padded_short), rows)[0], whole)


def test_examples_too_short_for_a_cut_are_left_out_with_the_reason():
    is_short, reason = Sequences(step_size=5, num_steps=2).too_short(SPLIT)
    assert (is_short.tolist(), reason) == ([True, True, False], "shorter than 10 samples")
    assert Sequences(step_size=5).too_short(SPLIT) is None
    assert not CUTS.too_short(SPLIT)[0].any()


def test_whole_sequences_must_be_of_one_length():
    with pytest.raises(InputError, match=r"have 6 to 14 samples; expected a cut, such as --config.pairs.num_steps=3,"):
        Sequences(step_size=2).check_examples("npz:a", [(14, 1)], SPLIT)
