"""A run: a checked config with its data, its experiment and its random keys. Nothing of it is computed yet."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from mi_coding import data, pairs
from mi_coding.config import check_config, check_data
from mi_coding.training import build
from mi_coding.training.experiment import Codes, Experiment
from mi_coding.training.processes import is_first
from mi_coding.training.step import TrainState, init_state
from mi_coding.workdir import check_workdir


class Run(NamedTuple):
    """A run that was checked and built; nothing is computed yet.

    `streamed` says whether training images are read batch by batch, and do not live on the devices.
    """

    config: ConfigDict
    workdir: Path
    dataset: data.Dataset
    kind: pairs.PairKind
    experiment: Experiment
    codes: Codes
    num_devices: int
    num_candidates: int | None
    num_steps: int
    steps_per_call: int
    num_classes: int
    streamed: bool
    warn: Callable[[str], None]

    def key(self, purpose: str) -> jax.Array:
        """The random key of one purpose, from the seed: "init", "train", "validation", "test", "probe" or "report"."""
        purposes = ("init", "train", "validation", "test", "probe", "report")
        return jax.random.fold_in(jax.random.key(self.config.seed), purposes.index(purpose))


def prepare(config: ConfigDict, workdir: Path, warn: Callable[[str], None]) -> Run:
    """Checks a config, its data and its work directory, and builds the experiment; writes nothing.

    Raises:
        InputError: for a config, data or a directory that cannot work.
    """
    num_devices, platform = jax.device_count(), jax.default_backend()
    check_config(config, num_devices, jax.process_count())
    if is_first():
        check_workdir(workdir, config.to_dict())
    dataset = data.load(
        config.data.source,
        image_size=config.data.image_size,
        channels=config.data.channels,
        placement=config.data.placement,
        keeping=build.keeping(config),
        warn=warn,
    )
    check_data(config, dataset)
    streamed = not data.in_memory(dataset.train)
    num_steps = build.num_steps(config, data.num_examples(dataset.train))
    steps_per_call = build.steps_per_call(config, platform, num_devices, streamed=streamed)
    num_classes = count_classes(dataset)
    example_shape = tuple(data.describe_examples(dataset.train)[0]["shape"])
    experiment, codes = build.build_experiment(
        config,
        platform,
        example_shape=example_shape,
        num_steps=num_steps,
        num_classes=build.probe_classes(config, num_classes),
        streamed=streamed,
    )
    kind, num_candidates = build.build_pairs(config), build.num_candidates(config, num_devices, example_shape)
    return Run(
        config,
        workdir,
        dataset,
        kind,
        experiment,
        codes,
        num_devices,
        num_candidates,
        num_steps,
        steps_per_call,
        num_classes,
        streamed,
        warn,
    )


def count_classes(dataset: data.Dataset) -> int:
    """K, so that labels are 0 .. K − 1; 0 where there are none."""
    return 0 if dataset.train.labels is None else int(dataset.train.labels.max()) + 1


def initial_state(this: Run) -> TrainState:
    """The state before the first step, which is also the untrained encoder of the baseline."""
    examples = blank_examples(this, 2) if this.streamed else as_data(this, this.dataset.train)
    return init_state(this.experiment, this.key("init"), jax.tree.map(jnp.asarray, examples))


def as_data(this: Run, examples: data.Split | data.Batch) -> Any:
    """What the experiment draws pairs of: films, or examples, with labels where an online probe learns from them."""
    if build.of_films(this.config) and isinstance(examples, data.Split):
        return film_data(examples, this.config.pairs.gap)
    return (examples.examples, examples.labels) if this.codes.online_logits else examples.examples


def blank_examples(this: Run, count: int) -> Any:
    """So many examples of a stream, for their shapes."""
    described = build.streamed_examples(this.config, data.describe_examples(this.dataset.train))
    examples = data.blank(described, count)
    return as_data(this, data.Batch(examples, np.zeros(count, np.int32)))


def about(this: Run) -> dict[str, Any]:
    """What each checkpoint carries along, so that it can be read, and gone on from, without the config's data.

    Under "data": what an example looks like, how many there are to train on, and their classes.
    """
    train = this.dataset.train
    trained_on = {
        "examples": data.describe_examples(train),
        "training examples": data.num_examples(train),
        "classes": this.num_classes,
    }
    return {"data": trained_on, "num_candidates": this.num_candidates}


def film_data(split: data.Split, gap: float) -> pairs.Films:
    """The films of a split whose frames are in memory, as a device takes them."""
    films = split.films
    begins = films.starts[films.stretch_of(np.arange(len(films.times)))]
    since = films.times - begins  # float32 is exact to a thousandth of a second within hours, not beyond
    return pairs.Films(
        frames=split.examples,
        times=since.astype(np.float32),
        first=films.first.astype(np.int32),
        count=films.count.astype(np.int32),
        seconds=films.seconds.astype(np.float32),
        film=films.film.astype(np.int32),
        gap=np.float32(gap),
    )
