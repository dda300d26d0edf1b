import dataclasses

import jax
import numpy as np
from test_evaluators import trained_on_digits

from mi_coding.data import Split
from mi_coding.evaluation.gaussian import GaussianInformation
from mi_coding.methods import METHODS
from mi_coding.pairs import PAIRS


class Raw(METHODS["gaussian"]):
    """The numbers themselves as codes."""

    def pair_codes(self, params, stats, x, y):
        return x, y


def found_for(x, y, num_pairs=10_240):
    warnings = []
    trained = trained_on_digits(METHODS["gaussian"](code_dim=4), PAIRS["augmentations"](preset="gray28", size=8))
    splits = [Split((half, half_y), None) for half, half_y in [(x, y)] * 3]
    dataset = trained.dataset._replace(train=splits[0], validation=splits[1], test=splits[2])
    trained = dataclasses.replace(
        trained, method=Raw("gaussian"), pairs=PAIRS["given"](), dataset=dataset, warn=warnings.append
    )
    return GaussianInformation(num_pairs=num_pairs).evaluate(trained), warnings


def test_each_test_pair_serves_once_so_that_few_independent_ones_share_nothing():
    rng = np.random.default_rng(0)
    found = [
        found_for(*rng.normal(size=(2, 200, 6)).astype(np.float32))[0]["heldout/gaussian_information_nats"]
        for _ in range(6)
    ]
    assert abs(np.mean(found)) < 0.06  # drawn with replacement from 200 they would seem to share 0.09 and more


def test_a_sorted_split_is_sampled_from_all_of_it():
    x = np.linspace(-1, 1, 4000, dtype=np.float32)[:, None]  # sorted; y agrees with x in its second half alone
    y = np.where(x > 0, x, np.random.default_rng(3).permutation(x))
    (found, _), (whole, _) = found_for(x, y, num_pairs=1000), found_for(x, y)
    key = "heldout/gaussian_information_nats"
    np.testing.assert_allclose(found[key], whole[key], atol=0.1)
    assert found[key] > 0.1


def test_it_is_the_information_of_gaussians():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(4000, 3)).astype(np.float32)
    y = (0.8 * x + 0.6 * rng.normal(size=x.shape)).astype(np.float32)
    (found, _) = found_for(x, y)
    np.testing.assert_allclose(found["heldout/gaussian_information_nats"], 1.532, atol=0.06)


def test_too_few_pairs_are_said():
    x, y = np.random.default_rng(2).normal(size=(2, 9, 6)).astype(np.float32)
    found, warnings = found_for(x, y)
    assert found == {}
    assert "9 test pairs of codes of 6 numbers; expected at least 14" in warnings[0]
    assert jax.tree.leaves(found) == []
