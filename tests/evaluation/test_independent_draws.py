"""Held-out pairs are independent draws, their halves have their own noise, and baselines are what they are called."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi_coding.data import Dataset, Split
from mi_coding.encoders import MLP, HeadOptions
from mi_coding.evaluation import Trained, probes
from mi_coding.evaluation.base import LabelledViews
from mi_coding.evaluation.heads import pair_codes
from mi_coding.evaluation.probes import LabelProbes
from mi_coding.methods import Encoded, Method, Parts
from mi_coding.methods.cotraining import CodeOptions, CoTraining
from mi_coding.pairs import PAIRS, PairSampler


class AsTheyAre(PairSampler):
    """An example twice."""

    def pair(self, key, example):
        return example, example

    def view(self, key, example):
        return example


@pytest.mark.parametrize("name", [name for name, kind in PAIRS.items() if not kind.takes_films])
def test_held_out_pairs_have_twins_also_where_training_keeps_them_out(name):
    class Tagged(PAIRS[name]):
        def pair(self, key, example):
            own = jnp.ravel(example)[:1]  # a row of a table comes before its donors
            return own, own

    sampler, examples = Tagged(distinct=True), jnp.arange(50.0)[:, None]
    keys = jax.random.key(0), jnp.arange(50)
    training, _ = sampler.training_batch(keys[0], examples, keys[1], batch_size=50)
    held_out, _ = sampler.sample(keys[0], examples, keys[1])
    assert len(np.unique(training)) == 50
    assert len(np.unique(held_out)) < 40  # 50 (1 - 1/e) = 32 are expected


def trained_on(dataset, method, pairs, variables, untrained=None):
    keys = {name: jax.random.key(i) for i, name in enumerate(("validation", "test", "probe", "report"))}
    return Trained(method, pairs, dataset, variables, untrained, keys.__getitem__, print, 16, 10, 4, {})


def test_codes_of_both_halves_are_drawn_with_noise_of_their_own():
    split = Split(np.zeros((20, 3), np.float32), None)
    method = CoTraining(code=CodeOptions(num_heads=1, num_values=8), head=HeadOptions(layers=1, width=4))
    method = method.made_of(Parts(MLP(widths=(), feature_dim=4), AsTheyAre(), 16, 1, 10, (3,), 0))
    variables = method.init(jax.random.key(0), jnp.zeros((2, 3)), None)
    z_x, z_y = pair_codes(
        trained_on(Dataset("zeros", split, split, split), method, AsTheyAre(), variables), variables, "test", 2000
    )
    assert abs(np.mean(z_x == z_y) - 1 / 8) < 5 * np.sqrt(7 / 64 / 2000)  # uniform, and independent


@dataclasses.dataclass(frozen=True, eq=False)
class Scaled(Method):
    """Features are the example times the one parameter."""

    def encode(self, params, stats, x, *, half="x"):
        return Encoded(params * x, params * x)


def clusters():
    """Four clusters in each split, with the label that a split gives to each."""
    rng = np.random.default_rng(0)

    def split(labels, count):
        cluster = np.arange(count) % 4
        return Split(np.float32(np.eye(4)[cluster] + 0.05 * rng.normal(size=(count, 4))), np.array(labels)[cluster])

    return Dataset("clusters", split([0, 1, 2, 3], 80), split([0, 1, 2, 3], 40), split([0, 1, 2, 3], 40))


def test_the_baseline_of_an_untrained_encoder_is_untrained():
    method = Scaled().made_of(Parts(MLP(), AsTheyAre(), 16, 1, 10, (4,), 0))
    trained = trained_on(clusters(), method, AsTheyAre(), (jnp.float32(1), {}), lambda: (jnp.float32(0), {}))
    found = LabelProbes(labelled=LabelledViews(), knn_neighbours=3).evaluate(trained)
    assert found["probe/linear_accuracy"] == found["probe/raw_pixels_accuracy"] == 1
    assert found["probe/random_encoder_accuracy"] == 1 / 4


def test_the_regulariser_is_chosen_on_validation_examples(monkeypatch):
    dataset, given = clusters(), []
    kept = probes.linear_probe
    monkeypatch.setattr(probes, "linear_probe", lambda *parts: given.append(parts) or kept(*parts))
    method = Scaled().made_of(Parts(MLP(), AsTheyAre(), 16, 1, 10, (4,), 0))
    trained = trained_on(dataset, method, AsTheyAre(), (jnp.float32(1), {}), lambda: (jnp.float32(1), {}))
    LabelProbes(labelled=LabelledViews(), knn_neighbours=3).evaluate(trained)
    for parts in given:
        for part, split in zip(parts, dataset.splits, strict=True):
            np.testing.assert_allclose(part.features, split.examples, rtol=1e-6)
