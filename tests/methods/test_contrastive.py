"""Encoding in chunks: the gradient of one shot, in the memory of a chunk."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from commands import ROOT, read_config
from small_experiment import make_experiment, run

import mi_coding
from mi_coding.methods.chunks import encode_in_chunks, jointly
from mi_coding.runs import build
from mi_coding.runs.build import with_parts
from mi_coding.training.devices import data_parallel
from mi_coding.training.memory import bytes_needed, describe_bytes, loss_bytes
from mi_coding.training.step import init_state, make_step

SIMCLR = ROOT / "configs" / "simclr.py"


@pytest.mark.parametrize(("size", "devices"), [(1, 1), (4, 1), (16, 1), (2, 4)])
def test_chunks_train_the_parameters_of_one_shot_with_as_many_distractors(key, images, size, devices):
    whole = run(make_experiment()[0], key, images, how="shard_map", devices=1)
    chunks = run(make_experiment(microbatch_size=size)[0], key, images, how="shard_map", devices=devices)
    chex.assert_trees_all_close(chunks, whole, rtol=2e-4, atol=2e-6)
    np.testing.assert_allclose(chunks[1]["mi_lower_bound"] + chunks[1]["loss"], np.log(16), rtol=1e-6)


@pytest.mark.parametrize("size", [0, 4])
def test_an_encoder_each_with_the_same_parameters_is_one_encoder_for_both(key, images, size):
    one, codes = make_experiment(microbatch_size=size)
    two, codes_of_two = make_experiment(microbatch_size=size, separate=True)
    params, stats = (lambda s: (s.params, s.stats))(init_state(one, key, images))
    both = params | {"encoder": {"x": params["encoder"], "y": params["encoder"]}}, {"x": stats, "y": stats}
    x, y = jax.jit(one.sample_pairs)(key, images, jnp.arange(16))
    (loss, _), gradient = jax.jit(jax.value_and_grad(one.loss, has_aux=True))(params, stats, key, x, y, None)
    (loss_of_two, _), gradient_of_two = jax.jit(jax.value_and_grad(two.loss, has_aux=True))(*both, key, x, y, None)
    np.testing.assert_allclose(loss_of_two, loss, rtol=1e-5)
    halves = gradient_of_two["encoder"]
    together = jax.tree.map(jnp.add, halves["x"], halves["y"])
    chex.assert_trees_all_close(together, gradient["encoder"], rtol=1e-4, atol=1e-6)
    assert any(not np.allclose(*leaves) for leaves in zip(*map(jax.tree.leaves, halves.values()), strict=True))
    for theirs, half in ((x, "x"), (y, "y")):
        ours = lambda *arguments, half=half: codes_of_two.encode(*arguments, half=half).codes  # noqa: E731
        other = both[0] | {"encoder": both[0]["encoder"] | {half: jax.tree.map(jnp.zeros_like, params["encoder"])}}
        np.testing.assert_allclose(ours(*both, theirs), codes.encode(params, stats, theirs).codes, rtol=1e-5, atol=1e-6)
        assert not np.allclose(ours(other, both[1], theirs), ours(*both, theirs))


class WithBatchNorm(nn.Module):
    """Two layers around a batch norm, the smallest encoder with statistics."""

    @nn.compact
    def __call__(self, x, train):
        x = nn.BatchNorm(use_running_average=not train, momentum=0.8)(nn.Dense(5)(x))
        return nn.Dense(3)(jnp.tanh(x))


def test_chunks_with_batch_norm_give_the_gradient_of_chunks_in_memory():
    module = WithBatchNorm()
    x, y = jax.random.normal(jax.random.key(0), (2, 8, 6)) + jnp.arange(8.0)[:, None]  # every chunk has its own mean
    variables = module.init(jax.random.key(1), x, False)
    params, stats = variables["params"], {"batch_stats": variables["batch_stats"]}

    def codes(params, stats, x):
        return module.apply({"params": params, **stats}, x, True, mutable=["batch_stats"])

    def in_chunks(params):
        z_x, z_y, new = encode_in_chunks(jointly(codes), 2)(params, stats, x, y)
        return mi_coding.cpc(z_x, z_y, normalize=True, temperature=0.3).loss, new

    def one_by_one(params):
        parts = [codes(params, stats, jnp.concatenate([x[i : i + 2], y[i : i + 2]])) for i in range(0, 8, 2)]
        z_x, z_y = (jnp.concatenate([z[half] for z, _ in parts]) for half in (slice(0, 2), slice(2, 4)))
        new = jax.tree.map(lambda *leaves: sum(leaves) / 4, *[s for _, s in parts])
        return mi_coding.cpc(z_x, z_y, normalize=True, temperature=0.3).loss, new

    ours, theirs = (jax.jit(jax.value_and_grad(f, has_aux=True))(params) for f in (in_chunks, one_by_one))
    chex.assert_trees_all_close(ours, theirs, rtol=1e-4, atol=1e-6)


def step_bytes(images, **options):
    way = data_parallel("shard_map", jax.local_devices()[:1])
    experiment, _ = make_experiment(**options)
    state = init_state(experiment, jax.random.key(0), images)
    step = way.parallel(make_step(experiment, jax.random.key(0), 1))
    return bytes_needed(step.lower(way.replicate(state), way.replicate(images)).compile())


def test_chunks_need_less_memory(images):
    whole, chunks = (step_bytes(images, batch_size=128, microbatch_size=size) for size in (0, 8))
    assert chunks < whole / 2


@pytest.mark.parametrize("how", ["shard_map", "pmap"])
def test_memory_of_the_loss_is_that_of_its_scores(how):
    def dense(queries, keys, *, key, axis_name):
        return mi_coding.cpc(queries, keys, method="gather", axis_name=axis_name)

    way = data_parallel(how, jax.local_devices()[:2])
    small, large = (loss_bytes(dense, (b // 2, 8), (b // 2, 8), way) for b in (256, 1024))
    scores = 512 * 1024 * 4  # of one of the two devices, in bytes
    assert scores < large < 8 * scores
    assert large / small > 8  # 16 in the limit: the scores, not the codes


def test_bytes_are_told_in_the_unit_that_fits():
    assert [describe_bytes(n) for n in (0, 1023, 1024, 5 * 2**30)] == ["0.0 B", "1023.0 B", "1.0 KiB", "5.0 GiB"]


@pytest.mark.parametrize(
    ("overrides", "is_bound"),
    [
        ([], True),
        (["--config.encoder.name=resnet18"], False),
        (["--config.encoder.head_batch_norm=True"], False),
        (["--config.encoder.head_batch_norm=True", "--config.encoder.head_layers=1"], True),
        (["--config.encoder.name=resnet18", "--config.microbatch_size=16"], True),
    ],
)
def test_batch_norm_over_chunks_leaves_no_training_bound(overrides, is_bound):
    plan = build.plan(read_config("--config.batch_size=16", "--config.microbatch_size=4", *overrides))
    method = with_parts(plan, [{"shape": (8, 8, 1)}], 0, num_devices=1, num_steps=2)
    assert method.is_bound == is_bound
    assert ("no training bound: batch norm is over the chunks" in method.forecast()) == (not is_bound)


@pytest.mark.parametrize(("views", "normalises"), [(2, False), (4, True)])
def test_a_microbatch_of_all_pairs_is_a_chunk_where_they_have_more_than_two_views(views, normalises):
    small = ["--config.batch_size=16", "--config.microbatch_size=16", f"--config.pairs.views={views}"]
    plan = build.plan(read_config(*small, "--config.encoder.head_batch_norm=True", config=SIMCLR))
    method = with_parts(plan, [{"shape": (8, 8, 1)}], 0, num_devices=1, num_steps=2)
    assert method.normalises_chunks == normalises
