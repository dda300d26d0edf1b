"""A run read back from its work directory, and its encoder as a function. No data is needed."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from textwrap import shorten
from typing import Any, NamedTuple

import jax

from mi_coding import data
from mi_coding.errors import InputError, Setting
from mi_coding.methods import Method, Variables
from mi_coding.runs import build
from mi_coding.runs.build import Plan, dummy_batch, with_parts
from mi_coding.training.checkpoints import read_newest
from mi_coding.training.step import TrainState, init_state


class Restored(NamedTuple):
    """A run that was read back.

    Attributes:
        plan: what its config describes.
        step: the step of the checkpoint.
        metadata: what the checkpoint carries along, see `runs.run.checkpoint_metadata`.
        method: with its parts.
        variables: (params, stats), the moving averages where they are kept.
        summary: the summary of a finished run; None before its end.
        workdir: where it was read from.
    """

    plan: Plan
    step: int
    metadata: dict[str, Any]
    method: Method
    variables: Variables
    summary: dict[str, Any] | None
    workdir: Path

    @property
    def examples(self) -> list[dict[str, Any]]:
        """Shapes and dtypes of an example, see `data.describe_examples`."""
        return self.metadata["data"]["examples"]

    @property
    def scale(self) -> Any:
        """The scale of tables, see `data.fit_scale`; None if they were not scaled."""
        return self.metadata["data"].get("scale values")

    def image_options(self, source: str) -> data.ImageOptions:
        """How the images of a source are converted unless the user says otherwise: as in training.

        If the config keeps channels, or takes white from its data, the values of the training data apply; but that data
        itself is read as in training, so that films are not decoded anew. A layout is for folders only, and groups are
        for the training data.
        """
        trained, is_folder = self.plan.data, data.open_source(source).takes_layout
        as_in_training = self.plan.pairs.takes_films or (source == trained.source and not is_folder)
        return {
            "image_size": trained.image_size,
            "channels": trained.channels if as_in_training else trained.channels or self._channels,
            "white": trained.white or self.metadata["data"].get("white", 0.0),
            "layout": trained.layout if is_folder else "auto",
            "group": trained.group if source == trained.source else "",
        }

    @property
    def _channels(self) -> int:
        """Channels of the images that a run was trained on; 0 for anything else."""
        shapes = [half["shape"] for half in self.examples]
        return shapes[0][-1] if len(shapes) == 1 and len(shapes[0]) == 3 and shapes[0][-1] in data.CHANNELS else 0


def restore(workdir: str | Path, warn: Callable[[str], None], *, option: str = "--workdir") -> Restored:
    """Reads the newest good checkpoint of a run, on whatever devices are here; writes nothing.

    Args:
        workdir: the directory of the run, finished or not.
        warn: called with one line for each damaged checkpoint.
        option: the one that named the directory, for messages.
    Raises:
        InputError: where there is no run, no checkpoint yet, or one that this version cannot read.
    """
    workdir = Path(workdir)
    config = _read_config(workdir, option)
    methods: list[tuple[Plan, Method]] = []

    def like(metadata: dict[str, Any]) -> TrainState:
        if "data" not in metadata:
            raise InputError(
                f"{option}={workdir} was trained by an older version, whose checkpoints do not say what the examples "
                "look like; train it again in a new directory"
            )
        plan, method = _build(config, metadata, workdir)
        methods[:] = [(plan, method)]
        experiment = build.build_experiment(plan, method, 1, streamed=True)
        batch = dummy_batch(method, metadata["data"]["examples"], 2)
        return jax.eval_shape(partial(init_state, experiment), jax.random.key(0), batch)

    found = read_newest(workdir / "checkpoints", like, warn)
    if found is None:
        raise InputError(
            f"{option}={workdir} has no checkpoint that can be read; a run writes its first after ",
            Setting("checkpoint.every_steps"),
            " steps, or when it is stopped by Ctrl-C",
        )
    state, metadata = found
    (plan, method), summary = methods[0], workdir / "summary.json"
    written = json.loads(summary.read_text(encoding="utf-8")) if summary.is_file() else None
    return Restored(plan, int(state.step), metadata, method, state.variables, written, workdir)


def pickled(run: Restored) -> tuple[Any, ...]:
    """What a run is rebuilt from in another process, see `unpickled`: plain values and arrays."""
    return run.plan.config, run.step, run.metadata, jax.device_get(run.variables), run.summary, run.workdir


def unpickled(
    config: dict[str, Any],
    step: int,
    metadata: dict[str, Any],
    variables: Variables,
    summary: dict[str, Any] | None,
    workdir: Path,
) -> Restored:
    """The run, rebuilt from what `pickled` returned."""
    plan, method = _build(config, metadata, workdir)
    return Restored(plan, step, metadata, method, variables, summary, workdir)


def on_platform(run: Restored, platform: str) -> Restored:
    """The same run with its encoder in the form for "cpu", "gpu" or "tpu"; the one for TPU compiles for all three."""
    _, method = _build(run.plan.config, run.metadata, run.workdir, platform)
    return run._replace(method=method)


def other_shapes(source: str, here: list[tuple[int, ...]], trained: list[tuple[int, ...]]) -> InputError:
    """The error for examples that do not have the shapes that a run was trained on, of x and y or of one array.

    >>> print(other_shapes("folder:a", [(9, 9, 1)], [(8, 8, 3)]).spelled(lambda setting: setting.spelled("--size")))
    folder:a has examples of shape (9, 9, 1); the run was trained on (8, 8, 3): --size=8 --size=3 converts image ...
    """
    shapes, expected = (" and ".join(map(str, shapes)) for shapes in (here, trained))
    said = f"{source} has examples of shape {shapes}; the run was trained on {expected}"
    if not (len(here) == len(trained) == 1 and len(here[0]) == len(trained[0]) == 3 and trained[0][0] == trained[0][1]):
        return InputError(said)
    size, channels = (Setting(f"data.{k}", trained[0][i], flag=True) for k, i in (("image_size", 0), ("channels", 2)))
    return InputError(f"{said}: ", size, " ", channels, " converts image files to it")


def _read_config(workdir: Path, option: str) -> dict[str, Any]:
    path = workdir / "config.json"
    if not path.is_file():
        what = "holds no config.json, so it is not a run" if workdir.is_dir() else "is not a directory"
        raise InputError(f"{option}={workdir} {what}; expected the work directory of a run")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(config, dict):
            raise ValueError
    except ValueError:
        raise InputError(f"{path} is not the config of a run; expected the work directory of a run") from None
    return config


def _build(config: dict[str, Any], metadata: dict[str, Any], workdir: Path, platform: str = "") -> tuple[Plan, Method]:
    """The plan and the method of a config that was checked when its run began, perhaps by an older version."""
    trained_on = metadata["data"]
    try:
        plan = build.plan(config)
        method = with_parts(
            plan,
            trained_on["examples"],
            trained_on["classes"],
            num_devices=metadata.get("devices", jax.local_device_count()),  # older runs do not say
            num_steps=1,  # of a schedule that is not continued
            platform=platform,
        )
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        reason = shorten(str(error), 400, placeholder=" …")
        hint = "; for a kind of your own, import the module that registers it first"
        raise InputError(f"{workdir / 'config.json'} cannot be built by this version: {reason}{hint}") from None
    return plan, method
