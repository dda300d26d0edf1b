"""From a config to an experiment: the one place in training/ that reads the names in a config."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import optax
from ml_collections import ConfigDict

from mi_coding import data, encoders, pairs
from mi_coding.contrast import POOL
from mi_coding.critics import CRITICS, bilinear_ahead
from mi_coding.errors import InputError
from mi_coding.objectives import codes
from mi_coding.objectives.ahead import cpc_ahead
from mi_coding.objectives.codes import CodeModel
from mi_coding.objectives.cpc import CPC_RULES, CPCOutput, cpc, nt_xent
from mi_coding.objectives.groups import within_groups
from mi_coding.pairs.augmentations import PRESETS, augmented, composition
from mi_coding.pairs.film_pairs import moments
from mi_coding.pairs.frames import Clips, frames, whole_clips
from mi_coding.pairs.given import given
from mi_coding.pairs.sequences import sequences
from mi_coding.training import optimizers
from mi_coding.training.contrastive import contrastive
from mi_coding.training.cotraining import Inner, cotraining_experiment
from mi_coding.training.experiment import Codes, Experiment
from mi_coding.training.sequence import sequence

STEPS_PER_CALL = 50
"""Steps in one call where the config leaves it open and the platform likes it."""


def build_pairs(config: ConfigDict) -> pairs.PairKind:
    """How `config.pairs` makes a pair of an example.

    Raises:
        ValueError: for strengths, probabilities or sizes that cannot be.
    """
    return PAIRS[config.pairs.name](config)


def build_clips(config: ConfigDict) -> Clips:
    """The population of clips that `config.pairs` describes."""
    return Clips(
        window=config.pairs.window,
        seconds=config.pairs.clip_seconds,
        frame_rate=config.pairs.frame_rate,
        speed=config.pairs.speed,
        **({"gap": config.pairs.gap} if config.pairs.name == "frames" else {}),
    )


def _augmentation_pairs(config: ConfigDict) -> pairs.PairKind:
    options = {name: config.pairs[name] for name in augmentation_options(config.pairs.preset)}
    if config.pairs.preset == CUSTOM:
        return augmented(composition(options["steps"]))
    return PRESETS[config.pairs.preset](**options | {"size": options["size"] or None})


CUSTOM = "custom"
"""The `config.pairs.preset` that is a list of steps in `config.pairs.steps`."""
AUGMENTATION_OPTIONS = ("size", "strength", "min_area", "flip", "jitter", "gray", "blur", "mask", "order", "steps")
"""Keys of `config.pairs` that describe augmentations; each preset has some of them."""


def augmentation_options(preset: str) -> tuple[str, ...]:
    """Which of `AUGMENTATION_OPTIONS` a preset has.

    >>> augmentation_options("gray28")
    ('size', 'strength', 'min_area', 'flip', 'jitter', 'mask', 'order')
    """
    if preset == CUSTOM:
        return ("steps",)  # a step that crops has a size of its own
    takes = inspect.signature(PRESETS[preset]).parameters
    return tuple(name for name in AUGMENTATION_OPTIONS if name in takes)


PAIRS: dict[str, Callable[[ConfigDict], pairs.PairKind]] = {
    "frames": lambda config: frames(build_clips(config)),
    "clips": lambda config: whole_clips(build_clips(config)),
    "augmentations": _augmentation_pairs,
    "given": lambda config: given(),
    "sequences": lambda config: sequences(
        step_size=config.pairs.step_size,
        num_steps=config.pairs.num_steps,
        scale=config.pairs.scale,
        window=config.pairs.window,
    ),
    "film": lambda config: moments(),
}
"""Names of `config.pairs.name`."""

ACROSS, WITHIN, MIXED = "across", "within", "mixed"
FILM_DISTRACTORS = (ACROSS, WITHIN, MIXED)
"""Names of `config.pairs.distractors`: moments of all films; of the same film; of all, many of them of the same."""


def of_films(config: ConfigDict) -> bool:
    """Whether pairs are two moments of a stored film."""
    return config.pairs.name == "film"


def within_films(config: ConfigDict) -> bool:
    """Whether all candidates of a training step are moments of one film."""
    return of_films(config) and config.pairs.distractors == WITHIN


def group_size(config: ConfigDict) -> int:
    """Pairs of one film side by side in a batch; 1 where every pair is drawn by itself."""
    return config.pairs.group_size if of_films(config) and config.pairs.distractors != ACROSS else 1


def is_bound(config: ConfigDict) -> bool:
    """Whether ln N − loss of a training batch bounds the information: its pairs are independent draws."""
    of_same_film = of_films(config) and config.pairs.distractors == MIXED
    at_other_times = config.objective.name == AHEAD and config.objective.other_times
    if config.objective.name == COTRAINING:
        return False
    return not (config.pairs.distinct or of_same_film or at_other_times)


def probe_classes(config: ConfigDict, num_classes: int) -> int:
    """Classes of the online probe, where the data has so many; 0 where the run has none."""
    return num_classes if config.optimizer.get("probe_learning_rate") and not of_films(config) else 0


def streamed_examples(config: ConfigDict, described: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a stream hands out for each example that is described so: of films two frames at once."""
    return [half | {"shape": [2, *half["shape"]]} for half in described] if of_films(config) else described


