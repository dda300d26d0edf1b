"""Options of every run, whatever its data and its objective."""

from dataclasses import dataclass
from typing import Annotated

from mi_coding import data
from mi_coding.errors import InputError, Setting
from mi_coding.options import LARGEST_COUNT, NotNegative, NotNegativeInt, OneOf, PositiveInt, Range, option
from mi_coding.training.devices import FOR_SEVERAL_PROCESSES, SPMD

_LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True)
class RunOptions:
    """How long a run trains, from what it starts, how a step runs, and how often something is written."""

    batch_size: PositiveInt = option("batch_size", meaning="B, pairs per step on all devices together")
    init_from: str = option("init_from", "", "work directory of a run whose encoder this one starts from; '' for none")
    seed: Annotated[int, Range(least=0, most=_LARGEST_SEED)] = option("seed", 0, "seed of every random draw of the run")
    num_steps: NotNegativeInt = option("num_steps", 0, "training ends after num_steps or num_epochs; 0 for no limit")
    num_epochs: NotNegative = option("num_epochs", 0.0, "an epoch is as many pairs as there are training examples")
    steps_per_call: NotNegativeInt = option("steps_per_call", 0, "steps that the devices take in one call; 0 chooses")
    spmd: Annotated[str, OneOf(SPMD)] = option("spmd", "shard_map", "how a step runs on all devices; same results")
    log_every: PositiveInt = option("log.every_steps", 10, "steps between two lines of metrics.jsonl")
    checkpoint_every: PositiveInt = option("checkpoint.every_steps", 500, "steps between two checkpoints")
    keep_checkpoints: PositiveInt = option("checkpoint.keep", 2, "number of newest checkpoints that are kept")
    validate_every: PositiveInt = option("evaluation.every_steps", 250, "steps between two validations, for the curve")

    def __post_init__(self) -> None:
        if not self.num_steps and not self.num_epochs:
            hint = " set no end of training; expected one of them > 0"
            raise InputError(Setting("num_steps", 0), " and ", Setting("num_epochs", self.num_epochs), hint)

    def check(self, num_devices: int, num_processes: int) -> None:
        """Raises InputError for a batch that the devices cannot share, or for pmap on several processes."""
        if num_processes > 1 and self.spmd not in FOR_SEVERAL_PROCESSES:
            hint = f" is for one process, not {num_processes}; use {' or '.join(map(repr, FOR_SEVERAL_PROCESSES))}"
            raise InputError(Setting("spmd", self.spmd), hint)
        if self.batch_size < 2:
            hint = "; expected at least 2: the other pairs of the batch are the distractors"
            raise InputError(Setting("batch_size", self.batch_size), hint)
        if rest := self.batch_size % num_devices:
            sizes = (self.batch_size - rest, self.batch_size - rest + num_devices)
            nearest = " and ".join(str(size) for size in sizes if size >= 2)
            uneven = f"batch_size {self.batch_size} must be a multiple of {num_devices}, the number of devices"
            raise InputError(f"{uneven}; the nearest are {nearest}")

    def total_steps(self, num_examples: int) -> int:
        """Steps of the whole run, by `num_steps` or `num_epochs`; InputError for more than devices can count."""
        by_epochs = max(1, round(self.num_epochs * num_examples / self.batch_size)) if self.num_epochs else None
        total = min(end for end in (self.num_steps, by_epochs) if end)
        if total > LARGEST_COUNT:
            hint = f" takes more than {LARGEST_COUNT:,} steps; expected fewer"
            raise InputError(Setting("num_epochs", self.num_epochs), hint)
        return total


@dataclass(frozen=True)
class DataOptions:
    """Where examples come from, and how images are converted."""

    source: str = option(
        "data.source", meaning="digits, tfds:NAME, folder:PATH, npz:PATH, video:GLOB, parquet:PATH or webdataset:GLOB"
    )
    image_size: Annotated[int, Range(least=0, most=data.MAX_IMAGE_SIZE)] = option(
        "data.image_size", 0, "pixels: the shorter side is resized to it, the central square cropped; 0 keeps the size"
    )
    channels: Annotated[int, OneOf(data.CHANNELS)] = option(
        "data.channels", 0, "1 or 3 converts to grey or colour; 0 keeps what the images have"
    )
    white: NotNegative = option(
        "data.white", 0.0, "value that is white in images of more than 8 bits; 0 by the range of the data"
    )
    layout: Annotated[str, OneOf(data.LAYOUTS)] = option(
        "data.layout", "auto", "what the folders of folder:PATH are: splits, classes, or flat for neither"
    )
    group: str = option(
        "data.group", "", "what must not be divided among splits: a pattern of paths, or the name of an array or column"
    )
    placement: Annotated[str, OneOf(data.PLACEMENTS)] = option(
        "data.placement", "auto", "memory keeps all examples on the devices, stream reads batch by batch"
    )
    num_workers: Annotated[int, Range(least=0, most=2**10)] = option(
        "data.num_workers", 2, "processes that decode a stream; 0 decodes in this one"
    )
    frame_rate: NotNegative = option("data.frame_rate", 0.0, "frames per second of a film that are kept; 0 for all")
    cache_dir: str = option("data.cache_dir", "", "cache of decoded films; '' is mi_coding/films in the user's cache")

    def __post_init__(self) -> None:
        data.open_source(self.source, self.layout, self.group)
