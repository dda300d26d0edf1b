"""The door: the command line and the config are read and checked here, once, before anything is compiled or written.

Only `mi_coding.main` and `training/` see a config; every other room takes plain arguments.
"""

import difflib
import importlib.util
import math
import re
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from absl import flags
from ml_collections import ConfigDict, config_flags

from mi_coding import data
from mi_coding.contrast import METHODS
from mi_coding.critics import CRITICS
from mi_coding.encoders import ACTIVATIONS, DTYPES, ENCODERS, STEMS, STEP_ENCODERS
from mi_coding.errors import InputError
from mi_coding.objectives.cpc import CPC_RULES
from mi_coding.pairs.augmentations import PRESETS, composition
from mi_coding.training import build
from mi_coding.training.devices import SPMD
from mi_coding.training.optimizers import OPTIMIZERS, SCALINGS
from mi_coding.training.processes import Place
from mi_coding.training.sequence import FEATURES

_POSITIVE = (
    "batch_size",
    "encoder.feature_dim",
    "encoder.grid",
    "optimizer.learning_rate",
    "checkpoint.every_steps",
    "checkpoint.keep",
    "log.every_steps",
    "evaluation.every_steps",
    "evaluation.num_pairs",
    "evaluation.views",
    "evaluation.knn_neighbours",
    "evaluation.knn_temperature",
)
_NOT_NEGATIVE = (
    "seed",
    "num_steps",
    "num_epochs",
    "steps_per_call",
    "data.image_size",
    "data.channels",
    "data.num_workers",
    "optimizer.warmup_steps",
    "optimizer.weight_decay",
    "optimizer.momentum",
    "optimizer.gradient_clip",
    "optimizer.average_decay",
    "evaluation.most_images",
)
_OTHER = (
    "spmd",
    "data.source",
    "data.placement",
    "pairs.name",
    "pairs.distinct",
    "encoder.name",
    "encoder.widths",
    "encoder.activation",
    "encoder.dtype",
    "objective.name",
    "objective.symmetric",
    "optimizer.name",
    "optimizer.learning_rate_scaling",
)
_CONTRASTIVE_POSITIVE = ("encoder.code_dim", "critic.temperature")
_CONTRASTIVE_NOT_NEGATIVE = ("objective.block_size", "optimizer.probe_learning_rate")
_CONTRASTIVE_OTHER = ("critic.normalize", "objective.distractors", "objective.method")
_WITH_HEAD_POSITIVE = ("encoder.width_multiplier", "encoder.head_layers", "encoder.head_width")
_WITH_HEAD_NOT_NEGATIVE = ("microbatch_size",)
_WITH_HEAD_OTHER = ("encoder.stem", "encoder.head_batch_norm")
_CODE_POSITIVE = (
    "code.num_symbols",
    "code.num_values",
    "code.num_heads",
    "code.samples",
    "optimizer.prior_learning_rate",
    "optimizer.conditional_learning_rate",
)
_CODE_NOT_NEGATIVE = (
    "code.spread",
    "code.prior_order",
    "code.prior_hidden",
    "code.conditional_order",
    "code.conditional_hidden",
    "objective.balance",
    "objective.beta",
    "optimizer.prior_steps",
)
_CODE_OTHER = ("code.prior", "code.conditional", "objective.betas", "optimizer.refit")
_SIGNAL_POSITIVE = ("pairs.step_size", "pairs.scale")
_SIGNAL_NOT_NEGATIVE = ("pairs.num_steps", "pairs.window")
_AHEAD_POSITIVE = ("encoder.context_dim", "objective.num_ahead")
_AHEAD_NOT_NEGATIVE = ("objective.num_times",)
_AHEAD_OTHER = ("encoder.feature", "objective.other_times")
_CLIP_POSITIVE = ("pairs.window", "pairs.clip_seconds", "pairs.frame_rate")
_CLIP_NOT_NEGATIVE = ("pairs.speed",)
_FILM_POSITIVE = ("pairs.gap", "pairs.group_size")
_FILM_OTHER = ("pairs.distractors", "pairs.steps", "data.frame_rate", "data.cache_dir")
_AUGMENTATION_KEYS = ("pairs.preset", *(f"pairs.{name}" for name in build.AUGMENTATION_OPTIONS))
_LARGEST_SEED = 2**32 - 1
_LARGEST_COUNT = 2**31 - 1  # devices count in int32
_LARGEST = {"data.image_size": 2**13, "data.num_workers": 2**10, "pairs.window": 2**13, "pairs.size": 2**13}
_MOST_FRAMES = _MOST_PROCESSES = 10**6
_LEAST_SPREAD = 0.01
"""Standard deviation of a signal below which, or above whose inverse, an encoder would hardly learn."""


