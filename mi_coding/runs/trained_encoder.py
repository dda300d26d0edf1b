"""The encoder of a run as a function of arrays, files or images. The training data is not needed."""

import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, partial
from html import escape
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from mi_coding import data
from mi_coding.data.sources.python import resized
from mi_coding.errors import InputError
from mi_coding.evaluation.codes import encode_each
from mi_coding.methods import Method, OutputCodes, Variables
from mi_coding.pairs import PairSampler
from mi_coding.pairs.given import as_numbers
from mi_coding.reporting.page import results_as_html
from mi_coding.reporting.results import group_results
from mi_coding.runs.restore import Restored, on_platform, pickled, restore, unpickled
from mi_coding.runs.stored import StoredCodes, nearest_codes, read_codes

LAYERS = ("codes", "features", "places")
"""What an encoder can return: the projected codes that the critic scores, the features before the head, or the
features of every place before they are pooled."""

HALVES = ("x", "y")

_VALUES_AT_ONCE = 2**22  # numbers in a batch of examples
_FEWEST_AT_ONCE, _MOST_AT_ONCE = 8, 256


def load_encoder(workdir: str | Path, *, layer: str = "codes", half: str = "x") -> "TrainedEncoder":
    """The encoder of a run as a function from a batch of examples to codes, jitted; it needs no data.

    It reads the newest good checkpoint, on whatever devices are here, and the moving average of the weights if the
    run keeps one. The encoder receives what the probes see: for an image the image itself, scaled as in training; for
    moving digits one frame with the image in the middle, a whole number of pixels from the edges.

    >>> encode = load_encoder(WORKDIR)  # of `python -m mi_coding.main --workdir=WORKDIR …`
    >>> codes = encode(np.zeros((5, 8, 8, 1), np.uint8))
    >>> codes.shape, codes.dtype
    ((5, 4), dtype('float32'))

    Args:
        workdir: of a run, finished or not.
        layer: "codes", which the critic scores, or for a discrete code the probability of each value of each symbol,
            symbol by symbol; or "features", before the projection head, which the probes read and which are mostly the
            better choice for other tasks; or "places", float32[n, h, w, C], the features of each place before they are
            pooled, for tasks that ask where.
        half: for given pairs, whether to encode "x" or "y".
    Returns:
        encode(examples) → float32[n, D], for any number of examples of the shape that the run was trained on or of the
        shape that the encoder receives. Images are uint8 in 0 .. 255 or floats in [0, 1], a list of paths or of Pillow
        images, or an array of another size, which is resized where training resized its images. Rows and sequences are
        any finite numbers, as they were before the run scaled them. Another shape or dtype, or values outside, raise
        ValueError. It can be pickled.
    Raises:
        InputError: (a ValueError) where there is no run, no checkpoint yet, or one that this version cannot read.
    """
    return TrainedEncoder(restore(workdir, partial(warnings.warn, stacklevel=2)), layer=layer, half=half)


