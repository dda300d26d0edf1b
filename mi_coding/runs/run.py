"""A run: a config with its data, its method and its random keys. Nothing is computed yet."""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from mi_coding import data, evaluation
from mi_coding.errors import InputError, Setting
from mi_coding.methods import Method
from mi_coding.options import options_of
from mi_coding.runs import build
from mi_coding.runs.build import Plan, dummy_batch, with_parts
from mi_coding.runs.examples import check_data, count_classes, load_data, standardised, usable
from mi_coding.runs.restore import Restored, restore
from mi_coding.runs.transfer import start_from, transferred
from mi_coding.runs.workdir import ENDS, check_workdir, saved_step
from mi_coding.training.checkpoints import checksum
from mi_coding.training.devices import WITH_SHARES, platform_of
from mi_coding.training.experiment import Experiment
from mi_coding.training.optimizers import cut_warmup
from mi_coding.training.processes import is_main_process
from mi_coding.training.step import TrainState, init_state

_OF_ROUNDING = {"encoder.dtype", "encoder.remat"}
"""Options of an encoder that change its features by no more than rounding."""

_PURPOSES = ("init", "train", "validation", "test", "probe", "report")

STEPS_PER_CALL = 50
"""Steps per call if the config leaves it open and loops are fast on the platform."""


@dataclass(frozen=True, eq=False)
class Run:
    """A run that was checked and built; nothing is computed yet.

    Attributes:
        plan: what its config describes.
        workdir: where it is kept.
        dataset: its splits.
        method: with its parts.
        num_devices: number of devices that share a batch, in all processes.
        num_steps: of the whole run.
        streamed: whether training examples are read batch by batch, and do not live on the devices.
        warn: called with one line that the user must see.
        scale: the scale of the data set's tables, see `data.fit_scale`; None if they were not scaled.
        begun_with: the config that the work directory was begun with, perhaps with another end; None for a new one.
    """

    plan: Plan
    workdir: Path
    dataset: data.Dataset
    method: Method
    num_devices: int
    num_steps: int
    streamed: bool
    warn: Callable[[str], None]
    scale: Any = None
    begun_with: Mapping[str, Any] | None = None

    def key(self, purpose: str) -> jax.Array:
        """The random key of one purpose, from the seed: "init", "train", "validation", "test", "probe" or "report"."""
        return jax.random.fold_in(jax.random.key(self.plan.run.seed), _PURPOSES.index(purpose))

    @cached_property
    def experiment(self) -> Experiment:
        """What the training loop needs."""
        return build.build_experiment(self.plan, self.method, self.num_steps, streamed=self.streamed)

    @cached_property
    def initial_state(self) -> TrainState:
        """The state before the first step, on the host; its encoder is the untrained baseline."""
        # As one program: operation by operation, those of a small network are a hundred programs to compile.
        init = jax.jit(partial(init_state, self.experiment, data=self._examples_for_shapes))
        return jax.device_get(init(self.key("init")))

    @cached_property
    def other_run(self) -> Restored:
        """The run whose encoder this one starts from, read back.

        Raises:
            InputError: where there is none.
        """
        return restore(self.plan.run.init_from, self.warn, option="--init_from")

    @cached_property
    def starting_state(self) -> tuple[TrainState, str]:
        """The state before the first step of a run that starts from the encoder of another, and the line to print."""
        return start_from(self.method, self.initial_state, self.other_run)

    @property
    def initial_shapes(self) -> TrainState:
        """The shapes of `initial_state`; nothing is computed."""
        return jax.eval_shape(partial(init_state, self.experiment), self.key("init"), self._examples_for_shapes)

    @property
    def _examples_for_shapes(self) -> Any:
        return self.dummy_batch(2) if self.streamed else self.device_data(self.dataset.train)

    @property
    def extends_from(self) -> int:
        """The step from which an older run is extended to a new end; 0 for a new run, or one with the same end."""
        if self.begun_with is None or all(self.begun_with.get(end) == self.plan.config[end] for end in ENDS):
            return 0
        return saved_step(self.workdir)

    @property
    def ceiling(self) -> float | None:
        """ln N in nats, where there are candidates."""
        return None if self.method.num_candidates is None else float(np.log(self.method.num_candidates))

    def device_data(self, split: data.Split) -> Any:
        """What the experiment draws pairs from: examples in memory, with labels where a probe learns from them."""
        examples = self.plan.pairs.device_data(split)
        return (examples, split.labels) if self.method.uses_labels else examples

    def batch_data(self, batch: data.Batch) -> Any:
        """A batch of a stream in the form that the experiment takes."""
        return (batch.examples, batch.labels) if self.method.uses_labels else batch.examples

    def dummy_batch(self, count: int) -> Any:
        """A dummy batch of a stream, for its shapes."""
        return dummy_batch(self.method, data.describe_examples(self.dataset.train), count)