def keeping(config: ConfigDict) -> data.Keeping:
    """How the films of a source are decoded and cut."""
    if not of_films(config):
        return data.Keeping()
    return data.Keeping(config.pairs.gap, config.data.frame_rate, config.data.cache_dir)


SEQUENCES = ("sequences", "clips")
"""Those of `PAIRS` whose examples hold every pair of a step and the steps before it."""
AHEAD = "cpc_ahead"
"""The `config.objective.name` that is for `SEQUENCES`."""
COTRAINING = "cotraining"
"""The `config.objective.name` that has models of its codes, and no candidates."""


def describe_pairs(config: ConfigDict) -> str:
    """What makes x and y a pair, in a few words."""
    if config.pairs.name == "frames":
        return f"two frames of one clip, {config.pairs.gap:g} s apart"
    if config.pairs.name == "given":
        return "the x and the y of one row"
    if config.pairs.name in SEQUENCES:
        return "the steps before some time, and those after it"
    if of_films(config):
        return f"two moments of one film, {config.pairs.gap:g} s apart"
    return f"two random modifications of one image, preset {config.pairs.preset}"


ENCODERS_OF_PAIRS = ("separate", "shared")
"""Names of `config.pairs.encoders`, which given pairs have: an encoder each for x and for y, or one for both."""


def has_two_encoders(config: ConfigDict) -> bool:
    """Whether x and y have an encoder each."""
    return config.pairs.name == "given" and config.pairs.encoders == "separate"