class Command(NamedTuple):
    """A command line, read: the config with its overrides, the work directory if one was given, the config's name.

    `place` is that of one of several processes, if the command line tells it; `profile` asks for a trace of some steps.
    """

    config: ConfigDict
    workdir: Path | None
    config_name: str
    place: Place | None = None
    profile: bool = False


def parse_command(argv: list[str]) -> Command:
    """Reads `--config=FILE [--workdir=DIR] [--profile] [--config.KEY=VALUE …]`, with the program's name as `argv[0]`.

    One of several processes is told its place too: `--coordinator=HOST:PORT --num_processes=P --process_id=I`.

    Raises:
        InputError: one line for whatever is wrong with it.
    """
    values = flags.FlagValues()
    config_flags.DEFINE_config_file("config", None, "Config file.", flag_values=values, sys_argv=argv)
    flags.DEFINE_string("workdir", None, "Where the run is kept; the same one continues a run.", flag_values=values)
    flags.DEFINE_boolean("profile", False, "Whether to write a trace of some steps.", flag_values=values)
    flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0, where there are several.", flag_values=values)
    for name in ("num_processes", "process_id"):
        flags.DEFINE_integer(name, None, "How many processes there are; which this one is.", flag_values=values)
    path = _config_path(argv)
    keys = _flatten(_load(path))
    for name in _overrides(argv):
        _check_key(name, keys, path)
    try:
        positional = values(argv)[1:]
    except flags.IllegalFlagValueError as error:
        raise InputError(_wrong_type(str(error), keys)) from None
    except (flags.Error, AttributeError, TypeError, ValueError) as error:
        raise InputError(_one_line(error)) from None
    if positional:
        raise InputError(f"unexpected argument {positional[0]!r}; options are written --name=value")
    if values.workdir == "":
        raise InputError("--workdir= names nothing; expected a directory, or no --workdir for a new one in runs/")
    workdir = None if values.workdir is None else Path(values.workdir)
    return Command(values.config, workdir, path.stem, _place(values), values.profile)


def _place(values: flags.FlagValues) -> Place | None:
    given = {name: values[name].value for name in Place._fields}
    if all(value is None for value in given.values()):
        return None
    missing = [f"--{name}" for name, value in given.items() if value is None]
    if missing:
        raise InputError(f"{' and '.join(missing)} missing; expected all of --{', --'.join(given)}, or none")
    place = Place(**given)
    if not re.fullmatch(r".+:\d{1,5}", place.coordinator):
        raise InputError(f"--coordinator={place.coordinator}; expected HOST:PORT of process 0, such as 10.0.0.1:8476")
    if not 0 <= place.process_id < place.num_processes <= _MOST_PROCESSES:
        raise InputError(
            f"--process_id={place.process_id} of --num_processes={place.num_processes}; expected at least one and "
            f"at most {_MOST_PROCESSES:,} processes, numbered from 0"
        )
    return place


def check_config(config: ConfigDict, num_devices: int, num_processes: int = 1) -> None:
    """Refuses a config that cannot run as it says; called before anything is compiled.

    Raises:
        InputError: what was given, what was expected, and the nearest thing that works.
    """
    _check_keys(config, (*_POSITIVE, *_NOT_NEGATIVE, *_OTHER))
    _check_numbers(config, _POSITIVE, _NOT_NEGATIVE)
    _one_of("objective.name", config.objective.name, _CHECK_OBJECTIVE)
    _check_common(config)
    data.check_source(config.data.source)
    _one_of("data.placement", config.data.placement, data.PLACEMENTS)
    _one_of("data.channels", config.data.channels, (0, 1, 3))
    _one_of("spmd", config.spmd, SPMD)
    _one_of("pairs.name", config.pairs.name, _CHECK_PAIRS)
    _one_of("encoder.activation", config.encoder.activation, ACTIVATIONS)
    _one_of("encoder.dtype", config.encoder.dtype, DTYPES)
    _one_of("optimizer.name", config.optimizer.name, OPTIMIZERS)
    _one_of("optimizer.learning_rate_scaling", config.optimizer.learning_rate_scaling, SCALINGS)
    if num_processes > 1 and config.spmd != "shard_map":
        raise InputError(f"config.spmd={config.spmd!r} is for one process, here are {num_processes}; use 'shard_map'")
    _check_batch(config.batch_size, num_devices)
    _CHECK_OBJECTIVE[config.objective.name](config, num_devices)
    _CHECK_PAIRS[config.pairs.name](config)
    _check_groups(config, num_devices)
    _check_sizes(config)


