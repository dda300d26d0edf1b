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
from ml_collections import ConfigDict

from mi_coding import data, pairs
from mi_coding.errors import InputError
from mi_coding.evaluation.codes import encode_each
from mi_coding.objectives.codes import CodeModel
from mi_coding.pairs.given import as_numbers
from mi_coding.training import build
from mi_coding.training.checkpoints import read_newest
from mi_coding.training.experiment import Codes, Experiment
from mi_coding.training.step import TrainState, init_state

LAYERS = ("codes", "features")
"""What an encoder can hand out: the projected codes that the critic scores, or the features before the head."""

HALVES = ("x", "y")

_VALUES_AT_ONCE = 2**22  # numbers in a batch of examples
_FEWEST_AT_ONCE, _MOST_AT_ONCE = 8, 256


class Restored(NamedTuple):
    """A run that was read back.

    Attributes:
        config: that began it.
        step: of the checkpoint.
        about: what the checkpoint carries along, see `runs.about`.
        kind: how its pairs are made.
        experiment, codes: as they were built for it.
        variables: (params, stats), the moving averages where they are kept.
        head: of the discrete codes of a co-training run the one that held-out pairs chose, which they do at its end;
            None before that, and where codes are vectors.
    """

    config: ConfigDict
    step: int
    about: dict[str, Any]
    kind: pairs.PairKind
    experiment: Experiment
    codes: Codes
    variables: tuple[Any, Any]
    head: int | None

    @property
    def examples(self) -> list[dict[str, Any]]:
        """What an example looks like, see `data.describe_examples`."""
        return self.about["data"]["examples"]


def restore(workdir: str | Path, warn: Callable[[str], None]) -> Restored:
    """Reads the newest good checkpoint of a run, on whatever devices are here; writes nothing.

    Args:
        workdir: of the run, finished or not.
        warn: is told of a damaged checkpoint.
    Raises:
        InputError: where there is no run, no checkpoint yet, or one that this version cannot read.
    """
    workdir = Path(workdir)
    config = _read_config(workdir)
    parts: list[tuple[Experiment, Codes]] = []

    def like(about: dict[str, Any]) -> TrainState:
        if "data" not in about:
            raise InputError(
                f"--workdir={workdir} was trained by an older version, whose checkpoints do not say what the examples "
                "look like; train it again in a new directory"
            )
        parts[:] = [_build(config, about["data"], workdir)]
        return _shapes(*parts[0], build.streamed_examples(config, about["data"]["examples"]))

    found = read_newest(workdir / "checkpoints", like, warn)
    if found is None:
        raise InputError(
            f"--workdir={workdir} has no checkpoint that can be read; a run writes its first after "
            "config.checkpoint.every_steps steps, or when it is stopped by Ctrl-C"
        )
    state, about = found
    kind = build.build_pairs(config)
    return Restored(config, int(state.step), about, kind, *parts[0], state.variables, _head(workdir, parts[0][1]))


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
        shapes: those that are taken: that one, and that of what the encoder is shown.
        batch_size: examples that are encoded at a time.
        prior: P_Ψ(z) of the discrete code that is handed out and its parameters, for `stored_codes`; None for vectors.
    """

    def __init__(self, run: Restored, *, layer: str = "codes", half: str = "x"):
        if layer not in LAYERS:
            raise InputError(f"layer={layer!r} is unknown; expected one of {', '.join(LAYERS)}")
        if half not in HALVES or (half == "y" and len(run.examples) == 1):
            expected = "x or y" if len(run.examples) > 1 else "x: the run has one encoder for both halves"
            raise InputError(f"half={half!r} is unknown; expected {expected}")
        self._given, described = len(run.examples) > 1, run.examples[HALVES.index(half)]
        self._variables, self._kind = run.variables, run.kind
        of_y = getattr(run.codes, f"{layer}_y") if half == "y" else None
        self._function = of_y or getattr(run.codes, layer)  # where pairs share one encoder, it codes y as well
        self.prior: tuple[CodeModel, Any] | None = None
        if layer == "codes" and run.codes.discrete:
            self.prior, self._function = _chosen_code(run)
        self.shape = tuple(described["shape"])
        self.shapes = {self.shape, self.shape if self._given else _shown_shape(run.kind, self.shape)}
        values = int(np.prod(self.shape))
        self.batch_size = max(_FEWEST_AT_ONCE, min(_MOST_AT_ONCE, _VALUES_AT_ONCE // values))
        self._encode = jax.jit(self._codes)
        blank = jax.ShapeDtypeStruct((1, *self.shape), described["dtype"])
        self.dim = jax.eval_shape(self._codes, self._variables, blank).shape[1]

    def __call__(self, examples: Any) -> np.ndarray:
        """float32[n, D] of n examples."""
        examples = self.checked(np.asarray(examples))
        parts = (examples[i : i + self.batch_size] for i in range(0, len(examples), self.batch_size))
        return np.concatenate([np.zeros((0, self.dim), np.float32), *self.each(parts)])

    def each(self, parts: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The codes of each part, at most `batch_size` checked examples; see `encode_each`."""
        return encode_each(partial(self._encode, self._variables), parts, batch_size=self.batch_size)

    def compile(self, like: np.ndarray | data.LazyImages) -> None:
        """Compiles the program for examples of such a shape and dtype, which the first call would do."""
        blank = np.zeros((self.batch_size, *like.shape[1:]), like.dtype)
        jax.block_until_ready(self._encode(self._variables, blank))

    def checked(self, examples: np.ndarray) -> np.ndarray:
        """Examples that can be encoded, of uint8 or float32.

        Raises:
            ValueError: naming what was given and what was expected.
        """
        if examples.ndim == 0 or examples.shape[1:] not in self.shapes:
            expected = " or ".join(f"(n, {', '.join(map(str, shape))})" for shape in sorted(self.shapes))
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
        lowest, highest = examples.min(), examples.max()  # NaN, if there is one
        if not np.isfinite(lowest) or not np.isfinite(highest):
            raise ValueError("examples hold NaN or infinity; expected finite numbers")
        is_image = not self._given and len(self.shape) == 3
        if is_image and (lowest < 0 or highest > 1):
            raise ValueError(f"floats from {lowest:g} to {highest:g}; expected images in [0, 1], or uint8 in 0 .. 255")

    def _codes(self, variables: tuple[Any, Any], examples: jax.Array) -> jax.Array:
        as_they_are = self._given or examples.shape[1:] != self.shape
        shown = as_numbers(examples) if as_they_are else pairs.stills(examples, self._kind)
        return self._function(*variables, shown).astype(jnp.float32)


