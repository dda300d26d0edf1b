"""The optimiser that a config describes is the one that moves the parameters."""

import pytest
from commands import read_config
from test_optimizers import assert_follows, updates_of

from mi_coding.runs import build
from mi_coding.runs.build import with_parts

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
