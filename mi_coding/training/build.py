"""From a config to an experiment: the one place in training/ that reads the names in a config."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
from ml_collections import ConfigDict

from mi_coding import encoders, pairs
from mi_coding.contrast import POOL
from mi_coding.critics import CRITICS
from mi_coding.objectives.cpc import CPC_RULES, CPCOutput, cpc, nt_xent
from mi_coding.pairs.frames import Clips, frames
from mi_coding.training import optimizers
from mi_coding.training.contrastive import contrastive
from mi_coding.training.experiment import Codes, Experiment


def build_pairs(config: ConfigDict) -> pairs.PairKind:
    """How `config.pairs` makes a pair of an example."""
    return frames(build_clips(config))


def build_clips(config: ConfigDict) -> Clips:
    """The population of clips that `config.pairs` describes."""
    return Clips(
        window=config.pairs.window,
        seconds=config.pairs.clip_seconds,
        frame_rate=config.pairs.frame_rate,
        gap=config.pairs.gap,
        speed=config.pairs.speed,
    )


def build_experiment(config: ConfigDict, platform: str) -> tuple[Experiment, Codes]:
    """The experiment a checked config describes, in the shapes that `platform` ("cpu", "gpu", "tpu") likes."""
    encoder = encoders.build(
        config.encoder.name,
        **_family_options(config.encoder, platform),
        dtype=config.encoder.dtype,
        head_layers=config.encoder.head_layers,
        head_batch_norm=config.encoder.head_batch_norm,
        head_width=config.encoder.head_width,
        code_dim=config.encoder.code_dim,
    )
    sample_pairs = partial(
        pairs.sample_pairs,
        kind=build_pairs(config),
        distinct_among=config.batch_size if config.pairs.distinct else None,
    )
    return contrastive(
        encoder,
        CRITICS[config.critic.name](),
        _objective(config),
        _loss(config),
        sample_pairs=sample_pairs,
        optimizer=_optimizer(config),
        batch_size=config.batch_size,
        code_dim=config.encoder.code_dim,
        microbatch_size=config.microbatch_size or None,
    )


def _family_options(encoder: ConfigDict, platform: str) -> dict[str, Any]:
    """What only one family of encoders understands."""
    if encoder.name == "convnet":
        widths = tuple(encoder.widths)
        return {"widths": widths, "feature_dim": encoder.feature_dim, "patches": platform == "cpu"}
    return {"stem": encoder.stem, "width_multiplier": encoder.width_multiplier}


def num_candidates(config: ConfigDict, num_devices: int) -> int:
    """N of a training step: the true candidate and its distractors."""
    shard = config.batch_size // num_devices
    if config.objective.name == "nt_xent":
        return POOL.num_candidates(2 * shard, num_devices)
    if config.objective.num_distractors:
        return config.objective.num_distractors + 1
    return CPC_RULES[config.objective.distractors].num_candidates(shard, num_devices)


def _objective(config: ConfigDict) -> Callable[..., CPCOutput]:
    """What is minimised: (queries, keys, key=…, axis_name=…) → `CPCOutput`."""
    method, block_size = config.objective.method, config.objective.block_size or None
    loss = _loss(config, distractors=config.objective.distractors)
    drawn = config.objective.num_distractors

    def objective(queries: jax.Array, keys: jax.Array, *, key: jax.Array, axis_name: str | None) -> CPCOutput:
        draws = {"num_distractors": drawn, "key": key} if drawn else {"method": method, "block_size": block_size}
        return loss(queries, keys, axis_name=axis_name, **draws)

    return objective


def _loss(config: ConfigDict, distractors: str = "all") -> Callable[..., CPCOutput]:
    if config.objective.name == "nt_xent":
        return partial(nt_xent, temperature=config.critic.temperature)
    return partial(
        cpc,
        temperature=config.critic.temperature,
        normalize=config.critic.normalize,
        symmetric=config.objective.symmetric,
        distractors=distractors,
    )


def _optimizer(config: ConfigDict):
    options = config.optimizer.to_dict()
    return optimizers.build(options.pop("name"), num_steps=config.num_steps, **options)
