"""A run read back from its work directory, and its encoder as a function. No data is needed."""

import json
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mi_coding import data
from mi_coding.errors import InputError, Setting
from mi_coding.evaluation.codes import encode_each
from mi_coding.methods import Method, OutputCodes, Variables
from mi_coding.pairs.given import as_numbers
from mi_coding.runs import build
from mi_coding.runs.build import Plan
from mi_coding.runs.run import dummy_batch, with_parts
from mi_coding.training.checkpoints import read_newest
from mi_coding.training.step import TrainState, init_state

LAYERS = ("codes", "features")
"""What an encoder can hand out: the projected codes that the critic scores, or the features before the head."""

HALVES = ("x", "y")

_VALUES_AT_ONCE = 2**22  # numbers in a batch of examples
_FEWEST_AT_ONCE, _MOST_AT_ONCE = 8, 256


class Restored(NamedTuple):
    """A run that was read back.

    Attributes:
        plan: what its config describes.
        step: of the checkpoint.
        metadata: what the checkpoint carries along, see `runs.run.checkpoint_metadata`.
        method: with its parts.
        variables: (params, stats), the moving averages where they are kept.
        summary: of a finished run; None before its end.
    """

    plan: Plan
    step: int
    metadata: dict[str, Any]
    method: Method
    variables: Variables
    summary: dict[str, Any] | None

    @property
    def examples(self) -> list[dict[str, Any]]:
        """What an example looks like, see `data.describe_examples`."""
        return self.metadata["data"]["examples"]

    @property
    def scale(self) -> Any:
        """By which tables were scaled, see `data.fit_scale`; None where they were not."""
        return self.metadata["data"].get("scale values")

    def image_options(self, source: str) -> data.ImageOptions:
        """What the images of a source are brought to unless a person says otherwise: to what training had.

        A config that keeps channels, or chooses what is white by its data, means those of its data; but the training
        data itself is read as in training, so that films are not decoded anew. A layout is for folders only, and groups
        are for the data of training.
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
        """Channels of the images that a run was trained on; 0 of anything else."""
        shapes = [half["shape"] for half in self.examples]
        return shapes[0][-1] if len(shapes) == 1 and len(shapes[0]) == 3 and shapes[0][-1] in data.CHANNELS else 0


def restore(workdir: str | Path, warn: Callable[[str], None]) -> Restored:
    """Reads the newest good checkpoint of a run, on whatever devices are here; writes nothing.

    Args:
        workdir: of the run, finished or not.
        warn: takes one line for each damaged checkpoint.
    Raises:
        InputError: where there is no run, no checkpoint yet, or one that this version cannot read.
    """
    workdir = Path(workdir)
    config = _read_config(workdir)
    methods: list[tuple[Plan, Method]] = []

    def like(metadata: dict[str, Any]) -> TrainState:
        if "data" not in metadata:
            raise InputError(
                f"--workdir={workdir} was trained by an older version, whose checkpoints do not say what the examples "
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
            f"--workdir={workdir} has no checkpoint that can be read; a run writes its first after ",
            Setting("checkpoint.every_steps"),
            " steps, or when it is stopped by Ctrl-C",
        )
    state, metadata = found
    (plan, method), summary = methods[0], workdir / "summary.json"
    written = json.loads(summary.read_text(encoding="utf-8")) if summary.is_file() else None
    return Restored(plan, int(state.step), metadata, method, state.variables, written)


def load_encoder(workdir: str | Path, *, layer: str = "codes", half: str = "x") -> "TrainedEncoder":
    """The encoder of a run as a function from a batch of examples to codes, jitted; it needs no data.

    It reads the newest good checkpoint, on whatever devices are here, and the moving average of the weights where the
    run keeps one. The encoder is shown what the probes see: of an image the image itself, scaled as in training; of
    moving digits one frame with the image in its middle, whole pixels from the edges.

    >>> encode = load_encoder(WORKDIR)  # of `python -m mi_coding.main --workdir=WORKDIR …`
    >>> codes = encode(np.zeros((5, 8, 8, 1), np.uint8))
    >>> codes.shape, codes.dtype
    ((5, 4), dtype('float32'))

    Args:
        workdir: of a run, finished or not.
        layer: "codes", what the critic scores, or of a discrete code the probability of each value of each symbol,
            symbol by symbol; or "features", before the projection head, what the probes read, and mostly the better
            choice for a task of another kind.
        half: of given pairs whether to encode "x" or "y".
    Returns:
        encode(examples) → float32[n, D]. Examples are uint8 in 0 .. 255, or floats in [0, 1], of the shape that the
        run was trained on or of the shape that the encoder is shown; any number of them, in batches of one compiled
        shape. Another shape or dtype, or values outside, are a ValueError.
    Raises:
        InputError: (a ValueError) where there is no run, no checkpoint yet, or one that this version cannot read.
    """
    return TrainedEncoder(restore(workdir, partial(warnings.warn, stacklevel=2)), layer=layer, half=half)


class TrainedEncoder:
    """What `load_encoder` returns.

    Attributes:
        dim: D.
        shape: of one example, as the run was trained on.
        batch_size: examples that are encoded at a time.
        output: how codes are written, and the prior of a discrete code; None for features.
    """

    def __init__(self, run: Restored, *, layer: str = "codes", half: str = "x"):
        if layer not in LAYERS:
            raise InputError(f"layer={layer!r} is unknown; expected one of {', '.join(LAYERS)}")
        if half not in HALVES or (half == "y" and len(run.examples) == 1):
            expected = "x or y" if len(run.examples) > 1 else "x: the run has one encoder for both halves"
            raise InputError(f"half={half!r} is unknown; expected {expected}")
        self._given, described = len(run.examples) > 1, run.examples[HALVES.index(half)]
        self._variables, self._pairs = run.variables, run.plan.pairs
        self._scale = run.scale and run.scale[HALVES.index(half)]
        self.output: OutputCodes | None = None
        if layer == "codes" and half == "x":
            self.output = run.method.output_codes(run.variables, run.summary)
            self._function = self.output.encode
        else:
            self._function = lambda params, stats, x: getattr(run.method.encode(params, stats, x, half=half), layer)
        self.shape = self._shown = tuple(described["shape"])
        if not self._given:
            shown = jax.eval_shape(self._pairs.stills, jax.ShapeDtypeStruct((1, *self.shape), jnp.float32))
            self._shown = shown.shape[1:]
        values = int(np.prod(self.shape))
        self.batch_size = max(_FEWEST_AT_ONCE, min(_MOST_AT_ONCE, _VALUES_AT_ONCE // values))
        self._encode = jax.jit(self._codes)
        dummy = jax.ShapeDtypeStruct((1, *self.shape), described["dtype"])
        self.dim = jax.eval_shape(self._codes, self._variables, dummy).shape[1]

    def __call__(self, examples: Any) -> np.ndarray:
        """float32[n, D] of n examples."""
        examples = self.checked(np.asarray(examples))
        parts = (examples[i : i + self.batch_size] for i in range(0, len(examples), self.batch_size))
        return np.concatenate([np.zeros((0, self.dim), np.float32), *self.each(parts)])

    def each(self, parts: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The codes of each part, at most `batch_size` checked examples; see `encode_each`."""
        parts = (part if self._scale is None else data.scaled_half(part, self._scale) for part in parts)
        return encode_each(partial(self._encode, self._variables), parts, batch_size=self.batch_size)

    def compile(self, like: np.ndarray | data.LazyImages) -> None:
        """Compiles the program for examples of such a shape and dtype, which the first call would do."""
        dummy = np.zeros((self.batch_size, *like.shape[1:]), like.dtype)
        jax.block_until_ready(self._encode(self._variables, dummy))

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Whether examples may have a shape: what the run was trained on, or what the encoder is shown."""
        return shape == self._shown or (self._pairs.takes_shape(shape, self.shape) and len(shape) > 0)

    def checked(self, examples: np.ndarray) -> np.ndarray:
        """Examples that can be encoded, of uint8 or float32.

        Raises:
            ValueError: naming what was given and what was expected.
        """
        if examples.ndim == 0 or not self.takes(examples.shape[1:]):
            shapes = sorted({self.shape, self._shown})
            expected = " or ".join(f"(n, {', '.join(map(str, shape))})" for shape in shapes)
            raise ValueError(f"examples of shape {examples.shape}; expected {expected}")
        if examples.dtype == np.uint8:
            return examples
        if not np.issubdtype(examples.dtype, np.floating):
            raise ValueError(f"examples of {examples.dtype}; expected uint8, or floats")
        self._check_range(examples)
        return examples.astype(np.float32, copy=False)

    def _check_range(self, examples: np.ndarray) -> None:
        if not examples.size:
            return
        if self._pairs.are_sequences and (found := self._pairs.too_short(data.Split(examples, None))):
            if found[0].any():  # others may end in NaN, which is padding
                raise ValueError(f"{int(found[0].sum()):,} of {len(examples):,} examples are {found[1]}")
            return
        lowest, highest = examples.min(), examples.max()  # NaN, if there is one
        if not np.isfinite(lowest) or not np.isfinite(highest):
            raise ValueError("examples hold NaN or infinity; expected finite numbers")
        is_image = not self._given and len(self.shape) == 3
        if is_image and (lowest < 0 or highest > 1):
            raise ValueError(f"floats from {lowest:g} to {highest:g}; expected images in [0, 1], or uint8 in 0 .. 255")

    def _codes(self, variables: Variables, examples: jax.Array) -> jax.Array:
        as_they_are = self._given or (examples.shape[1:] == self._shown != self.shape)
        shown = as_numbers(examples) if as_they_are else self._pairs.stills(examples)
        return self._function(*variables, shown).astype(jnp.float32)


def other_shapes(source: str, here: list[tuple[int, ...]], trained: list[tuple[int, ...]]) -> InputError:
    """What to say of data whose examples are not of the shapes that a run was trained on, x and y or one.

    >>> print(other_shapes("folder:a", [(9, 9, 1)], [(8, 8, 3)]).spelled(lambda setting: setting.spelled("--size")))
    folder:a has examples of shape (9, 9, 1); the run was trained on (8, 8, 3): --size=8 --size=3 brings image files ...
    """
    shapes, expected = (" and ".join(map(str, shapes)) for shapes in (here, trained))
    said = f"{source} has examples of shape {shapes}; the run was trained on {expected}"
    if not (len(here) == len(trained) == 1 and len(here[0]) == len(trained[0]) == 3 and trained[0][0] == trained[0][1]):
        return InputError(said)
    size, channels = (Setting(f"data.{k}", trained[0][i], flag=True) for k, i in (("image_size", 0), ("channels", 2)))
    return InputError(f"{said}: ", size, " ", channels, " brings image files to it")


def _read_config(workdir: Path) -> dict[str, Any]:
    path = workdir / "config.json"
    if not path.is_file():
        what = "holds no config.json, so it is no run" if workdir.is_dir() else "is no directory"
        raise InputError(f"--workdir={workdir} {what}; expected the work directory of a run")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(config, dict):
            raise ValueError
    except ValueError:
        raise InputError(f"{path} is not the config of a run; expected the work directory of a run") from None
    return config


def _build(config: dict[str, Any], metadata: dict[str, Any], workdir: Path) -> tuple[Plan, Method]:
    """The plan and the method of a config that was checked when its run began, perhaps by an older version."""
    trained_on = metadata["data"]
    try:
        plan = build.plan(config)
        method = with_parts(
            plan,
            trained_on["examples"],
            trained_on["classes"],
            num_devices=jax.local_device_count(),
            num_steps=1,  # of a schedule that is not continued
        )
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{workdir / 'config.json'} is no config that this version can build: {reason}") from None
    return plan, method
