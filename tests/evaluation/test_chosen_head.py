"""Which of several discrete codes is kept: validation pairs choose, test pairs say what the chosen one is worth."""

import math
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from as_it_is import trained

from mi_coding.data import Dataset, Split
from mi_coding.evaluation.discrete import DiscreteCodes, _agreement
from mi_coding.evaluation.heads import best_head
from mi_coding.objectives import codes

SPLITS = ("train", "validation", "test")
PRIOR, SURE = np.array([0.9, 0.1]), 0.99


class ThreeCodes:
    """Three certain codes of one bit: each tells the kind of an example on one split only, and is 0 on the others."""

    prior, conditional = codes.independent(1, 2), codes.independent(1, 2, conditional=True)
    code, betas, beta = SimpleNamespace(num_heads=3), (0.0, 0.5, 0.25), 0.5

    def log_q(self, params, stats, x):
        number, kind = jnp.floor(x[:, 0]), (x[:, 0] % 1 > 0).astype(int)
        told = [jnp.where(number == head, kind, 0) for head in range(3)]
        return jnp.log(jax.nn.one_hot(jnp.stack(told), 2) + 1e-30)[:, :, None]

    def models_of(self, stats, head):
        """Of every head, one symbol; the prior knows one past, the conditional two."""
        told = np.where(np.eye(2), SURE, 1 - SURE)
        return jnp.log(PRIOR.reshape(1, 1, 2)), jnp.log(told.reshape(1, 2, 2))


def split(number):
    """Examples of two kinds, half of each: the number of their split, and a quarter more."""
    return Split(np.float32(number + 0.25 * (np.arange(64) % 2))[:, None], None)


@pytest.fixture
def run():
    return trained(Dataset("known", *map(split, range(3))), ThreeCodes())


def test_the_head_that_is_best_on_validation_pairs_is_kept(run):
    head = best_head(run, run.variables, 400)
    assert (SPLITS[head.number], head.beta) == ("validation", 0.5)
    # Half of the pairs are 1; of 400 draws, four standard errors are a tenth.
    assert head.found.entropy == pytest.approx(-np.mean(np.log(PRIOR)), abs=0.1 * math.log(9))
    assert head.found.conditional_entropy == pytest.approx(-math.log(SURE), rel=1e-4)


def test_rows_of_a_table_have_no_pictures_in_the_report(run):
    sections = DiscreteCodes(num_pairs=400).sections(run, {"code/head": 1})
    assert [section.name for section in sections] == ["information", "plane"]


def test_the_kept_head_is_judged_on_test_pairs(run):
    summary = DiscreteCodes(num_pairs=400).evaluate(run)
    assert (SPLITS[summary["code/head"]], summary["code/beta"]) == ("validation", 0.5)
    assert summary["heldout/entropy_nats"] == pytest.approx(-math.log(PRIOR[0]), rel=1e-4)  # always 0 there
    assert summary["code/used"] == 1


def test_validation_during_training_is_of_the_head_that_validation_pairs_choose(run):
    scalars = DiscreteCodes(num_pairs=400).validation(run)(5, run.variables)
    assert scalars["validation/conditional_entropy_nats"] == pytest.approx(-math.log(SURE), rel=1e-4)
    assert scalars["validation/entropy_nats"] > 1  # a head of another split is always 0 there


class TwoBits(ThreeCodes):
    """A certain code of two bits, which the examples are."""

    prior = codes.independent(2, 2)

    def log_q(self, params, stats, x):
        return jnp.log(jax.nn.one_hot(x.astype(int), 2) + 1e-30)[None]


def test_hidden_labels_are_neither_asked_for_nor_among_the_neighbours():
    def labelled(known, hidden):
        number = np.arange(known + hidden)
        bits = np.stack([number // 2 % 2, number % 2], axis=1)
        return Split(bits.astype(np.float32), np.where(number < known, number % 4, -1))

    run = trained(Dataset("bits", *(labelled(40, 400) for _ in range(3))), TwoBits())
    assert _agreement(run, 0) == {"code/precision_at_40": 0.25}  # all 40, of which 10 have the same label
