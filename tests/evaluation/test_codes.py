import jax.numpy as jnp
import numpy as np
import pytest

from mi_coding.evaluation.codes import encode, map_codes, nearest


@pytest.mark.parametrize("count", [1, 7, 8, 9, 20])
def test_codes_keep_the_order_and_number_of_examples(count):
    examples = np.random.default_rng(0).normal(size=(count, 3, 2)).astype(np.float32)
    codes = encode(lambda x: x.sum(axis=2) - x.mean(), examples[:count], batch_size=count + 3)
    assert codes.shape == (count, 3)
    one_by_one = encode(lambda x: jnp.cumsum(x, axis=1)[:, -1], examples, batch_size=8)
    np.testing.assert_allclose(one_by_one, examples.sum(1), rtol=1e-5, atol=1e-6)


def test_encoder_is_compiled_once():
    traces = []
    encode(lambda x: traces.append(x.shape) or x, np.zeros((21, 2), np.float32), batch_size=8)
    assert traces == [(8, 2)]


def test_nearest_is_by_cosine_best_first():
    queries = np.array([[1.0, 0.0], [0.0, 3.0]])
    codes = np.array([[0.1, 0.0], [5.0, 5.0], [-1.0, 0.1], [0.0, 1.0]])
    positions, cosines = nearest(queries, codes, count=2)
    assert positions.tolist() == [[0, 1], [3, 1]]
    np.testing.assert_allclose(cosines, [[1, np.sqrt(0.5)], [1, np.sqrt(0.5)]])


def test_map_keeps_groups_of_codes_together():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 30)
    points = map_codes(10 * np.eye(5)[labels] + rng.normal(size=(60, 5)))
    middles = np.stack([points[labels == k].mean(0) for k in (0, 1)])
    assert np.mean(np.linalg.norm(points[:, None] - middles, axis=2).argmin(1) == labels) > 0.95


def test_map_of_a_handful_of_codes_works():
    assert map_codes(np.random.default_rng(0).normal(size=(4, 3))).shape == (4, 2)
