"""What a config may choose from trains, and has a bound."""

import math

import pytest
from commands import CPC, SHORT, evaluated, fitting, train
from shallow import one_block_a_stage


@pytest.mark.soak
@pytest.mark.parametrize(
    "overrides",
    [
        ["--config.objective.name=nt_xent", "--config.spmd=pmap"],
        ["--config.objective.distractors=other_devices", "--config.critic.name=bilinear"],
        ["--config.objective.num_distractors=3", "--config.microbatch_size=1", "--config.objective.method=auto"],
        [
            "--config.encoder.name=resnet18",
            "--config.encoder.width_multiplier=0.0625",
            "--config.objective.method=ring",
        ],
        ["--config.critic.normalize=False", "--config.critic.temperature=5.0", "--config.optimizer.name=lars"],
    ],
    ids=lambda overrides: overrides[0].rpartition("=")[2],
)
def test_every_choice_in_the_config_runs(tmp_path, overrides):
    with one_block_a_stage():
        trained = train(tmp_path / "run", *fitting(CPC, *SHORT, *overrides))
        assert math.isfinite(evaluated(trained)["heldout/mi_lower_bound_nats"])
