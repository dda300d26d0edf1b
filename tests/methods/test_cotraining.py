"""Deep co-training as an experiment: Ψ keeps up, devices change nothing, prices are per code."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small_experiment import run

from mi_coding.benchmarks.cotraining import OneLayer, gaussian_information, shared_class_pairs, train_shared_class
from mi_coding.encoders import HeadOptions
from mi_coding.methods import Parts
from mi_coding.methods.base import with_own_rate
from mi_coding.methods.cotraining import CodeOptions, CoTraining
from mi_coding.objectives.cotraining import Models, cotraining, prior_loss
from mi_coding.pairs import PairSampler
from mi_coding.training.experiment import Experiment
from mi_coding.training.step import init_state


@pytest.fixture(scope="module")
def centres():
    return jnp.asarray(np.random.default_rng(0).normal(size=(5, 3)), jnp.float32)


class TwoInnerSteps(CoTraining):
    """Co-training whose prior is moved by two plain gradient steps."""

    inner_optimizer = optax.sgd(0.3)


def make_experiment(prior="markov", *, betas=(0.0, 0.4), microbatch_size=0, average_decay=0.0):
    conditional = {"markov": "independent", "autoregressive": "autoregressive"}[prior]
    code = {"num_symbols": 2, "num_values": 3, "num_heads": len(betas), "prior": prior, "prior_hidden": 4}
    method = TwoInnerSteps(
        parts=Parts(OneLayer(), PairSampler(), 16, 1, 4, (6,), 0),
        head=HeadOptions(layers=1),
        code=CodeOptions(**code, conditional=conditional),
        own_betas=betas,
        balance=0.5,
        prior_steps=2,
        microbatch_size=microbatch_size,
    )
    optimizer = with_own_rate(optax.sgd(0.05), "conditional", 0.02)
    sample = shared_class_pairs(5, 3)
    return Experiment(sample, method.init, method.loss, optimizer, 16, average_decay), method


@pytest.mark.soak
def test_devices_train_the_parameters_and_the_prior_of_one(key, centres):
    experiment, _ = make_experiment("autoregressive")
    alone, shared = (run(experiment, key, centres, how="shard_map", devices=devices) for devices in (1, 2))
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(alone[0].stats["models"]["psi"]) if leaf.size)
    chex.assert_trees_all_close(shared, alone, rtol=5e-4, atol=5e-6)


@pytest.fixture(scope="module")
def first_step(key, centres):
    """The experiment, its code, and what one step leaves."""
    experiment, method = make_experiment()
    return experiment, method, *run(experiment, key, centres, how="shard_map", devices=1, steps=1)


def test_the_first_step_solves_the_models_and_takes_both_objectives(key, centres, first_step):
    experiment, own, trained, metrics = first_step
    state = init_state(experiment, jax.random.key(0), centres)
    pair_key, _ = jax.random.split(jax.random.fold_in(key, 0))
    x, y = experiment.sample_pairs(pair_key, centres, jnp.arange(16))
    objectives = []
    log_q = [own.log_q(state.params, state.stats, half) for half in (x, y)]
    for head, beta in enumerate((0.0, 0.4)):
        z_x, z_y = (half[head] for half in log_q)
        both, other = jnp.concatenate([z_x, z_y]), jnp.concatenate([z_y, z_x])
        psi, phi = own.prior.refit(None, both, None), own.conditional.refit(None, both, other)
        for _ in range(2):
            psi = psi - 0.3 * jax.grad(lambda psi, code=both: prior_loss(own.prior, psi, code))(psi)
        out = cotraining(Models(own.prior, own.conditional), (psi, phi), (z_x, z_y), symmetric=True)
        objectives.append(float((1 - beta + 0.5) * out.entropy - out.conditional_entropy))
        np.testing.assert_allclose(trained.stats["models"]["psi"][head], psi, rtol=1e-4, atol=1e-5)
        kept, begun = (own.models_of(s, head) for s in (trained.stats, state.stats))
        windows = [(np.exp(old) + 9 * np.exp(new)) / 10 for old, new in zip(begun, (psi, phi), strict=True)]
        chex.assert_trees_all_close(jax.tree.map(np.exp, kept), tuple(windows), rtol=1e-4, atol=1e-5)
    assert float(metrics["loss"]) == pytest.approx(-np.mean(objectives), rel=1e-5)


def test_chunks_and_averages_change_no_parameter(key, centres, first_step):
    experiment, _ = make_experiment(microbatch_size=4, average_decay=0.5)
    whole, (other, _) = first_step[2], run(experiment, key, centres, how="shard_map", devices=1, steps=1)
    chex.assert_trees_all_close((other.params, other.stats), (whole.params, whole.stats), rtol=2e-4, atol=2e-6)
    chex.assert_trees_all_equal_dtypes(other.average, (other.params, other.stats))


class AdamInside(TwoInnerSteps):
    """Co-training whose inner optimiser remembers."""

    inner_optimizer = optax.adam(0.1)


def test_the_inner_optimiser_continues_where_the_step_before_left_it(key, centres, monkeypatch):
    monkeypatch.setattr(f"{__name__}.TwoInnerSteps", AdamInside)
    experiment, _ = make_experiment("autoregressive")
    state, _ = run(experiment, key, centres, how="shard_map", devices=1, steps=3)
    assert int(state.stats["models"]["optimizer"][0].count) == 3 * 2


def test_codes_of_a_run_come_with_the_prior_of_the_chosen_head(first_step):
    _, method, state, _ = first_step
    model, psi = method.output_codes(state.variables, {"code/head": 1}).prior
    assert model is method.prior
    own = method.models_of(state.variables[1], 1)[0]
    other = method.models_of(state.variables[1], 0)[0]
    chex.assert_trees_all_equal(psi, own)
    assert any(np.any(a != b) for a, b in zip(*map(jax.tree.leaves, (own, other)), strict=True))


def test_a_price_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"objective\.betas"):
        make_experiment(betas=(0.5, -1))


@pytest.fixture(scope="module")
def reached():
    """Codes of pairs that share one of 4 classes, at three prices of memory."""
    return train_shared_class((0.0, 0.5, 1.2), num_classes=4, dim=6, num_starts=3, num_steps=250, seed=1)


def test_a_code_finds_the_class_that_a_pair_shares(reached):
    assert reached[0.0].mi >= 0.98 * np.log(4)
    assert reached[0.0].entropy == pytest.approx(reached[0.0].exact_entropy, rel=0.01)


def test_memory_at_a_price_is_worth_what_theory_says(reached):
    assert reached[0.5].objective == pytest.approx(0.5 * np.log(4), rel=0.03)
    assert reached[1.2].entropy < 0.05


def test_a_difference_of_entropies_says_more_than_cpc_ever_could():
    information = gaussian_information(0.9, 8, num_steps=400)
    assert information == pytest.approx(-4 * np.log(1 - 0.81), rel=0.05)
    assert information > np.log(128)