def check_data(config: ConfigDict, dataset: data.Dataset) -> None:
    """Refuses what only the data can tell: examples that the pairs cannot be made of, too few of them for a batch."""
    num_train, described = data.num_examples(dataset.train), data.describe_examples(dataset.train)
    shapes = [tuple(half["shape"]) for half in described]
    _check_kind_of_data(config, shapes)
    if build.num_steps(config, num_train) > _LARGEST_COUNT:
        raise InputError(
            f"config.num_epochs={config.num_epochs} takes more than {_LARGEST_COUNT:,} steps; expected fewer"
        )
    if config.pairs.distinct and config.batch_size > num_train:
        raise InputError(
            f"config.pairs.distinct needs a batch no larger than the data: batch_size {config.batch_size}, "
            f"{num_train} training examples; use batch_size ≤ {num_train} or --config.pairs.distinct=False"
        )
    if config.pairs.name == "given":
        return
    if build.of_films(config) and dataset.train.films is None:
        raise InputError(
            f"config.pairs.name='film' makes pairs of frames of films, and {config.data.source} has images; expected a "
            "source such as 'video:clips/*.mp4', or config.pairs.name='augmentations' or 'frames'"
        )
    (shape,) = shapes
    height, width = (*shape, 1)[:2]
    if config.pairs.name == "sequences" and config.pairs.window and len(shape) != 3:
        raise InputError(
            f"config.pairs.window={config.pairs.window} is for images; given examples of shape {shape}: "
            "use --config.pairs.window=0"
        )
    in_window = config.pairs.name in ("frames", "clips") or (config.pairs.name == "sequences" and config.pairs.window)
    if in_window and config.pairs.window < max(height, width):
        raise InputError(
            f"config.pairs.window={config.pairs.window} is smaller than the images of {height} × {width} pixels; "
            f"expected at least {max(height, width)}"
        )
    try:
        pair_shape = build.pair_shape(config, shape)
    except ValueError as error:
        what = " × ".join(map(str, shape)) if config.pairs.name == "sequences" else f"images of {height} × {width}"
        raise InputError(f"config.pairs on {what}: {_one_line(error)}") from None
    if config.objective.name == build.AHEAD:
        _check_sequences(config, pair_shape)
    if config.pairs.name == "sequences":
        _check_values(config, dataset.train.examples)


def _check_kind_of_data(config: ConfigDict, shapes: list[tuple[int, ...]]) -> None:
    """Refuses pairs that the data has none of, and an encoder that cannot take what it is given."""
    source, name, encoder = config.data.source, config.pairs.name, config.encoder.name
    told = " and ".join(str(shape) for shape in shapes)
    if name == "given" and len(shapes) == 1:
        raise InputError(
            f"config.pairs.name='given' needs arrays x and y, and {source} has single examples of shape {told}; "
            "expected such as npz:/path/to/arrays.npz, or pairs 'frames' or 'augmentations'"
        )
    if name != "given" and len(shapes) == 2:
        raise InputError(
            f"{source} holds given pairs, x and y of shape {told}; expected config.pairs.name='given' as in "
            f"configs/cpc_arrays.py, here it is {name!r}"
        )
    if name == "given" and config.pairs.encoders == "shared" and shapes[0] != shapes[1]:
        raise InputError(
            f"config.pairs.encoders='shared' on x and y of shape {told}: one encoder takes one shape; "
            "use 'separate', or give both one shape"
        )
    if name == "given" and encoder != "mlp" and not all(len(s) == 3 and s[2] in (1, 3) for s in shapes):
        raise InputError(
            f"config.encoder.name={encoder!r} takes images (height, width, 1 or 3) and {source} has x and y of shape "
            f"{told}; expected 'mlp', which takes any"
        )


