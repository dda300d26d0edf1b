"""From a config to an experiment: the one place in training/ that reads the names in a config."""

from functools import partial

from ml_collections import ConfigDict

from mi_coding import encoders, pairs
from mi_coding.contrast import POOL
from mi_coding.critics import CRITICS
from mi_coding.objectives.cpc import CPC_RULES, cpc, nt_xent
from mi_coding.pairs.frames import Clips, frames
from mi_coding.training import optimizers
from mi_coding.training.contrastive import contrastive
from mi_coding.training.experiment import Codes, Experiment


def build_pairs(config: ConfigDict) -> pairs.PairKind:
    """How `config.pairs` makes a pair of an example."""
    return frames(
        Clips(
            window=config.pairs.window,
            seconds=config.pairs.clip_seconds,
            frame_rate=config.pairs.frame_rate,
            gap=config.pairs.gap,
            speed=config.pairs.speed,
        )
    )


def build_experiment(config: ConfigDict, platform: str) -> tuple[Experiment, Codes]:
    """The experiment a checked config describes, in the shapes that `platform` ("cpu", "gpu", "tpu") likes."""
    encoder = encoders.build(
        config.encoder.name,
        widths=tuple(config.encoder.widths),
        feature_dim=config.encoder.feature_dim,
        patches=platform == "cpu",
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
        _objective(config, distractors=config.objective.distractors, method=config.objective.method),
        _objective(config, distractors="all", method="auto"),
        sample_pairs=sample_pairs,
        optimizer=_optimizer(config),
        batch_size=config.batch_size,
    )


def num_candidates(config: ConfigDict, num_devices: int) -> int:
    """N of a training step: the true candidate and its distractors."""
    shard = config.batch_size // num_devices
    if config.objective.name == "nt_xent":
        return POOL.num_candidates(2 * shard, num_devices)
    return CPC_RULES[config.objective.distractors].num_candidates(shard, num_devices)


def _objective(config: ConfigDict, *, distractors: str, method: str):
    how = {
        "temperature": config.critic.temperature,
        "method": method,
        "block_size": config.objective.block_size or None,
    }
    if config.objective.name == "nt_xent":
        return partial(nt_xent, **how)
    symmetric, normalize = config.objective.symmetric, config.critic.normalize
    return partial(cpc, normalize=normalize, symmetric=symmetric, distractors=distractors, **how)


def _optimizer(config: ConfigDict):
    options = config.optimizer.to_dict()
    return optimizers.build(options.pop("name"), num_steps=config.num_steps, **options)
