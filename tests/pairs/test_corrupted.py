"""Pairs of a row and the row with values of other rows: from which column, how often, and for which rows of a batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi_coding.errors import InputError
from mi_coding.pairs import PAIRS
from mi_coding.pairs.corrupted import Corrupted

NUM_ROWS, NUM_COLUMNS = 50, 7
TABLE = jnp.arange(NUM_ROWS * NUM_COLUMNS, dtype=jnp.float32).reshape(NUM_ROWS, NUM_COLUMNS)  # no value occurs twice
KEY, ROWS = jax.random.key(3), jnp.arange(4000)


def test_a_value_is_that_of_the_row_or_any_value_of_its_column_at_the_rate():
    x, y = jax.jit(Corrupted(rate=0.3).sample)(KEY, TABLE, ROWS)
    assert np.isin(np.asarray(x)[:, 0], np.asarray(TABLE)[:, 0]).all()
    np.testing.assert_array_equal(np.diff(x, axis=1), 1)  # whole rows
    np.testing.assert_array_equal(np.asarray(y) % NUM_COLUMNS, np.tile(np.arange(NUM_COLUMNS), (len(ROWS), 1)))
    changed = np.asarray(x != y)
    expected, error = 0.3 * (1 - 1 / NUM_ROWS), np.sqrt(0.3 * 0.7 / changed.size)  # a donor may be the row itself
    assert abs(changed.mean() - expected) < 4 * error
    donors = np.asarray(y)[changed] // NUM_COLUMNS
    counts = np.bincount(donors.astype(int), minlength=NUM_ROWS)
    assert abs(counts - counts.mean()).max() < 5 * np.sqrt(counts.mean())


def test_values_of_one_row_have_donors_of_their_own():
    _, y = Corrupted(rate=1.0).sample(KEY, TABLE, ROWS[:200])
    donors = np.asarray(y) // NUM_COLUMNS
    assert np.mean([len(set(one)) for one in donors]) > 0.8 * NUM_COLUMNS


@pytest.mark.parametrize("distinct", [False, True])
def test_a_shard_draws_the_pairs_that_the_whole_batch_would(distinct):
    pairs = Corrupted(distinct=distinct)
    whole = pairs.training_batch(KEY, TABLE, jnp.arange(16), batch_size=16)
    shard = pairs.training_batch(KEY, TABLE, jnp.arange(4, 8), batch_size=16)
    for one, other in zip(shard, whole, strict=True):
        np.testing.assert_array_equal(one, other[4:8])
    assert (len(np.unique(whole[0][:, 0])) == 16) or not distinct


def test_labels_go_with_their_rows_and_views_are_the_rows():
    labels = jnp.arange(NUM_ROWS)
    (x, of_x), (y, of_y) = Corrupted(rate=1.0).training_batch(
        KEY, (TABLE, labels), jnp.arange(20), batch_size=20, with_labels=True, with_views=True
    )
    np.testing.assert_array_equal(x[:, 0] // NUM_COLUMNS, of_x)
    np.testing.assert_array_equal(of_x, of_y)
    np.testing.assert_array_equal(x, y)


def test_donors_of_a_stream_are_rows_of_the_batch():
    batch = TABLE[:5]
    x, y = Corrupted(rate=1.0).streamed_batch(KEY, batch, jnp.arange(5))
    np.testing.assert_array_equal(x, batch)
    assert set(np.unique(np.asarray(y) // NUM_COLUMNS)) <= set(range(5))
    assert not np.array_equal(x, y)


@pytest.mark.parametrize("shapes", [[(8, 8, 1)], [(3,), (2,)], [(5, 4)]])
def test_examples_that_are_no_rows_of_a_table_are_refused(shapes):
    with pytest.raises(InputError, match="needs the rows of one table"):
        PAIRS["corrupted"](name="corrupted").check_examples("npz:a", shapes, None)