def _check_sequences(config: ConfigDict, shape: tuple[int, ...]) -> None:
    """Sequences of `shape`: enough steps, and steps that their encoder takes."""
    num_steps, *step = shape
    _check_steps(config, num_steps)
    if config.encoder.name == "convnet" and len(step) != 3:
        raise InputError(
            f"config.encoder.name='convnet' encodes steps of (height, width, channels); a step of this data has shape "
            f"{tuple(step)}: use 'mlp'"
        )


def _check_values(config: ConfigDict, examples: Any) -> None:
    """Numbers that are finite and of a size that learns."""
    if not isinstance(examples, np.ndarray) or examples.dtype == np.uint8:
        return
    with np.errstate(invalid="ignore"):  # of infinities; the next line tells
        spread = float(np.std(examples, dtype=np.float64))
    if not math.isfinite(spread):
        raise InputError(f"the values of {config.data.source} are not all finite; remove NaN and infinity first")
    if not _LEAST_SPREAD <= spread / config.pairs.scale <= 1 / _LEAST_SPREAD:
        hint = f"expected about --config.pairs.scale={spread:.3g}" if spread else "expected sequences that differ"
        raise InputError(
            f"the values of {config.data.source} over config.pairs.scale={config.pairs.scale:g} have a standard "
            f"deviation of {spread / config.pairs.scale:.3g}, far from 1; {hint}"
        )