def pair_shape(config: ConfigDict, image_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of x for images, or frames, of one shape; nothing is computed.

    Raises:
        ValueError: where the pairs cannot be made of such images.
    """
    shape = (2, *image_shape) if of_films(config) else image_shape
    key, example = jax.random.key(0), jax.ShapeDtypeStruct(shape, "float32")
    return jax.eval_shape(build_pairs(config).pair, key, example)[0].shape


def num_steps(config: ConfigDict, num_examples: int) -> int:
    """Steps of the whole run: `config.num_steps` or `config.num_epochs`, whichever ends first; 0 is no end."""
    ends = [config.num_steps] if config.num_steps else []
    if config.num_epochs:
        ends.append(max(1, round(config.num_epochs * num_examples / config.batch_size)))
    return min(ends)


def steps_per_call(config: ConfigDict, platform: str, num_devices: int, *, streamed: bool) -> int:
    """Steps that one call takes on the devices.

    A loop on the device saves the host's part of every step; on CPU it also made a step of matrix products 1.6 times
    as fast, but XLA's own convolutions run on one thread inside a loop there, 13 times as slow. Virtual devices of one
    CPU that exchange something inside a loop can wait for each other forever (8 devices on 2 cores, jaxlib 0.10.2).

    Raises:
        InputError: where the config asks for more than one and that cannot be.
    """
    virtual = platform == "cpu" and num_devices > 1
    if config.steps_per_call > 1 and (streamed or virtual):
        why = "streamed data" if streamed else f"{num_devices} virtual devices of a CPU"
        raise InputError(f"config.steps_per_call={config.steps_per_call} on {why}; expected 1, or 0 to choose")
    if streamed or virtual:
        return 1
    if config.steps_per_call:
        return config.steps_per_call
    return 1 if platform == "cpu" and config.encoder.name not in ("convnet", "mlp") else STEPS_PER_CALL


def build_experiment(
    config: ConfigDict,
    platform: str,
    *,
    example_shape: tuple[int, ...],
    num_steps: int,
    num_classes: int = 0,
    streamed: bool = False,
) -> tuple[Experiment, Codes]:
    """The experiment a checked config describes.

    Args:
        config: checked.
        platform: "cpu", "gpu" or "tpu", whose favourite shapes are used.
        example_shape: of one example of the data.
        num_steps: of the whole run, for the schedule of the learning rate.
        num_classes: of the labels that come with the images, for the online probe; 0 where there are none.
        streamed: whether the steps get batches of examples, and not all of them to draw from.
    """
    shared = {
        "sample_pairs": _sample_pairs(config, with_labels=num_classes > 0, streamed=streamed),
        "optimizer": _optimizer(config, num_steps),
        "batch_size": config.batch_size,
        "average_decay": config.optimizer.average_decay,
    }
    if config.objective.name == COTRAINING:
        return _cotraining(config, platform, num_steps, shared)
    shared["num_classes"] = num_classes
    if num_classes:
        rate = config.optimizer.probe_learning_rate
        shared["optimizer"] = optimizers.with_own_rate(shared["optimizer"], "probe", rate)
    if config.objective.name == AHEAD:
        return _sequence(config, platform, pair_shape(config, example_shape)[0], shared)
    return contrastive(
        _encoder(config.encoder, platform, config.encoder.code_dim),
        CRITICS[config.critic.name](),
        _objective(config),
        _loss(config),
        code_dim=config.encoder.code_dim,
        microbatch_size=config.microbatch_size or None,
        separate=has_two_encoders(config),
        **shared,
    )


def _cotraining(config: ConfigDict, platform: str, num_steps: int, shared: dict[str, Any]) -> tuple[Experiment, Codes]:
    code, options = config.code, config.optimizer
    phi_rate = optax.cosine_decay_schedule(options.conditional_learning_rate, num_steps)
    psi_rate = optax.cosine_decay_schedule(
        options.prior_learning_rate, max(1, num_steps * options.prior_steps), alpha=_LAST_PRIOR_RATE
    )
    return cotraining_experiment(
        _encoder(
            config.encoder,
            platform,
            code.num_heads * code.num_symbols * code.num_values,
            spread=code.spread,
            group=code.num_values,
        ),
        code_model(config, "prior"),
        code_model(config, "conditional"),
        Inner(options.refit, optax.adam(psi_rate), options.prior_steps),
        betas=betas(config),
        balance=optax.linear_schedule(config.objective.balance, 0.0, max(1, num_steps // 2)),
        symmetric=config.objective.symmetric,
        microbatch_size=config.microbatch_size or None,
        **shared | {"optimizer": optimizers.with_own_rate(shared["optimizer"], "conditional", phi_rate)},
    )


_LAST_PRIOR_RATE = 0.1
"""Share of its first rate that Ψ ends with: the encoder slows down to zero, Ψ only to where its noise is small."""


def betas(config: ConfigDict) -> tuple[float, ...]:
    """β of each code: `config.objective.betas` in turn, or `config.objective.beta` for all."""
    given = tuple(config.objective.betas) or (config.objective.beta,)
    return tuple(float(given[head % len(given)]) for head in range(config.code.num_heads))


def code_model(config: ConfigDict, role: str) -> CodeModel:
    """The "prior" or the "conditional" model that `config.code` describes.

    Raises:
        ValueError: for codes, orders or networks that cannot be.
    """
    return CODE_MODELS[config.code[role]](config.code, role)


CODE_MODELS: dict[str, Callable[[ConfigDict, str], CodeModel]] = {
    "independent": lambda code, role: codes.independent(
        code.num_symbols, code.num_values, conditional=role == "conditional"
    ),
    "markov": lambda code, role: codes.markov(
        code.num_symbols, code.num_values, order=code[f"{role}_order"], conditional=role == "conditional"
    ),
    "autoregressive": lambda code, role: codes.autoregressive(
        code.num_symbols,
        code.num_values,
        hidden=code[f"{role}_hidden"],
        samples=code.samples,
        conditional=role == "conditional",
    ),
}
"""Names of `config.code.prior` and `config.code.conditional`."""


def _encoder(options: ConfigDict, platform: str, code_dim: int, **of_code: Any) -> encoders.Encoder:
    return encoders.build(
        options.name,
        **_family_options(options, platform),
        dtype=options.dtype,
        head_layers=options.head_layers,
        head_batch_norm=options.head_batch_norm,
        head_activation=options.activation,
        head_width=options.head_width,
        code_dim=code_dim,
        **of_code,
    )


def _sequence(config: ConfigDict, platform: str, num_steps: int, shared: dict[str, Any]) -> tuple[Experiment, Codes]:
    """The experiment on sequences of so many steps."""
    dimensions = {"code_dim": config.encoder.code_dim, "context_dim": config.encoder.context_dim}
    encoder = encoders.build_sequence(
        config.encoder.name, **_family_options(config.encoder, platform), dtype=config.encoder.dtype, **dimensions
    )
    return sequence(
        encoder,
        bilinear_ahead(config.objective.num_ahead),
        _ahead_objective(config),
        partial(_ahead_loss(config), one_by_one=True),
        num_steps=num_steps,
        num_ahead=config.objective.num_ahead,
        num_times=config.objective.num_times,
        feature=config.encoder.feature,
        **dimensions,
        **shared,
    )


def num_targets(config: ConfigDict, example_shape: tuple[int, ...]) -> int:
    """Steps of each sequence that a training step predicts."""
    return config.objective.num_times or pair_shape(config, example_shape)[0] - config.objective.num_ahead


def _sample_pairs(config: ConfigDict, *, with_labels: bool, streamed: bool) -> Callable:
    kind = pairs.labelled(build_pairs(config)) if with_labels else build_pairs(config)
    if of_films(config) and not streamed:
        sample = partial(pairs.sample_film_pairs, kind=kind, group_size=group_size(config))
        return _modified(config, sample)
    if streamed:
        sample = partial(pairs.pairs_of_batch, kind=kind)
        return _modified(config, sample) if of_films(config) else sample
    distinct_among = config.batch_size if config.pairs.distinct else None
    return partial(pairs.sample_pairs, kind=kind, distinct_among=distinct_among)


def _modified(config: ConfigDict, sample: Callable) -> Callable:
    """Pairs of films as training sees them: every batch under one random modification, where the config has steps."""
    return pairs.modified_alike(sample, composition(config.pairs.steps)) if config.pairs.steps else sample


def _family_options(encoder: ConfigDict, platform: str) -> dict[str, Any]:
    """What only one family of encoders understands."""
    if encoder.name not in ("convnet", "mlp"):
        # XLA's own convolutions in bfloat16 give NaN on CPU, in inference and compiled (jaxlib 0.12.0).
        patches = platform == "cpu" and encoder.dtype == "bfloat16"
        return {"stem": encoder.stem, "width_multiplier": encoder.width_multiplier, "patches": patches}
    options = {"widths": tuple(encoder.widths), "feature_dim": encoder.feature_dim, "activation": encoder.activation}
    return options if encoder.name == "mlp" else options | {"grid": encoder.grid, "patches": platform == "cpu"}


def num_candidates(config: ConfigDict, num_devices: int, example_shape: tuple[int, ...]) -> int | None:
    """N of a training step: the true candidate and its distractors; None for an objective that has none."""
    if config.objective.name == COTRAINING:
        return None
    if within_films(config):
        return 2 * group_size(config) - 1 if config.objective.name == "nt_xent" else group_size(config)
    shard = config.batch_size // num_devices
    if config.objective.name == "nt_xent":
        return POOL.num_candidates(2 * shard, num_devices)
    if config.objective.name == AHEAD:
        shard *= num_targets(config, example_shape) if config.objective.other_times else 1
    elif config.objective.num_distractors:
        return config.objective.num_distractors + 1
    return CPC_RULES[config.objective.distractors].num_candidates(shard, num_devices)


def heldout_batch(config: ConfigDict, num_candidates: int) -> int:
    """Pairs in a held-out batch whose N is that of training: N for cpc, B for NT-Xent's pool of 2B − 1.

    Distractors from other times depend on the context, so a bound does without them: N is then B.
    """
    at_other_times = config.objective.name == AHEAD and config.objective.other_times
    return config.batch_size if config.objective.name == "nt_xent" or at_other_times else num_candidates


def _objective(config: ConfigDict) -> Callable[..., CPCOutput]:
    """What is minimised: (queries, keys, key=…, axis_name=…) → `CPCOutput`."""
    if within_films(config):
        grouped = within_groups(_loss(config), group_size(config))
        return lambda queries, keys, *, key, axis_name: grouped(queries, keys, axis_name=axis_name)
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


def _ahead_objective(config: ConfigDict) -> Callable[..., CPCOutput]:
    options = {"other_times": config.objective.other_times, "method": config.objective.method}
    options["block_size"] = config.objective.block_size or None
    loss = partial(_ahead_loss(config), distractors=config.objective.distractors, **options)
    return lambda queries, keys, *, key, axis_name: loss(queries, keys, axis_name=axis_name)


def _ahead_loss(config: ConfigDict) -> Callable[..., CPCOutput]:
    return partial(
        cpc_ahead,
        temperature=config.critic.temperature,
        normalize=config.critic.normalize,
        symmetric=config.objective.symmetric,
    )


def _optimizer(config: ConfigDict, num_steps: int) -> optax.GradientTransformation:
    options = config.optimizer
    return optimizers.build(
        options.name,
        learning_rate=options.learning_rate * optimizers.SCALINGS[options.learning_rate_scaling](config.batch_size),
        warmup_steps=options.warmup_steps,
        num_steps=num_steps,
        weight_decay=options.weight_decay,
        momentum=options.momentum,
        gradient_clip=options.gradient_clip,
    )
