"""From a config to objects: the one place that looks names up in the tables of kinds.

`plan` makes the objects that a config describes, before any data is read.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from flax.traverse_util import unflatten_dict

from mi_coding import data, evaluation
from mi_coding.config import DataOptions, RunOptions, flatten
from mi_coding.config.command_line import Command, parse_command, unknown_key
from mi_coding.encoders import ENCODERS, Backbone
from mi_coding.errors import InputError, Setting
from mi_coding.methods import Method, Parts
from mi_coding.options import OptionSpec, options_of, read, values_of
from mi_coding.pairs import PAIRS, PairSampler
from mi_coding.runs.choices import CHOICES, ENCODER_CHOICE, ENCODER_Y_CHOICE, PAIRS_CHOICE, SAME
from mi_coding.training.devices import platform_of
from mi_coding.training.experiment import Experiment
from mi_coding.training.optimizers import OptimizerOptions

_FOR_ALL = (RunOptions, DataOptions, OptimizerOptions)


class Plan(NamedTuple):
    """What a config describes, before data is read.

    Attributes:
        run, data, optimizer: options of every run.
        pairs, encoder, method: the kinds that the config chooses; the method has no parts yet.
        encoder_y: the encoder of y if its kind is named; None if its kind is that of x, or the network is shared.
        evaluators: in the order of their table.
        config: dotted key → value of every option, defaults included.
        ignored: keys of the config that are options of kinds which it does not choose.
    """

    run: RunOptions
    data: DataOptions
    optimizer: OptimizerOptions
    pairs: PairSampler
    encoder: Backbone
    encoder_y: Backbone | None
    method: Method
    evaluators: tuple[Any, ...]
    config: dict[str, Any]
    ignored: tuple[str, ...]

    @property
    def nested_config(self) -> dict[str, Any]:
        """`config` as it stands in config.json."""
        return unflatten_dict(self.config, sep=".")


def known_options() -> dict[str, OptionSpec]:
    """Key → option, of all kinds of all tables."""
    kinds = [*_FOR_ALL, *evaluation.EVALUATORS.values(), *(kind for c in CHOICES for kind in c.table.values())]
    return _specs(kinds, of_y=ENCODERS.values())


def own_options(config: Mapping[str, Any]) -> dict[str, OptionSpec]:
    """Key → option, of the kinds that a flat config chooses; of all kinds if it makes no valid choice."""
    try:
        return _specs(_kinds(config), _kinds_of_y(config))
    except InputError:
        return known_options()


def parse(argv: list[str]) -> Command:
    """Parses the command line of a run, see `parse_command`."""
    return parse_command(argv, known_options, own_options)


def plan(config: Mapping[str, Any], typed: Iterable[str] = ()) -> Plan:
    """The objects that a config describes.

    Args:
        config: nested or flat, such as what a config file returns; keys that it does not have take their defaults.
        typed: keys that the user typed, which must be options of the kinds that the config chooses.
    Raises:
        InputError: for an unknown key or name, a value of the wrong type or range, or options that do not go together.
    """
    config = flatten(config)
    own = _specs(_kinds(config), _kinds_of_y(config))
    ignored = _check_keys(config, own, frozenset(typed))
    pairs, encoder, method = (  # not for encoders: a Flax module gives its name to its parameters
        choice.read(config, **({} if choice is ENCODER_CHOICE else {"name": config[choice.key]})) for choice in CHOICES
    )
    if complaint := method.encoder_complaint(encoder):
        raise InputError(Setting(ENCODER_CHOICE.key, config[ENCODER_CHOICE.key]), complaint)
    encoder_y = _encoder_of_y(config, pairs)
    for_all = [read(kind, config) for kind in _FOR_ALL]
    evaluators = tuple(read(kind, config) for kind in evaluation.chosen(method, pairs))
    complete = {choice.key: config[choice.key] for choice in CHOICES}
    for one in (*for_all, pairs, encoder, method, *evaluators):
        complete |= values_of(one)
    complete[ENCODER_Y_CHOICE.key] = config.get(ENCODER_Y_CHOICE.key, SAME)
    complete |= ENCODER_Y_CHOICE.values(encoder_y) if encoder_y else {}
    complete = {key: complete[key] for key in sorted(own, key=_place)}
    return Plan(*for_all, pairs, encoder, encoder_y, method, evaluators, complete, ignored)


def _encoder_of_y(config: Mapping[str, Any], pairs: PairSampler) -> Backbone | None:
    """The encoder of y if its kind is named; None if its kind is that of x."""
    name = config.get(ENCODER_Y_CHOICE.key, SAME)
    if not pairs.takes_given_pairs or name == SAME:
        return None
    if not pairs.two_encoders:
        hint = f" is for halves with separate encoders, and here they share one; expected {SAME!r}"
        raise InputError(Setting(ENCODER_Y_CHOICE.key, name), hint)
    return ENCODER_Y_CHOICE.read(config)


def _place(key: str) -> int:
    """Position of a key in config.json: by its group, keys without one first."""
    group = key.rpartition(".")[0]
    return _GROUPS.index(group) if group in _GROUPS else len(_GROUPS)


_GROUPS = (
    "",
    "data",
    "pairs",
    "encoder",
    "encoder_y",
    "code",
    "critic",
    "objective",
    "optimizer",
    "checkpoint",
    "log",
    "evaluation",
)


def _kinds(config: Mapping[str, Any]) -> list[type]:
    chosen = [choice.kind(config) for choice in CHOICES]
    pairs, _, method = chosen
    return [*_FOR_ALL, *chosen, *evaluation.chosen(method, pairs)]


def _kinds_of_y(config: Mapping[str, Any]) -> list[type]:
    """The kind of the encoder of y, in a list; an empty list unless pairs are given ones."""
    return [ENCODER_Y_CHOICE.kind(config)] if PAIRS_CHOICE.kind(config).takes_given_pairs else []


def _specs(kinds: Iterable[type], of_y: Iterable[type]) -> dict[str, OptionSpec]:
    specs = {choice.key: choice.spec for choice in CHOICES}
    for kind in kinds:
        for spec in options_of(kind):
            specs.setdefault(spec.key, spec)
    for kind in of_y:
        specs[ENCODER_Y_CHOICE.key] = ENCODER_Y_CHOICE.spec
        for spec in ENCODER_Y_CHOICE.options(kind):
            specs.setdefault(spec.key, spec)
    return specs


def _check_keys(config: Mapping[str, Any], own: Mapping[str, OptionSpec], typed: frozenset[str]) -> tuple[str, ...]:
    """Rejects keys that no kind has; returns those of kinds that are not chosen, whose values are checked, too."""
    others = [key for key in config if key not in own]
    known = known_options() if others else {}
    for key in others:
        if key not in known:
            raise unknown_key(key, known, own, "of any kind")
        known[key].checked(config[key])
        if key in typed:
            raise InputError(Setting(key), f" is an option of {_owners(key)}, which this config does not choose")
    return tuple(others)


def _owners(key: str) -> str:
    """The kinds that have an option, as a config names them."""
    named = [
        f"{choice.key}={name!r}"
        for choice in (*CHOICES, ENCODER_Y_CHOICE)
        for name, kind in choice.table.items()
        if any(spec.key == key for spec in choice.options(kind))
    ]
    if key == ENCODER_Y_CHOICE.key:
        named = [f"{PAIRS_CHOICE.key}={name!r}" for name, kind in PAIRS.items() if kind.takes_given_pairs]
    return " or ".join(named[:3]) + (" or others" if len(named) > 3 else "") if named else "another evaluation"


def with_parts(
    plan: Plan,
    described: list[dict[str, Any]],
    num_classes: int,
    *,
    num_devices: int,
    num_steps: int,
    platform: str = "",
) -> Method:
    """The method of a plan with its parts.

    Args:
        plan: the plan of the config.
        described: shapes and dtypes of an example, see `data.describe_examples`.
        num_classes: number of classes of its labels.
        num_devices, num_steps: see `Parts`.
        platform: "cpu", "gpu" or "tpu", for which the encoder is built; "" for the one that is here.
    """
    has_probe = plan.method.probe_learning_rate and not plan.pairs.takes_films
    uses_labels = has_probe or plan.method.learns_labels
    return plan.method.made_of(
        Parts(
            plan.encoder.on(platform or platform_of()),
            plan.pairs,
            plan.run.batch_size,
            num_devices,
            num_steps,
            tuple(described[0]["shape"]),
            num_classes if uses_labels else 0,
            plan.encoder_y and plan.encoder_y.on(platform or platform_of()),
            plan.optimizer.all_reduce_dtype if num_devices > 1 else "float32",  # one device sends nothing
        )
    )


def dummy_batch(method: Method, described: list[dict[str, Any]], count: int) -> Any:
    """A dummy batch of `count` streamed examples, for its shapes, with labels if the method uses them."""
    shape_of = method.parts.pairs.streamed_shape
    handed_out = [half | {"shape": list(shape_of(tuple(half["shape"])))} for half in described]
    examples = data.dummy_examples(handed_out, count)
    return (examples, np.zeros(count, np.int32)) if method.uses_labels else examples


def build_experiment(plan: Plan, method: Method, num_steps: int, *, streamed: bool) -> Experiment:
    """What the training loop needs of a method with its parts.

    Args:
        method: of this plan, with its parts.
        num_steps: of the whole run, for the learning-rate schedule.
        streamed: whether the steps receive batches of examples instead of drawing from all of them.
    """
    sample: Callable = partial(plan.pairs.training_batch, batch_size=plan.run.batch_size)
    sample = plan.pairs.streamed_batch if streamed else sample
    labels = {"with_labels": True, "with_views": method.plain_views} if method.uses_labels else {}
    return Experiment(
        partial(sample, **labels),
        method.init,
        method.loss,
        method.optimizer(plan.optimizer.build(plan.run.batch_size, num_steps)),
        plan.run.batch_size,
        plan.optimizer.average_decay,
    )
