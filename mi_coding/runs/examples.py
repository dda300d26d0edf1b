"""The data of a run: loaded, without examples that cannot form a pair, checked, and with its tables scaled."""

from collections.abc import Callable, Sequence
from typing import Any, Unpack

import numpy as np

from mi_coding import data
from mi_coding.errors import InputError, Setting
from mi_coding.runs.build import Plan
from mi_coding.runs.choices import ENCODER_CHOICE, ENCODER_Y_CHOICE


def load_data(
    plan: Plan,
    warn: Callable[[str], None],
    source: str | data.Source = "",
    cache_dir: str = "",
    **images: Unpack[data.ImageOptions],
) -> data.Dataset:
    """The data of a config, or of another source; `images` override how the config has images converted."""
    options = plan.data
    return data.load(
        source or options.source,
        **{name: getattr(options, name) for name in data.ImageOptions.__annotations__} | images,
        placement=options.placement,
        video=video_options(plan, cache_dir),
        warn=warn,
    )


def video_options(plan: Plan, cache_dir: str = "") -> data.VideoOptions:
    """How the films of a source are decoded and cut; `cache_dir` overrides that of the plan."""
    return data.VideoOptions(plan.pairs.film_gap, plan.data.frame_rate, cache_dir or plan.data.cache_dir)


def usable(plan: Plan, dataset: data.Dataset) -> data.Dataset:
    """A data set without the examples that cannot form a pair, which the account counts.

    Raises:
        InputError: if fewer than two are left in a split.
    """
    kept = [usable_part(plan, split, dataset.account) for split in dataset.splits]
    if all(split is whole for split, whole in zip(kept, dataset.splits, strict=True)):
        return dataset
    data.check_counts(plan.data.source, [data.num_examples(split) for split in kept])
    train, validation, test = kept
    # Copies are by row, and shown of images alone, all of which form pairs.
    dataset = dataset._replace(train=train, validation=validation, test=test, copies={})
    dataset.account.facts |= data.facts_of_splits(dataset)
    return dataset


def usable_part(plan: Plan, split: data.Split, account: Any) -> data.Split:
    """A split without the examples that cannot form a pair, which the account counts."""
    found = plan.pairs.too_short(split)
    if found is None or not found[0].any():
        return split
    is_short, reason = found
    names = list(data.names(split))
    account.leave_out(reason, [names[i] for i in np.flatnonzero(is_short)])
    return data.take(split, np.flatnonzero(~is_short))


def check_data(plan: Plan, dataset: data.Dataset) -> None:
    """Raises InputError for what only the data can show: examples that do not suit the pairs, too few for a batch."""
    num_train = data.num_examples(dataset.train)
    shapes = [tuple(half["shape"]) for half in data.describe_examples(dataset.train)]
    if plan.pairs.distinct and plan.run.batch_size > num_train:
        raise InputError(
            Setting("pairs.distinct"),
            f" needs a batch no larger than the data: batch_size {plan.run.batch_size}, {num_train} training examples; "
            f"use batch_size ≤ {num_train} or ",
            Setting("pairs.distinct", False, flag=True),
        )
    plan.pairs.check_examples(plan.data.source, shapes, dataset.train)
    _check_encoders(plan, plan.pairs.encoded_shapes(shapes))
    plan.method.check_labels(plan.data.source, count_classes(dataset.train))
    if not plan.pairs.takes_given_pairs:
        plan.method.check_shape(plan.pairs.pair_shape(shapes[0]))


def _check_encoders(plan: Plan, shapes: Sequence[tuple[int, ...]]) -> None:
    """Raises InputError where an encoder cannot take its shape, or one encoder not all of several shapes."""
    of_x, of_y = (ENCODER_CHOICE, plan.encoder), (ENCODER_Y_CHOICE, plan.encoder_y)
    encoders = [of_x, of_y] if plan.encoder_y else [of_x] * len(shapes)
    for (choice, encoder), shape in zip(encoders, shapes, strict=True):
        name = Setting(choice.key, plan.config[choice.key])
        if not encoder.can_take(shape):
            takes = f" takes {encoder.takes}, and {plan.data.source} gives it shape {shape}"
            raise InputError(name, f"{takes}; expected 'mlp', which takes any")
        if shape != shapes[0] and not plan.pairs.two_encoders and not encoder.encodes_both(shapes[0], shape):
            found = f" cannot encode both {shapes[0]} and {shape} with the same parameters into as many features"
            raise InputError(name, f"{found}; expected views of one size, or an encoder such as 'resnet18'")


def standardised(plan: Plan, dataset: data.Dataset) -> tuple[data.Dataset, Any]:
    """A data set with its tables scaled to mean 0 and deviation 1 if its pairs ask for it, and the scale or None."""
    if not plan.pairs.standardises:
        return dataset, None
    for name, half in zip("xy", data.describe_examples(dataset.train), strict=False):
        if len(half["shape"]) != 1 and half["dtype"] != "uint8":
            shape = " × ".join(map(str, half["shape"]))
            dataset.account.note(f"{name} of {shape} numbers is left as it is: only tables, [n, D], are standardised")
    scale = data.fit_scale(dataset.train)
    return scaled(dataset, scale), scale


def scaled(dataset: data.Dataset, scale: Any) -> data.Dataset:
    """A data set with its tables scaled, which the account notes; unchanged for None."""
    if scale is None:
        return dataset
    columns = " and ".join(f"{len(one['mean']):,}" for one in scale if one is not None)
    dataset.account.note(f"columns of tables ({columns}) have mean 0 and deviation 1 on the training split of the run")
    train, validation, test = (data.apply_scale(split, scale) for split in dataset.splits)
    return dataset._replace(train=train, validation=validation, test=test)


def in_classes_of(dataset: data.Dataset, names: Sequence[str] | None) -> tuple[data.Dataset, list[str]]:
    """A data set with labels as a classifier numbers its classes, and those of its classes that this one lacks.

    Args:
        names: those of the classifier's classes, by label. Where they, or those of the data, are not known, labels are
            taken to mean the same in both.
    """
    own = dataset.class_names
    if names is None or own is None or list(own) == list(names):
        return dataset, []
    lacking = [name for name in own if name not in names]
    if lacking:
        return dataset, lacking
    label_of = np.array([names.index(name) for name in own])

    def renumbered(split: data.Split) -> data.Split:
        labels = None if split.labels is None else np.where(split.labels >= 0, label_of[split.labels], -1)
        return split._replace(labels=labels)

    train, validation, test = map(renumbered, dataset.splits)
    return dataset._replace(train=train, validation=validation, test=test, class_names=list(names)), []


def count_classes(train: data.Split) -> int:
    """K, so that labels are 0 .. K − 1; 0 where there are none."""
    return 0 if train.labels is None else int(train.labels.max()) + 1