class TrainedEncoder:
    """What `load_encoder` returns.

    Attributes:
        dim: D; for places, h · w · C.
        places: their shape, such as (h, w, C); () for another layer.
        shape: of one example, as the run was trained on.
        batch_size: examples that are encoded at a time.
        output: how codes are written, and the prior of a discrete code; None for features.
        summary: the entries of the run's summary.json; {} before its end.
        report: path of its report.html; None before its end.
    """

    def __init__(self, run: Restored, *, layer: str = "codes", half: str = "x"):
        self._run, self._layer, self._half = run, layer, half
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
            function = self.output.encode
        else:
            function = partial(_layer_of, run.method, layer, half)
        self.shape = self._shown = tuple(described["shape"])
        if not self._given:
            shown = jax.eval_shape(self._pairs.stills, jax.ShapeDtypeStruct((1, *self.shape), jnp.float32))
            self._shown = shown.shape[1:]
        values = int(np.prod(self.shape))
        self.batch_size = max(_FEWEST_AT_ONCE, min(_MOST_AT_ONCE, _VALUES_AT_ONCE // values))
        # Without `self`, which the caches of JAX would keep alive as long as the program.
        codes = partial(_codes, function, self._pairs, self._given, self.shape, self._shown)
        dummy = jax.ShapeDtypeStruct((1, *self.shape), self.dtype)
        found = jax.eval_shape(codes, self._variables, dummy).shape[1:]
        self.places, self.dim = (found if layer == "places" else ()), math.prod(found)
        in_rows = (-1, self.dim)
        self._encode = jax.jit(lambda variables, examples: codes(variables, examples).reshape(in_rows))

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (*pickled(self._run), self._layer, self._half)

    def __repr__(self) -> str:
        shape, source = " × ".join(map(str, self.shape)), self._run.plan.config["data.source"]
        learnt_of = "arrays" if source == "python:" else source
        return f"<encoder of {learnt_of}: {shape} → {self.dim:,} numbers ({self._layer})>"

    def _repr_html_(self) -> str:
        rows = group_results(self.summary, self._run.plan.evaluators) if self.summary else []
        return f"<p><b>{escape(repr(self))}</b></p>{results_as_html(rows)}"

    @property
    def summary(self) -> dict[str, Any]:
        return self._run.summary or {}

    @property
    def report(self) -> Path | None:
        path = self._run.workdir / "report.html"
        return path if path.is_file() and self._run.summary is not None else None

    def layer_of(self, layer: str) -> "TrainedEncoder":
        """The same encoder with another of `LAYERS` as its output."""
        return self if self._layer == layer else TrainedEncoder(self._run, layer=layer, half=self._half)

    @cached_property
    def _of_features(self) -> "TrainedEncoder":
        return self.layer_of("features")

    def features(self, examples: Any) -> np.ndarray:
        """float32[n, F]: the output of the encoder before its projection head, which the probes read."""
        return self._of_features(examples)

    def nearest(
        self, query: Any, codes: np.ndarray | StoredCodes | str | Path, k: int = 10
    ) -> list[list[tuple[str | int, float]]]:
        """For each example of a query, the k nearest codes among those given, the nearest first: (name, cosine).

        Args:
            query: examples, as the encoder takes them.
            codes: float[n, D], whose names are their row numbers; or a file of `embed`, or what `read_codes` returns.
            k: number of neighbours.
        Raises:
            ValueError: for codes that are not of this encoder's length.
        """
        stored = read_codes(codes) if isinstance(codes, str | Path) else codes
        if not isinstance(stored, StoredCodes):
            stored = StoredCodes(np.asarray(stored), np.arange(len(stored)))
        if stored.codes.ndim != 2 or stored.codes.shape[1] != self.dim:
            raise ValueError(f"codes of shape {stored.codes.shape}; expected (n, {self.dim})")
        positions, cosines = nearest_codes(self(query), stored.codes, k)
        names = stored.names[positions].tolist()
        return [list(zip(*of_one, strict=True)) for of_one in zip(names, cosines.tolist(), strict=True)]

    def __call__(self, examples: Any) -> np.ndarray:
        """float32[n, D] for n examples, or for places float32[n, h, w, C]."""
        examples = self.checked(self._as_array(examples))
        parts = (examples[i : i + self.batch_size] for i in range(0, len(examples), self.batch_size))
        codes = np.concatenate([np.zeros((0, self.dim), np.float32), *self.each(parts)])
        return codes.reshape(-1, *self.places) if self.places else codes

    def each(self, parts: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The codes float32[n, D] of each part, at most `batch_size` checked examples; see `encode_each`."""
        parts = (part if self._scale is None else data.scaled_half(part, self._scale) for part in parts)
        return encode_each(partial(self._encode, self._variables), parts, batch_size=self.batch_size)

    @property
    def half(self) -> str:
        """Which half of given pairs is encoded, "x" or "y"; "x" where there is one encoder."""
        return self._half

    @property
    def is_of_given_pairs(self) -> bool:
        """Whether the run is of given pairs, of which either half can be encoded."""
        return self._given

    @property
    def layer(self) -> str:
        """The layer that is returned, one of `LAYERS`."""
        return self._layer

    @property
    def run(self) -> Restored:
        """The run that the encoder is from."""
        return self._run

    @property
    def dtype(self) -> str:
        """The dtype of the examples that the run was trained on, such as "uint8"."""
        return self._run.examples[HALVES.index(self._half)]["dtype"]

    def portable(self) -> Callable[[jax.Array], jax.Array]:
        """Examples [b, …] → codes float32[b, D], a pure function that compiles for every platform and any b.

        The weights are constants of the function, and it scales tables itself.
        """
        codes = TrainedEncoder(on_platform(self._run, "tpu"), layer=self._layer, half=self._half)._encode
        variables, scale = self._variables, self._scale

        def portable(examples: jax.Array) -> jax.Array:
            if scale is not None:
                mean, deviation = (jnp.asarray(scale[name], jnp.float32) for name in ("mean", "deviation"))
                examples = (examples - mean) / deviation
            return codes(variables, examples)

        return portable

    def through(self, program: Callable[[np.ndarray], np.ndarray]) -> "TrainedEncoder":
        """The same encoder with codes computed by another program, from unscaled examples."""
        other = TrainedEncoder(self._run, layer=self._layer, half=self._half)
        other._encode, other._scale = (lambda _, examples: program(np.asarray(examples))), None
        return other

    def with_variables(self, variables: Variables) -> "TrainedEncoder":
        """The same encoder with other weights of the same shapes."""
        return TrainedEncoder(self._run._replace(variables=variables), layer=self._layer, half=self._half)

    def compile(self, like: np.ndarray | data.LazyImages) -> None:
        """Compiles the program for examples of this shape and dtype, as the first call would."""
        dummy = np.zeros((self.batch_size, *like.shape[1:]), like.dtype)
        jax.block_until_ready(self._encode(self._variables, dummy))

    def _as_array(self, examples: Any) -> np.ndarray:
        """Examples as one array: files and Pillow images decoded, images of bytes resized to the size of training."""
        if isinstance(examples, str | Path | Image.Image):
            raise ValueError(f"one image, {examples!r:.100}; expected a list of images")
        if isinstance(examples, list | tuple) and any(isinstance(one, str | Path | Image.Image) for one in examples):
            return np.stack([self._pixels(one) for one in examples])
        examples = np.asarray(examples)
        if self.takes_images:
            examples = self._by_white(examples)
        if not self._resizes or examples.ndim not in (3, 4) or self.takes(examples.shape[1:]):
            return examples
        if examples.ndim == 4 and examples.shape[3] not in (1, 3):
            return examples  # `checked` refuses them
        fitted = resized(examples, self._image_spec)
        if len(fitted) and fitted.shape[1:] != self.shape:
            found = f"images of {examples.shape[1:]}"
            raise ValueError(f"{found}; the run was trained on {self.shape}, which is not square")
        return fitted

    def _by_white(self, images: np.ndarray) -> np.ndarray:
        """Whole numbers, and floats above 1, divided by what was white in training; 0 .. 255 of any type as uint8."""
        white = self._run.metadata["data"].get("white", 0.0)
        is_whole = images.dtype.kind in "iub" and images.dtype != np.uint8
        if not images.size or not (is_whole or (white and images.dtype.kind == "f" and images.max() > 1)):
            return images
        lowest, highest = images.min(), images.max()
        if white and lowest >= 0 and highest <= white:
            return images.astype(np.float32) / np.float32(white)
        if is_whole and not white and lowest >= 0 and highest <= 255:
            return images.astype(np.uint8)
        raise ValueError(f"numbers from {lowest:g} to {highest:g}; expected images from 0 to {white or 255:g} (white)")

    @property
    def _resizes(self) -> bool:
        """Whether images in arrays are resized: if those of training were."""
        return self.takes_images and bool(self._run.plan.data.image_size)

    @property
    def takes_images(self) -> bool:
        """Whether examples are images [H, W, C], C = 1 or 3: bytes, or floats in [0, 1]."""
        return not self._given and len(self.shape) == 3 and self.shape[2] in data.CHANNELS

    def _pixels(self, image: str | Path | Image.Image) -> np.ndarray:
        """uint8[H, W, C] of one file or Pillow image."""
        if not self.takes_images:
            raise ValueError(f"{image!r:.100}; the run was trained on arrays of shape {self.shape}")
        if isinstance(image, Image.Image):
            return self._of_shape(data.pixels_of(image, self._image_spec), image)
        pixels = data.decode(Path(image), self._image_spec) if Path(image).is_file() else None
        if pixels is None:
            state = "cannot be decoded" if Path(image).is_file() else "is not a file"
            raise ValueError(f"{image} {state}; expected an image file")
        return self._of_shape(pixels, image)

    def _of_shape(self, pixels: np.ndarray, image: Any) -> np.ndarray:
        if pixels.shape != self.shape:
            raise ValueError(f"{image!r:.100} has {pixels.shape}; expected {self.shape}, as in training")
        return pixels

    @property
    def _image_spec(self) -> data.ImageSpec:
        """How images are converted: to the size of training, if that is a square."""
        height, width, channels = self.shape
        return data.ImageSpec(height if height == width else 0, channels, self._run.metadata["data"].get("white", 0.0))

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Whether examples may have a shape: that of training, or that which the encoder receives."""
        return shape == self._shown or (self._pairs.takes_shape(shape, self.shape) and len(shape) > 0)

    def checked(self, examples: np.ndarray) -> np.ndarray:
        """The examples, checked, as uint8 or float32.

        Raises:
            ValueError: naming what was given and what was expected.
        """
        if examples.ndim == 0 or not self.takes(examples.shape[1:]):
            shapes = sorted({self.shape, self._shown})
            expected = " or ".join(f"(n, {', '.join(map(str, shape))})" for shape in shapes)
            raise ValueError(f"examples of shape {examples.shape}; expected {expected}")
        are_images = len(self.shape) == 3
        if examples.dtype == np.uint8 and (are_images or self.dtype == "uint8"):
            return examples
        if not are_images and self.dtype == "uint8":  # whose values training divided by 255
            raise ValueError(f"examples of {examples.dtype}; expected uint8, as in training")
        if not np.issubdtype(examples.dtype, np.floating) and (are_images or examples.dtype.kind not in "iub"):
            expected = "uint8, or floats" if are_images else "numbers"
            raise ValueError(f"examples of {examples.dtype}; expected {expected}")
        with np.errstate(over="ignore"):  # `_check_range` tells of what float32 cannot hold
            examples = examples.astype(np.float32, copy=False)
        self._check_range(examples)
        return examples

    def _check_range(self, examples: np.ndarray) -> None:
        if not examples.size:
            return
        if self._pairs.are_sequences and (found := self._pairs.too_short(data.Split(examples, None))):
            if found[0].any():  # others may end in NaN, which is padding
                raise ValueError(f"{int(found[0].sum()):,} of {len(examples):,} examples are {found[1]}")
            return
        lowest, highest = examples.min(), examples.max()  # NaN, if there is one
        if not np.isfinite(lowest) or not np.isfinite(highest):
            raise ValueError("examples hold NaN or infinity in float32; expected finite numbers")
        is_image = not self._given and len(self.shape) == 3
        if is_image and (lowest < 0 or highest > 1):
            raise ValueError(f"floats from {lowest:g} to {highest:g}; expected images in [0, 1], or uint8 in 0 .. 255")


def _codes(
    function: Callable[..., jax.Array],
    pairs: PairSampler,
    given: bool,
    shape: tuple[int, ...],
    shown_shape: tuple[int, ...],
    variables: Variables,
    examples: jax.Array,
) -> jax.Array:
    as_they_are = given or (examples.shape[1:] == shown_shape != shape)
    shown = as_numbers(examples) if as_they_are else pairs.stills(examples)
    return function(*variables, shown).astype(jnp.float32)


def _layer_of(method: Method, layer: str, half: str, params: Any, stats: Any, x: jax.Array) -> jax.Array:
    if layer == "places":
        return method.places(params, stats, x, half=half)
    return getattr(method.encode(params, stats, x, half=half), layer)


def _rebuilt(*pickled_run: Any) -> TrainedEncoder:
    *run, layer, half = pickled_run
    return TrainedEncoder(unpickled(*run), layer=layer, half=half)