def prepare(
    config: Mapping[str, Any],
    workdir: Path,
    warn: Callable[[str], None],
    typed: Collection[str] = (),
    source: data.Source | None = None,
) -> Run:
    """Checks a config, its data and its work directory, and builds the run; writes nothing.

    Args:
        config: nested or flat, see `build.plan`.
        workdir: where the run is kept.
        warn: called with one line that the user must see.
        typed: keys that the user typed.
        source: read in place of the source that the config names, such as arrays in memory.
    Raises:
        InputError: for a config, data or a directory that cannot work.
    """
    plan, num_devices = build.plan(config, typed), jax.device_count()
    check_devices(plan, num_devices)
    begun_with = None
    if is_main_process():
        begun_with = check_workdir(workdir, plan.config, lambda before: build.plan(before).config)
    dataset = usable(plan, load_data(plan, warn, source or ""))
    num_steps = plan.run.total_steps(data.num_examples(dataset.train))
    check_data(plan, dataset)
    if (trained := saved_step(workdir)) > num_steps:
        raise InputError(
            f"--workdir={workdir} has trained {trained:,} steps already, more than the {num_steps:,} asked for; "
            "expected at least as many, or another --workdir"
        )
    dataset, scale = standardised(plan, dataset)
    described = data.describe_examples(dataset.train)
    method = with_parts(plan, described, count_classes(dataset.train), num_devices=num_devices, num_steps=num_steps)
    streamed = not data.in_memory(dataset.train)
    run = Run(plan, workdir, dataset, method, num_devices, num_steps, streamed, warn, scale, begun_with)
    steps_per_call(run)  # raises InputError for what cannot be
    if plan.run.init_from and not trained:
        shapes = run.initial_shapes
        transferred(method, (shapes.params, shapes.stats), run.other_run)  # raises InputError for another encoder
        _warn_of_other_features(run)
    _warn_of_twins(run)
    _warn_of_warmup(run)
    _warn_of_end(run, typed)
    warn_of_shortcomings(plan, dataset, warn)
    return run


def _warn_of_other_features(run: Run) -> None:
    """Warns of options by which the parameters of the run that this one starts from compute other features here."""
    here, there = run.plan.config, run.other_run.plan.config
    keys = sorted({spec.key for spec in options_of(type(run.plan.encoder))} - _OF_ROUNDING)
    if differ := [key for key in keys if here[key] != there.get(key, here[key])]:
        listed = ", ".join(f"config.{key}={there[key]!r} there and {here[key]!r} here" for key in differ)
        run.warn(f"--init_from={run.plan.run.init_from}: {listed}: the same parameters compute other features")


def _warn_of_warmup(run: Run) -> None:
    """Warns of a warm-up that is cut, since it would not be over before the last step."""
    warmup = run.plan.optimizer.warmup_steps
    if (cut := cut_warmup(warmup, run.num_steps)) < warmup and run.num_steps:
        many = f"a warm-up of {warmup:,} steps is cut to {cut:,} of the run's {run.num_steps:,} steps"
        run.warn(f"{many}: the learning rate rises to the end; lower config.optimizer.warmup_steps")


def _warn_of_end(run: Run, typed: Collection[str]) -> None:
    """Warns where the user typed one end of training, and the other, which was not typed, comes earlier."""
    options = run.plan.run
    for end, other in (ENDS, ENDS[::-1]):
        if end in typed and other not in typed and getattr(options, end):
            alone = dataclasses.replace(options, **{other: 0}).total_steps(data.num_examples(run.dataset.train))
            if alone > run.num_steps:
                asked = f"config.{end}={getattr(options, end)} amounts to {alone:,} steps"
                actual = f"training ends after {run.num_steps:,} because config.{other}={getattr(options, other)}"
                run.warn(f"{asked}, but {actual}; set config.{other}=0 to train for all of them")


