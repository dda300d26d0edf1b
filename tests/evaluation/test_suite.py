"""The protocol that every question shares: which examples are judged."""

import jax
import jax.numpy as jnp
import numpy as np

from mi_coding.data import Split
from mi_coding.evaluation import suite
from mi_coding.evaluation.bound import make_pair_codes
from mi_coding.pairs.given import given
from mi_coding.pairs.sampling import sample_pairs


def test_examples_with_a_hidden_label_are_left_out_of_the_probes_with_all_their_views():
    x, labels = np.arange(14, dtype=np.float32).reshape(7, 2), np.array([1, -1, 0, 2, -1, -1, 0])
    split = Split((x, x[:, :1]), labels)
    examples = suite._examples({"doubled": jax.jit(lambda x: 2 * x)}, split, given(), jax.random.key(0), views_each=3)
    known = np.repeat(np.flatnonzero(labels >= 0), 3)
    np.testing.assert_array_equal(examples["doubled"].features, 2 * x[known])
    np.testing.assert_array_equal(examples["doubled"].labels, labels[known])


def test_halves_of_a_pair_are_coded_each_by_its_own_encoder_and_stay_together():
    x = jnp.arange(20.0)[:, None]
    y = jnp.stack([10 * x[:, 0], 20 * x[:, 0], 30 * x[:, 0]], 1)  # of another shape
    pair_codes = make_pair_codes(
        lambda key, data, rows: sample_pairs(key, data, rows, kind=given()),
        lambda params, stats, x, y: (params["x"] * x, params["y"] * y[:, :1]),
    )
    z_x, z_y = pair_codes(({"x": 3.0, "y": 7.0}, {}), jax.random.key(0), (x, y), jnp.arange(600))
    np.testing.assert_allclose(z_y / 70, z_x / 3, rtol=1e-6)
    assert len(np.unique(z_x)) == 20