def differing_keys(config: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Names of the keys, such as `pairs.gap`, whose values are not the same in two nested configs.

    >>> differing_keys({"seed": 0, "pairs": {"gap": 1.0}}, {"seed": 0, "pairs": {"gap": 2.0}})
    ['pairs.gap']
    """
    left, right = _flatten(config), _flatten(other)
    missing = object()
    return sorted(key for key in left | right if left.get(key, missing) != right.get(key, missing))


def _config_path(argv: list[str]) -> Path:
    given = []
    for argument, following in pairwise([*argv[1:], None]):
        name, equals, value = argument.lstrip("-").partition("=")
        if argument.startswith("-") and name == "config":
            given.append(value if equals else following)
    if not given or not given[0]:
        raise InputError("no --config given; expected one such as --config=configs/cpc.py")
    if len(given) > 1:
        raise InputError(f"--config is given {len(given)} times; expected one such as --config=configs/cpc.py")
    return Path(given[0])


def _overrides(argv: list[str]) -> list[str]:
    """Names such as `pairs.gap` of every `--config.pairs.gap…` on the command line."""
    return [match[1] for argument in argv[1:] if (match := re.match(r"--?(?:no)?config\.([^=]*)", argument))]


def _load(path: Path) -> ConfigDict:
    if not path.is_file():
        siblings = sorted(path.parent.glob("*.py")) if path.parent.is_dir() else []
        hint = f"; there are {', '.join(map(str, siblings))}" if siblings else ""
        raise InputError(f"--config={path} is no file{hint or '; expected one such as configs/cpc.py'}")
    spec = importlib.util.spec_from_file_location("_mi_coding_config", path)
    if spec is None:
        raise InputError(f"--config={path} is not a Python file; expected one such as configs/cpc.py")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a user's file may raise, it is told in one line
        raise InputError(f"--config={path} does not load: {type(error).__name__}: {_one_line(error)}") from None
    if not hasattr(module, "get_config"):
        raise InputError(f"--config={path} has no function get_config() that returns a ConfigDict")
    try:
        config = module.get_config()
    except Exception as error:
        raise InputError(f"get_config() of {path} fails: {type(error).__name__}: {_one_line(error)}") from None
    if not isinstance(config, ConfigDict):
        raise InputError(
            f"get_config() of {path} returns {type(config).__name__}; expected an ml_collections.ConfigDict"
        )
    return config


def _check_key(name: str, keys: dict[str, Any], path: Path) -> None:
    groups = {key.rpartition(".")[0] for key in keys}
    if name in keys:
        return
    if name in groups:
        inside = ", ".join(f"config.{key}" for key in keys if key.startswith(f"{name}."))
        raise InputError(f"config.{name} is a group of keys; set one of {inside}")
    near = difflib.get_close_matches(name, keys, n=1, cutoff=0.5)
    near = near or [key for key in keys if key.rpartition(".")[2] == name.rpartition(".")[2]]
    hint = f"did you mean config.{near[0]}?" if near else f"keys are {', '.join(keys)}"
    raise InputError(f"config.{name} is not a key of {path}; {hint}")


def _wrong_type(message: str, keys: dict[str, Any]) -> str:
    match = re.match(r"flag --config\.([^=]*)=(.*?): ", message, re.DOTALL)
    if not match or match[1] not in keys:
        return _one_line(message)
    default = keys[match[1]]
    return f"config.{match[1]}={match[2]!r} has the wrong type; expected {_TYPES[type(default)]}, such as {default!r}"


_TYPES = {int: "a whole number", float: "a number", bool: "True or False", str: "text", tuple: "a tuple"}


def _one_line(error: Exception | str) -> str:
    return " ".join(str(error).split())


def _flatten(config: Any, prefix: str = "") -> dict[str, Any]:
    """{"pairs.gap": 1.0, …} of nested dicts."""
    flat = {}
    for key, value in config.items():
        if isinstance(value, (dict, ConfigDict)):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _get(config: ConfigDict, name: str) -> Any:
    for part in name.split("."):
        config = config[part]
    return config


def _check_keys(config: ConfigDict, names: Iterable[str]) -> None:
    present = _flatten(config)
    missing = [name for name in names if name not in present]
    if missing:
        raise InputError(
            f"config.{missing[0]} is missing in the config; configs/cpc.py, configs/simclr.py and "
            "configs/cpc_sequence.py have every key with its meaning, and configs/cotraining.py those of codes"
        )


def _check_numbers(config: ConfigDict, positive: Iterable[str], not_negative: Iterable[str]) -> None:
    for name in (*positive, *not_negative):
        value = _get(config, name)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise InputError(f"config.{name}={value!r}; expected a number")
        if not math.isfinite(value):
            raise InputError(f"config.{name}={value}; expected a finite number")
        if value < 0 or (value == 0 and name in positive):
            raise InputError(f"config.{name}={value}; expected a number {'>' if name in positive else '≥'} 0")
        if isinstance(value, int) and value > _LARGEST_COUNT and name != "seed":
            raise InputError(f"config.{name}={value}; expected at most {_LARGEST_COUNT:,}")


def _check_common(config: ConfigDict) -> None:
    if config.seed > _LARGEST_SEED:
        raise InputError(f"config.seed={config.seed}; expected at most {_LARGEST_SEED}")
    if not config.num_steps and not config.num_epochs:
        raise InputError("config.num_steps=0 and config.num_epochs=0 leave no end; expected one of them > 0")
    if config.optimizer.average_decay >= 1:
        raise InputError(
            f"config.optimizer.average_decay={config.optimizer.average_decay}; expected less than 1, such as 0.999, or "
            "0 for no average"
        )
    widths = config.encoder.widths
    if not widths or not all(isinstance(width, int) and width > 0 for width in widths):
        raise InputError(f"config.encoder.widths={tuple(widths)}; expected whole numbers > 0, such as (32, 64, 128)")


def _check_sizes(config: ConfigDict) -> None:
    present = _flatten(config)
    for name, most in _LARGEST.items():
        if present.get(name, 0) > most:
            raise InputError(f"config.{name}={present[name]}; expected at most {most:,}")


def _one_of(name: str, value: str, choices: Any) -> None:
    if value not in choices:
        near = difflib.get_close_matches(str(value), list(map(str, choices)), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(f"config.{name}={value!r} is unknown; expected one of {', '.join(map(str, choices))}{hint}")


def _check_batch(batch_size: int, num_devices: int) -> None:
    if batch_size < 2:
        raise InputError(f"config.batch_size={batch_size}; expected at least 2, since the rest of a batch distracts")
    if batch_size % num_devices:
        below = batch_size // num_devices * num_devices
        nearest = " and ".join(str(size) for size in (below, below + num_devices) if size >= 2)
        raise InputError(f"batch_size {batch_size} must divide by {num_devices} devices; the nearest are {nearest}")


def _check_microbatch(config: ConfigDict, num_devices: int) -> None:
    shard, size = config.batch_size // num_devices, config.microbatch_size
    if size and shard % size:
        below = next(d for d in range(min(size, shard), 0, -1) if shard % d == 0)
        above = [shard // k for k in range(shard // size, 0, -1) if shard % k == 0][:1]
        raise InputError(
            f"config.microbatch_size={size} must divide the {shard} pairs of each of {num_devices} device(s); "
            f"the nearest are {' and '.join(map(str, [below, *above]))}; 0 encodes all at once"
        )


def _check_signal(config: ConfigDict) -> None:
    _check_keys(config, (*_SIGNAL_POSITIVE, *_SIGNAL_NOT_NEGATIVE))
    _check_numbers(config, _SIGNAL_POSITIVE, _SIGNAL_NOT_NEGATIVE)


def _check_clips(config: ConfigDict) -> None:
    _check_keys(config, (*_CLIP_POSITIVE, *_CLIP_NOT_NEGATIVE))
    _check_numbers(config, _CLIP_POSITIVE, _CLIP_NOT_NEGATIVE)
    seconds, rate = config.pairs.clip_seconds, config.pairs.frame_rate
    if seconds * rate > _MOST_FRAMES:
        raise InputError(
            f"config.pairs.clip_seconds={seconds} of config.pairs.frame_rate={rate} frames/s; "
            f"expected at most {_MOST_FRAMES:,} frames"
        )


def _check_frames(config: ConfigDict) -> None:
    _check_clips(config)
    _check_keys(config, ("pairs.gap",))
    _check_numbers(config, ("pairs.gap",), ())
    pairs, clips = config.pairs, build.build_clips(config)
    num_frames, gap_frames = clips.num_frames, clips.gap_frames
    if gap_frames < 1:
        raise InputError(
            f"config.pairs.gap={pairs.gap} is less than half a frame at {pairs.frame_rate} frames/s; "
            f"expected at least {1 / pairs.frame_rate:g}"
        )
    if gap_frames >= num_frames:
        longest = (num_frames - 1) / pairs.frame_rate
        hint = f"expected at most {longest:g}" if num_frames > 1 else "make the clip longer"
        raise InputError(
            f"config.pairs.gap={pairs.gap} s is longer than a clip of {pairs.clip_seconds} s "
            f"({num_frames} frame(s) at {pairs.frame_rate}/s); {hint}"
        )


def _check_augmentations(config: ConfigDict) -> None:
    _check_keys(config, _AUGMENTATION_KEYS)
    pairs = config.pairs
    _one_of("pairs.preset", pairs.preset, (*PRESETS, build.CUSTOM))
    has = (*build.augmentation_options(pairs.preset), "order")  # an order with nothing to put in order does no harm
    strange = [name for name in build.AUGMENTATION_OPTIONS if name not in has and pairs[name]]
    if strange:
        others = ", ".join(f"{name}={pairs[name]!r}" for name in strange)
        raise InputError(
            f"config.pairs.preset={pairs.preset!r} has no {others}; set {'it' if len(strange) == 1 else 'them'} to "
            f"{'()' if strange == ['steps'] else '0'} or choose another of {', '.join(PRESETS)}, {build.CUSTOM}"
        )
    if pairs.preset == build.CUSTOM and not pairs.steps:
        raise InputError("config.pairs.preset='custom' needs config.pairs.steps, such as ({'name': 'rotation'},)")
    _check_numbers(config, (), ("pairs.size",))
    try:
        build.build_pairs(config)
    except (ValueError, TypeError) as error:
        raise InputError(f"config.pairs: {_one_line(error)}") from None


def _check_films(config: ConfigDict) -> None:
    _check_keys(config, (*_FILM_POSITIVE, *_FILM_OTHER))
    _check_numbers(config, _FILM_POSITIVE, ("data.frame_rate",))
    _one_of("pairs.distractors", config.pairs.distractors, build.FILM_DISTRACTORS)
    if config.pairs.distinct:
        raise InputError(
            "config.pairs.distinct=True is for images; moments of films are always drawn independently: set it to False"
        )
    try:
        composition(config.pairs.steps)
    except (ValueError, TypeError) as error:
        raise InputError(f"config.pairs.steps: {_one_line(error)}") from None
    if config.pairs.distractors != build.WITHIN:
        return
    objective = config.objective
    if objective.num_distractors or objective.distractors != "all":
        raise InputError(
            f"config.pairs.distractors='within' takes all of a group as candidates; given config.objective.distractors="
            f"{objective.distractors!r} and num_distractors={objective.num_distractors}, expected 'all' and 0"
        )


def _check_groups(config: ConfigDict, num_devices: int) -> None:
    """A group of pairs of one film must lie on one device, and fill a batch without a rest."""
    size, shard = build.group_size(config), config.batch_size // num_devices
    if not build.of_films(config) or config.pairs.distractors == build.ACROSS:
        return
    if size < 2 or shard % size:
        near = ", ".join(str(d) for d in range(2, shard + 1) if shard % d == 0)
        raise InputError(
            f"config.pairs.group_size={size} must divide the {shard} pairs of each of {num_devices} device(s), and be "
            f"at least 2; these do: {near or 'none, use a larger batch_size'}"
        )


def _check_given(config: ConfigDict) -> None:
    _check_keys(config, ("pairs.encoders",))
    _one_of("pairs.encoders", config.pairs.encoders, build.ENCODERS_OF_PAIRS)


_CHECK_PAIRS: dict[str, Callable[[ConfigDict], None]] = {
    "frames": _check_frames,
    "augmentations": _check_augmentations,
    "given": _check_given,
    "sequences": _check_signal,
    "clips": _check_clips,
    "film": _check_films,
}
"""Names of `config.pairs.name`, with what checks the keys that go with each."""


def _check_contrastive(config: ConfigDict, num_devices: int) -> None:
    """Objectives that score candidates."""
    _check_keys(config, (*_CONTRASTIVE_POSITIVE, *_CONTRASTIVE_NOT_NEGATIVE, *_CONTRASTIVE_OTHER))
    _check_numbers(config, _CONTRASTIVE_POSITIVE, _CONTRASTIVE_NOT_NEGATIVE)
    objective = config.objective
    _one_of("objective.distractors", objective.distractors, CPC_RULES)
    _one_of("objective.method", objective.method, ("auto", *METHODS))
    if objective.distractors == "other_devices" and num_devices < 2:
        raise InputError(
            "config.objective.distractors='other_devices' leaves no distractor on 1 device; use 'all' or more devices"
        )
    if objective.method == "dense" and num_devices > 1:
        raise InputError(f"config.objective.method='dense' is for 1 device, here are {num_devices}; use 'auto'")


def _check_of_pairs(config: ConfigDict, num_devices: int) -> None:
    """Objectives that score the codes of two halves of a pair."""
    _check_contrastive(config, num_devices)
    _check_keys(config, ("objective.num_distractors", "critic.name"))
    _check_numbers(config, (), ("objective.num_distractors",))
    _one_of("critic.name", config.critic.name, CRITICS)
    _check_with_head(config, num_devices)
    _check_nt_xent(config)
    if config.objective.num_distractors:
        _check_drawn(config, num_devices)


def _check_with_head(config: ConfigDict, num_devices: int) -> None:
    """Encoders of the two halves of a pair, with a projection head."""
    _check_keys(config, (*_WITH_HEAD_POSITIVE, *_WITH_HEAD_NOT_NEGATIVE, *_WITH_HEAD_OTHER))
    _check_numbers(config, _WITH_HEAD_POSITIVE, _WITH_HEAD_NOT_NEGATIVE)
    _one_of("encoder.name", config.encoder.name, ENCODERS)
    _one_of("encoder.stem", config.encoder.stem, STEMS)
    _one_of("encoder.head_layers", config.encoder.head_layers, (1, 2, 3))
    if config.pairs.name in build.SEQUENCES:
        raise InputError(
            f"config.objective.name={config.objective.name!r} is for pairs of two halves; given pairs "
            f"{config.pairs.name!r}, expected objective {build.AHEAD!r}, as in configs/cpc_sequence.py"
        )
    if config.encoder.width_multiplier * 64 % 1:
        raise InputError(
            f"config.encoder.width_multiplier={config.encoder.width_multiplier}; expected a multiple of 1/64, "
            "so that 64 channels become a whole number"
        )
    _check_microbatch(config, num_devices)


def _check_nt_xent(config: ConfigDict) -> None:
    objective, critic = config.objective, config.critic
    if objective.name == "nt_xent" and (critic.name != "inner_product" or not critic.normalize):
        raise InputError(
            f"config.objective.name='nt_xent' scores by cosine; given critic {critic.name!r} with normalize="
            f"{critic.normalize}, expected 'inner_product' with normalize=True"
        )
    if objective.name == "nt_xent" and objective.distractors != "all":
        raise InputError(
            f"config.objective.distractors={objective.distractors!r} is for objective 'cpc'; 'nt_xent' takes 'all'"
        )


def _check_ahead(config: ConfigDict, num_devices: int) -> None:
    """The objective that predicts steps of sequences."""
    _check_contrastive(config, num_devices)
    _check_keys(config, (*_AHEAD_POSITIVE, *_AHEAD_NOT_NEGATIVE, *_AHEAD_OTHER))
    _check_numbers(config, _AHEAD_POSITIVE, _AHEAD_NOT_NEGATIVE)
    _one_of("encoder.name", config.encoder.name, STEP_ENCODERS)
    _one_of("encoder.feature", config.encoder.feature, FEATURES)
    if config.pairs.name not in build.SEQUENCES:
        raise InputError(
            f"config.objective.name={build.AHEAD!r} is for pairs {' and '.join(build.SEQUENCES)}; given pairs "
            f"{config.pairs.name!r}"
        )


def _check_steps(config: ConfigDict, num_steps: int) -> None:
    """Refuses to look further ahead than sequences of so many steps go."""
    objective = config.objective
    if objective.num_ahead >= num_steps:
        hint = f"expected at most {num_steps - 1}" if num_steps > 1 else "expected shorter steps or longer sequences"
        raise InputError(
            f"config.objective.num_ahead={objective.num_ahead} steps ahead in sequences of {num_steps} step(s); {hint}"
        )
    most = num_steps - objective.num_ahead
    if objective.num_times > most:
        raise InputError(
            f"config.objective.num_times={objective.num_times} of the {most} steps that have {objective.num_ahead} "
            f"before them in sequences of {num_steps}; expected at most {most}, or 0 for all"
        )


def _check_cotraining(config: ConfigDict, num_devices: int) -> None:
    """The objective that has models of its codes."""
    _check_keys(config, (*_CODE_POSITIVE, *_CODE_NOT_NEGATIVE, *_CODE_OTHER))
    _check_numbers(config, _CODE_POSITIVE, _CODE_NOT_NEGATIVE)
    _check_with_head(config, num_devices)
    _one_of("pairs.name", config.pairs.name, ("frames", "augmentations"))  # both halves of a kind, of one example
    betas = config.objective.betas
    if not all(isinstance(beta, (int, float)) and 0 <= beta < math.inf for beta in betas):
        raise InputError(f"config.objective.betas={tuple(betas)}; expected numbers ≥ 0, such as (0.0, 0.5)")
    for role in ("prior", "conditional"):
        _one_of(f"code.{role}", config.code[role], build.CODE_MODELS)
        try:
            build.code_model(config, role)
        except ValueError as error:
            raise InputError(f"config.code, {role}: {_one_line(error)}") from None


_CHECK_OBJECTIVE: dict[str, Callable[[ConfigDict, int], None]] = {
    "cpc": _check_of_pairs,
    "nt_xent": _check_of_pairs,
    build.AHEAD: _check_ahead,
    build.COTRAINING: _check_cotraining,
}
"""Names of `config.objective.name`, with what checks the keys that go with each."""


def _check_drawn(config: ConfigDict, num_devices: int) -> None:
    objective = config.objective
    if objective.name != "cpc" or objective.method != "auto":
        raise InputError(
            f"config.objective.num_distractors={objective.num_distractors} is for objective 'cpc' with method 'auto'; "
            f"given {objective.name!r} with {objective.method!r}"
        )
    others = CPC_RULES[objective.distractors].num_candidates(config.batch_size // num_devices, num_devices) - 1
    if objective.num_distractors > others:
        raise InputError(
            f"config.objective.num_distractors={objective.num_distractors} of the {others} that "
            f"distractors={objective.distractors!r} and batch_size={config.batch_size} leave; expected at most {others}"
        )
