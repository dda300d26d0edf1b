"""Labels learnt on an encoder: the loss and its gradient, hidden labels, and an encoder that stays frozen."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from commands import ROOT, read_config
from sklearn.metrics import log_loss

from mi_coding.encoders import ENCODERS
from mi_coding.errors import InputError
from mi_coding.methods import METHODS, Parts
from mi_coding.pairs import PAIRS, PairSampler
from mi_coding.runs import build
from mi_coding.runs.finetune import Settings, configs
from mi_coding.runs.run import check_devices

LABELS = np.array([0, 2, 1, 2, 0, 1, 1, 0])


@pytest.fixture(scope="module")
def examples():
    return jnp.asarray(np.random.default_rng(0).random((8, 8, 8, 1)), jnp.float32)


def built(**options):
    """The method on the smallest network with batch norm, and its variables, whose classifier is not all zeros."""
    encoder = ENCODERS["resnet18"](width_multiplier=1 / 16, stem="cifar")
    method = METHODS["supervised"](**options).made_of(Parts(encoder, PairSampler(), 8, 1, 4, (8, 8, 1), 3))
    params, stats = jax.jit(method.init)(jax.random.key(0), jnp.zeros((2, 8, 8, 1)), ())
    kernel = jax.random.normal(jax.random.key(1), params["classifier"]["kernel"].shape)
    return method, params | {"classifier": params["classifier"] | {"kernel": kernel}}, stats


def loss(method, params, stats, examples, labels):
    """The loss of a batch whose modified halves are the examples, too."""
    labels = jnp.asarray(labels)
    return method.loss(params, stats, jax.random.key(0), (examples, labels), (examples, labels), None)


def test_the_loss_is_the_cross_entropy_of_the_known_labels(examples):
    method, params, stats = built(freeze=True)
    logits = np.asarray(method.encode(params, stats, examples).codes, np.float64)
    expected = log_loss(LABELS, np.exp(logits) / np.exp(logits).sum(1, keepdims=True))
    value, (metrics, _) = loss(method, params, stats, examples, LABELS)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(metrics["accuracy"], np.mean(logits.argmax(1) == LABELS))

    hidden, known = np.where(np.arange(8) < 3, -1, LABELS), slice(3, None)
    value, (metrics, _) = loss(method, params, stats, examples, hidden)
    np.testing.assert_allclose(value, loss(method, params, stats, examples[known], LABELS[known])[0], rtol=1e-5)
    np.testing.assert_allclose(metrics["accuracy"], np.mean(logits.argmax(1)[known] == LABELS[known]))


@pytest.mark.parametrize(("name", "are_alike"), [("given", False), ("augmentations", True)])
def test_the_y_of_given_pairs_is_not_compared_since_only_x_has_an_encoder(name, are_alike):
    parts = built()[0].parts._replace(pairs=PAIRS[name]())
    assert METHODS["supervised"]().made_of(parts).halves_are_alike == are_alike


@pytest.mark.parametrize("freeze", [True, False])
def test_a_frozen_encoder_stays_bit_for_bit_with_its_statistics(examples, freeze):
    method, params, stats = built(freeze=freeze)
    optimizer = method.optimizer(optax.adamw(1e-2, weight_decay=0.1))

    @jax.jit
    def step(params, stats):
        (_, (_, new_stats)), gradient = jax.value_and_grad(
            lambda p: loss(method, p, stats, examples, LABELS), has_aux=True
        )(params)
        updates, _ = optimizer.update(gradient, optimizer.init(params), params)
        return optax.apply_updates(params, updates), new_stats

    new = step(params, stats)

    def same(one, other):
        return all(np.array_equal(*two) for two in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))

    assert not same(new[0]["classifier"], params["classifier"])
    assert same(new[0]["encoder"], params["encoder"]) == freeze
    assert same(new[1], stats) == freeze


@pytest.mark.parametrize(("count", "found"), [(0, "no labels"), (1, "1 class")])
def test_labels_that_cannot_be_learnt_are_refused(count, found):
    with pytest.raises(InputError, match=f"needs labels of at least two classes in the training split.*{found}"):
        METHODS["supervised"]().check_labels("folder:a", count)


def test_a_run_with_more_views_can_be_finetuned():
    config = read_config(config=str(ROOT / "configs" / "simclr.py")) | {"pairs.small_views": 2, "pairs.small_size": 8}
    run = SimpleNamespace(plan=build.plan(config | {"pairs.views": 4}), workdir="somewhere")
    for config in configs(run, "digits", {}, Settings(4, 1e-3, 8), freeze=False).values():
        plan = build.plan(config)
        check_devices(plan, 1)
        assert not plan.pairs.has_several
