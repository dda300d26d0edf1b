"""The optimiser that a config describes is the one that moves the parameters."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import pytest
from commands import read_config
from test_optimizers import assert_follows, updates_of

from mi_coding.runs import build
from mi_coding.runs.build import with_parts
from mi_coding.training.devices import data_parallel
from mi_coding.training.step import init_state, make_step

ALL_ON = {
    "learning_rate": 0.3,
    "warmup_steps": 2,
    "weight_decay": 0.1,
    "momentum": 0.8,
    "gradient_clip": 0.7,
}
NUM_STEPS = 6


@pytest.mark.parametrize(
    ("name", "scaling", "factor"),
    [("sgd", "linear", 64 / 256), ("lars", "sqrt", 8), ("adamw", "none", 1), ("muon", "none", 1)],
)
def test_every_option_of_the_optimizer_reaches_the_updates(name, scaling, factor):
    options = ALL_ON | {"name": name, "learning_rate_scaling": scaling}
    overrides = [f"--config.optimizer.{key}={value}" for key, value in options.items()]
    plan = build.plan(read_config("--config.batch_size=64", *overrides))
    method = with_parts(plan, [{"shape": (8, 8, 1)}], 0, num_devices=1, num_steps=NUM_STEPS)
    experiment = build.build_experiment(plan, method, NUM_STEPS, streamed=False)
    found = updates_of(experiment.optimizer, steps=NUM_STEPS)
    assert_follows(found, name, **ALL_ON | {"learning_rate": 0.3 * factor, "num_steps": NUM_STEPS})


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("objective", ["nt_xent", "cotraining", "supervised"])
def test_the_gradients_of_the_encoder_are_summed_in_the_dtype_of_the_config(objective, dtype):
    overrides = [f"--config.objective.name={objective}", f"--config.optimizer.all_reduce_dtype={dtype}"]
    plan, key = build.plan(read_config("--config.batch_size=8", *overrides)), jax.random.key(0)
    method = with_parts(plan, [{"shape": (8, 8, 1)}], 3, num_devices=4, num_steps=NUM_STEPS)
    experiment = build.build_experiment(plan, method, NUM_STEPS, streamed=False)
    images = jax.ShapeDtypeStruct((16, 8, 8, 1), jnp.uint8)
    data = (images, jax.ShapeDtypeStruct((16,), jnp.int32)) if method.uses_labels else images
    state = jax.eval_shape(partial(init_state, experiment), key, data)
    step = data_parallel("shard_map", jax.devices()[:4]).parallel(make_step(experiment, key, 4))
    program = step.lower(state, data).as_text()
    in_bfloat16 = re.findall(r"\}\) : \(tensor<[\dx]*bf16>\)", program)
    assert len(in_bfloat16) == (len(jax.tree.leaves(state.params["encoder"])) if dtype == "bfloat16" else 0)