def warn_of_shortcomings(plan: Plan, dataset: data.Dataset, warn: Callable[[str], None]) -> None:
    """Warns of what a data set lacks for the evaluations of a plan."""
    for line in evaluation.shortcomings(plan.evaluators, dataset):
        warn(line)


def _warn_of_twins(run: Run) -> None:
    """Warns of a batch that has most training examples more than once."""
    size, num_train = run.plan.run.batch_size, data.num_examples(run.dataset.train)
    if size > num_train and not run.plan.pairs.film_gap:
        often = f"batch_size {size:,} draws each of the {num_train:,} training examples {size / num_train:.1f} times"
        distract = run.method.num_candidates is not None
        so = "many distractors share the example of y" if distract else "most pairs of a batch share their example"
        run.warn(f"{often}: {so}; choose batch_size ≤ {num_train:,}, or more data")


def check_devices(plan: Plan, num_devices: int) -> None:
    """Raises InputError for a config that cannot run on these devices as it is; called before data is read."""
    plan.run.check(num_devices, jax.process_count())
    if plan.run.spmd not in WITH_SHARES and plan.optimizer.all_reduce_dtype != "float32":
        asked = Setting("optimizer.all_reduce_dtype", plan.optimizer.all_reduce_dtype)
        hint = f" is for {' or '.join(WITH_SHARES)}; expected 'float32' with "
        raise InputError(asked, hint, Setting("spmd", plan.run.spmd))
    plan.pairs.check(plan.run.batch_size, num_devices)
    plan.method.check(plan.pairs, plan.encoder, plan.run.batch_size, num_devices)


def steps_per_call(run: Run) -> int:
    """Steps per call on the devices.

    A loop on the device saves the host overhead of every step. On CPU it also keeps the memory of a step for the next,
    which saves a sixth of the time of a ResNet-18 of a quarter of its width and a third of that of matrix products.
    Collectives of virtual devices of one CPU inside a loop can deadlock (8 devices on 2 cores, jaxlib 0.10.2).

    Raises:
        InputError: if the config asks for more than one where that is impossible.
    """
    asked = run.plan.run.steps_per_call
    virtual = runs_on_cpu() and run.num_devices > 1
    if asked > 1 and (run.streamed or virtual):
        why = "streamed data" if run.streamed else f"{run.num_devices} virtual devices of a CPU"
        raise InputError(Setting("steps_per_call", asked), f" on {why}; expected 1, or 0 to choose")
    if run.streamed or virtual:
        return 1
    slow = runs_on_cpu() and not all(one.loops_on_cpu for one in run.method.parts.encoders)
    return asked or (1 if slow else STEPS_PER_CALL)


def checkpoint_metadata(run: Run) -> dict[str, Any]:
    """Metadata of each checkpoint, by which it can be read, and continued from, without the config's data.

    Under "data": shape and dtype of an example, the number of training examples and of classes, the names of classes,
    the scale of examples, and what is white where pixels have more than 8 bits, since other images must be scaled
    alike; of arrays also a checksum, since nothing else tells other arrays of the same shape from them. N of a step
    depends on "devices" where distractors are those of the other devices.
    """
    train = run.dataset.train
    trained_on = {
        "examples": data.describe_examples(train),
        "training examples": data.num_examples(train),
        "classes": count_classes(train),
        "scale": "none" if run.scale is None else "standard",
        "scale values": run.scale,
    }
    if run.dataset.is_exact:
        trained_on["CRC-32 of the examples"] = checksum(train.examples)
    if run.dataset.class_names is not None:
        trained_on["class names"] = list(run.dataset.class_names)
    if "white" in run.dataset.account.facts:
        trained_on["white"] = run.dataset.account.facts["white"]
    return {"data": trained_on, "num_candidates": run.method.num_candidates, "devices": run.num_devices}


def runs_on_cpu() -> bool:
    """Whether a run of this process has no accelerator."""
    return platform_of() == "cpu"
