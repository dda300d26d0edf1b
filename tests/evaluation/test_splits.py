"""Which split a figure is taken from: the examples of each split are known by their values."""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from as_it_is import trained

from mi_coding.data import Dataset, Split
from mi_coding.evaluation.bound import HeldoutBounds
from mi_coding.evaluation.health import Health
from mi_coding.evaluation.probes import LabelProbes
from mi_coding.methods.base import Encoded, Method
from mi_coding.objectives.cpc import CPCOutput
from mi_coding.pairs import BoundSpec

VALUE = {"train": 1, "validation": 2, "test": 3}


@dataclass(frozen=True, eq=False)
class TellsSplits(Method):
    """Its bound is the mean of y plus the parameter; codes of test examples spread, all others have collapsed."""

    uses_labels = has_probe = True
    training_spec = BoundSpec(8)

    def bound_specs(self, num_examples):
        return {"heldout": BoundSpec(8), "heldout_largest": BoundSpec(num_examples)}

    def pair_codes(self, params, stats, x, y):
        spread = jnp.where(jnp.floor(x) == VALUE["test"], x - VALUE["test"], 0.05)
        return spread, y

    def encode(self, params, stats, x, *, half="x"):
        return Encoded(jnp.where(jnp.floor(x) == VALUE["test"], x - VALUE["test"], 1.0), x)

    def contrast(self, params, z_x, z_y):
        zero = jnp.zeros(())
        return CPCOutput(
            zero, mi_lower_bound=jnp.mean(z_y) + params.get("added", 0), num_candidates=10**6, accuracy=zero
        )

    def probe_logits(self, params, stats, x):
        """Right about validation examples alone, a class that there is not for all others."""
        return jax.nn.one_hot(jnp.where(jnp.floor(x[:, 0]) == VALUE["validation"], VALUE["validation"], 4), 5)


def split(name):
    """Examples a little above the value of their split, which is their label."""
    noise = np.random.default_rng(VALUE[name]).random((40, 3))
    return Split(np.float32(VALUE[name] + 0.1 * noise), np.full(40, VALUE[name]))


@pytest.fixture
def run():
    return trained(Dataset("known", *map(split, VALUE)), TellsSplits())


def test_the_bound_during_training_is_of_validation_examples(run):
    scalars = HeldoutBounds(num_pairs=64).validation(run)(5, run.variables)
    assert 2 < scalars["validation/mi_lower_bound_nats"] < 2.1


def test_the_online_probe_is_judged_on_validation_examples(run):
    assert LabelProbes().validation(run)(5, run.variables) == {"validation/online_probe_accuracy": 1}


def test_the_bounds_of_a_finished_run_are_of_test_examples(run):
    summary = HeldoutBounds(num_pairs=64).evaluate(run)
    assert 3 < summary["heldout/mi_lower_bound_nats"] < 3.1
    assert 3 < summary["heldout_largest/mi_lower_bound_nats"] < 3.1


def test_the_untrained_encoder_is_measured_on_the_same_pairs(run):
    untrained = replace(run, untrained=lambda: ({"added": -1.0}, {}))
    summary = HeldoutBounds(num_pairs=64).evaluate(untrained)
    baseline = summary["heldout_untrained/mi_lower_bound_nats"]
    assert baseline == pytest.approx(summary["heldout/mi_lower_bound_nats"] - 1)


def test_health_is_of_test_examples(run):
    summary = Health(num_pairs=40).evaluate(run)
    assert summary["health/effective_rank"] > 1.5  # 1 for features that have collapsed
    assert summary["health/uniformity"] < -0.2  # about 0 for codes that have