def _chosen_code(run: Restored) -> tuple[tuple[CodeModel, Any], Callable[..., jax.Array]]:
    """The prior of the chosen discrete code with its parameters, and (params, stats, x) → its probabilities."""
    own, head = run.codes.discrete, run.head
    if head is None:
        raise InputError(
            f"the run is at step {run.step} and not finished, so that none of its {own.num_heads} codes is chosen yet; "
            "the command that began it goes on with it"
        )
    psi, _ = own.models_of(run.variables[1], head)
    return (own.prior, psi), lambda params, stats, x: jnp.exp(own.log_q(params, stats, x)[head]).reshape(len(x), -1)


def _head(workdir: Path, codes: Codes) -> int | None:
    """The number of the chosen discrete code, which summary.json tells at the end."""
    path = workdir / "summary.json"
    if codes.discrete is None:
        return None
    if codes.discrete.num_heads == 1:
        return 0
    return json.loads(path.read_text(encoding="utf-8"))["code/head"] if path.is_file() else None


def other_shapes(source: str, here: list[tuple[int, ...]], trained: list[tuple[int, ...]]) -> InputError:
    """What to say of data whose examples are not of the shapes that a run was trained on, x and y or one.

    >>> print(other_shapes("folder:a", [(9, 9, 1)], [(8, 8, 3)]))
    folder:a has examples of shape (9, 9, 1); the run was trained on (8, 8, 3): --image_size=8 --channels=3 ...
    """
    told, expected = (" and ".join(map(str, shapes)) for shapes in (here, trained))
    hint = ""
    if len(here) == len(trained) == 1 and len(here[0]) == len(trained[0]) == 3 and trained[0][0] == trained[0][1]:
        hint = f": --image_size={trained[0][0]} --channels={trained[0][2]} brings image files to it"
    return InputError(f"{source} has examples of shape {told}; the run was trained on {expected}{hint}")


def _shown_shape(kind: pairs.PairKind, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of what the encoder is shown of an example."""
    return jax.eval_shape(partial(pairs.stills, kind=kind), jax.ShapeDtypeStruct((1, *shape), jnp.float32)).shape[1:]


def _read_config(workdir: Path) -> ConfigDict:
    path = workdir / "config.json"
    if not path.is_file():
        what = "holds no config.json, so it is no run" if workdir.is_dir() else "is no directory"
        raise InputError(f"--workdir={workdir} {what}; expected the work directory of a run")
    try:
        return ConfigDict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, AttributeError):
        raise InputError(f"{path} is not the config of a run; expected the work directory of a run") from None


def _build(config: ConfigDict, trained_on: dict[str, Any], workdir: Path) -> tuple[Experiment, Codes]:
    """The experiment of a config that was checked when its run began, perhaps by an older version."""
    try:
        return build.build_experiment(
            config,
            jax.default_backend(),
            example_shape=tuple(trained_on["examples"][0]["shape"]),
            num_steps=1,  # of a schedule that is not gone on with
            num_classes=build.probe_classes(config, trained_on["classes"]),
            streamed=True,
        )
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{workdir / 'config.json'} is no config that this version can build: {reason}") from None


def _shapes(experiment: Experiment, codes: Codes, described: list[dict[str, Any]]) -> TrainState:
    """The state's shapes; nothing is computed."""
    examples = data.blank(described, 2)
    if codes.online_logits:
        examples = (examples, np.zeros(2, np.int32))
    return jax.eval_shape(partial(init_state, experiment), jax.random.key(0), examples)
