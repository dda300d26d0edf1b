import jax
import numpy as np

from mi_coding.data import Split
from mi_coding.evaluation.labelled_views import encode_views
from mi_coding.pairs.given import Given


def test_examples_with_a_hidden_label_are_left_out_with_all_their_views():
    x, labels = np.arange(14, dtype=np.float32).reshape(7, 2), np.array([1, -1, 0, 2, -1, -1, 0])
    split = Split((x, x[:, :1]), labels)
    examples = encode_views({"doubled": jax.jit(lambda x: 2 * x)}, split, Given(), jax.random.key(0), views_each=3)
    known = np.repeat(np.flatnonzero(labels >= 0), 3)
    np.testing.assert_array_equal(examples["doubled"].features, 2 * x[known])
    np.testing.assert_array_equal(examples["doubled"].labels, labels[known])
