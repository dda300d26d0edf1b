import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi_coding.evaluation.codes import encode, map_codes, nearest, unit


@pytest.mark.parametrize("count", [1, 7, 8, 9, 20])
def test_codes_keep_the_order_and_number_of_examples(count):
    examples = np.random.default_rng(0).normal(size=(count, 3, 2)).astype(np.float32)
    codes = encode(jax.jit(lambda x: x.sum(axis=2) - x.mean()), examples[:count], batch_size=count + 3)
    assert codes.shape == (count, 3)
    one_by_one = encode(jax.jit(lambda x: jnp.cumsum(x, axis=1)[:, -1]), examples, batch_size=8)
    np.testing.assert_allclose(one_by_one, examples.sum(1), rtol=1e-5, atol=1e-6)


def test_encoder_is_compiled_once():
    traces = []
    encode(jax.jit(lambda x: traces.append(x.shape) or x), np.zeros((21, 2), np.float32), batch_size=8)
    assert traces == [(8, 2)]


class Counted:
    """An array that remembers how many rows were read at a time."""

    def __init__(self, array):
        self.array, self.read = array, []

    def __len__(self):
        return len(self.array)

    def __getitem__(self, rows):
        part = self.array[rows]
        self.read.append(len(part))
        return part


def test_examples_are_read_a_batch_at_a_time():
    examples = Counted(np.arange(42, dtype=np.float32).reshape(21, 2))
    codes = encode(jax.jit(lambda x: x + 1), examples, batch_size=8)
    np.testing.assert_array_equal(codes, examples.array + 1)
    assert examples.read == [8, 8, 5]


def test_examples_on_the_host_and_on_a_device_have_the_same_codes():
    examples = np.random.default_rng(0).integers(0, 255, (21, 4), dtype=np.uint8)
    host, device = (encode(jax.jit(lambda x: x / 255), x, batch_size=8) for x in (examples, jnp.asarray(examples)))
    np.testing.assert_array_equal(host, device)


def test_nearest_is_by_cosine_best_first():
    queries = np.array([[1.0, 0.0], [0.0, 3.0]])
    codes = np.array([[0.1, 0.0], [5.0, 5.0], [-1.0, 0.1], [0.0, 1.0]])
    positions, cosines = nearest(queries, codes, count=2)
    assert positions.tolist() == [[0, 1], [3, 1]]
    np.testing.assert_allclose(cosines, [[1, np.sqrt(0.5)], [1, np.sqrt(0.5)]], rtol=1e-6)  # float32


def test_nearest_agrees_with_a_sort_in_blocks_of_any_size(monkeypatch):
    rng = np.random.default_rng(0)
    queries, codes = rng.normal(size=(23, 5)) + 1, rng.exponential(size=(70, 1)) * rng.normal(size=(70, 5))
    cosines = queries @ codes.T / np.linalg.norm(queries, axis=1)[:, None] / np.linalg.norm(codes, axis=1)
    order = np.argsort(-cosines, axis=1)[:, :9]
    for block in (1, 70 * 4, 2**26):
        monkeypatch.setattr("mi_coding.evaluation.codes.COSINES_AT_ONCE", block)
        positions, values = nearest(queries, codes, count=9)
        np.testing.assert_array_equal(positions, order)
        np.testing.assert_allclose(values, np.take_along_axis(cosines, order, axis=1), atol=1e-6)


def test_ties_keep_their_order_and_few_codes_are_all_returned():
    positions, _ = nearest(np.ones((1, 3)), np.array([[0, 0, 1], [2, 2, 2], [0, 0, 1], [4, 4, 4]]), count=10)
    assert positions.tolist() == [[1, 3, 0, 2]]


def test_unit_keeps_a_code_of_zeros():
    z = unit(np.array([[3.0, 4.0], [0.0, 0.0]]))
    np.testing.assert_allclose(z, [[0.6, 0.8], [0, 0]], rtol=1e-6)
    assert z.dtype == np.float32


def test_map_keeps_groups_of_codes_together():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 30)
    points = map_codes(10 * np.eye(5)[labels] + rng.normal(size=(60, 5)))
    middles = np.stack([points[labels == k].mean(0) for k in (0, 1)])
    assert np.mean(np.linalg.norm(points[:, None] - middles, axis=2).argmin(1) == labels) > 0.95


def test_map_of_a_handful_of_codes_works():
    assert map_codes(np.random.default_rng(0).normal(size=(4, 3))).shape == (4, 2)
