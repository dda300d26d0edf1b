"""The base class of all methods: how codes are learnt from pairs."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

import jax
import optax

from mi_coding.encoders import Backbone
from mi_coding.errors import InputError, Setting
from mi_coding.objectives.gradient import as_shares
from mi_coding.options import check_options
from mi_coding.pairs.base import PairSampler, Shape

Variables = tuple[Any, Any]
"""Parameters, and state that is neither trained nor constant, such as running means."""


class Encoded(NamedTuple):
    """The output of an encoder for a batch: features float32[b, F], which probes read, and codes float32[b, D]."""

    features: jax.Array
    codes: jax.Array


class Parts(NamedTuple):
    """What a method needs besides its options; known once the data is.

    Attributes:
        encoder: the encoder, up to its features.
        pairs: how ⟨x, y⟩ is drawn.
        batch_size: B, the global batch.
        num_devices: the number of devices that share it.
        num_steps: the number of steps of the whole run.
        example_shape: the shape of one example; that of x where examples are given pairs.
        num_classes: the number of classes of the training labels, for an online probe or for `learns_labels`; 0 where
            there is neither.
        encoder_y: the encoder of y where it is of another kind than that of x; None where it is not.
        all_reduce_dtype: of the gradient of the encoder, see `as_shares`.
    """

    encoder: Backbone
    pairs: PairSampler
    batch_size: int
    num_devices: int
    num_steps: int
    example_shape: Shape
    num_classes: int
    encoder_y: Backbone | None = None
    all_reduce_dtype: str = "float32"

    @property
    def encoders(self) -> tuple[Backbone, ...]:
        """The encoder of x, and that of y where it has one of another kind."""
        return (self.encoder,) if self.encoder_y is None else (self.encoder, self.encoder_y)

    @property
    def shard_size(self) -> int:
        """b, the pairs on one device."""
        return self.batch_size // self.num_devices


class ScoredShapes(NamedTuple):
    """What a device scores in a step.

    Attributes:
        objective: (queries, keys, key=…, axis_name=…) → `CPCOutput`.
        queries, keys: shapes of one device's shard.
    """

    objective: Callable[..., Any]
    queries: Shape
    keys: Shape


class OutputCodes(NamedTuple):
    """The codes that a run outputs.

    Attributes:
        encode: (params, stats, x) → float32[b, D].
        pack: float32[n, D] → the form in which they are stored; None stores them as they are.
        description: a human-readable description of one code; "" for D numbers.
        prior: the model of a discrete code with its parameters; None for vectors.
    """

    encode: Callable[[Any, Any, jax.Array], jax.Array]
    pack: Callable[[Any], Any] | None = None
    description: str = ""
    prior: tuple[Any, Any] | None = None


@dataclass(frozen=True, eq=False)
class Method:
    """How codes are learnt. A new method defines `init`, `loss` and `encode`, and adds itself to `METHODS`.

    Its functions of arrays are pure, and run under `jax.jit` and a mapped axis.

    Attributes:
        name: of this method in `METHODS`.
        parts: see `Parts`; None until the data is known.
        evaluations: names of the evaluations in `EVALUATORS` that apply to this method, in addition to those of all.
        codes_are_chosen: whether the evaluation chooses the codes that a run outputs among several.
        halves_are_alike: whether the codes of x and y can be compared with each other.
        takes_views: whether training can use more than two views of an example, see `PairSampler.num_views`.
        num_ahead: for methods on sequences, the largest number of steps ahead that is predicted.
        learns_labels: whether the encoder learns from the labels of training examples.
        plain_views: whether y of a labelled pair is the example as probes see it, rather than as the pairs draw it.
        probe_learning_rate: that of an online probe trained beside the encoder; 0 for no probe.
        num_candidates: N of a training step: the true candidate and its distractors; None for a method without any.
        is_bound: whether ln N − loss of a training batch bounds the information from below.
        scored_shapes: what a device scores in a step, to find the memory of the loss; None where nothing is scored.
    """

    name: str = ""
    parts: Parts | None = None

    evaluations: ClassVar[tuple[str, ...]] = ()
    codes_are_chosen: ClassVar[bool] = False
    halves_are_alike: ClassVar[bool] = True
    takes_views: ClassVar[bool] = False
    num_ahead: ClassVar[int] = 1
    learns_labels: ClassVar[bool] = False
    plain_views: ClassVar[bool] = False
    probe_learning_rate = 0.0  # not annotated: as a field of this class it would hide the option of `OnlineProbe`
    num_candidates: ClassVar[int | None] = None
    is_bound: ClassVar[bool] = False
    scored_shapes: ClassVar[ScoredShapes | None] = None

    def __post_init__(self) -> None:
        check_options(self)

    def check(self, pairs: PairSampler, encoder: Backbone, batch_size: int, num_devices: int) -> None:
        """Raises InputError for options that do not go together; called before data is read."""

    def encoder_shares(self, params: Any, axis_name: str | None) -> Any:
        """The encoder's parameters in `params`, whose gradient is summed over devices once; see `as_shares`."""
        return as_shares(params["encoder"], axis_name, self.parts.all_reduce_dtype)

    def check_shape(self, shape: Shape) -> None:
        """Raises InputError for a shape of x that the method cannot learn from; called before anything is compiled."""

    def check_labels(self, source: str, num_classes: int) -> None:
        """Raises InputError for labels that the method cannot learn from; 0 classes where a source has no labels."""

    def encoder_complaint(self, encoder: Backbone) -> str:
        """Why an encoder cannot be used, and which ones can; "" if it can."""
        return ""

    def made_of(self, parts: Parts) -> Self:
        """The method with its parts."""
        return dataclasses.replace(self, parts=parts)

    def init(self, key: jax.Array, x: Any, y: Any) -> Variables:
        """Initial params and stats; a few pairs give the shapes."""
        raise NotImplementedError(f"{type(self).__name__} defines no init; a loss of codes is a subclass of TwoHalves")

    def loss(self, params: Any, stats: Any, key: jax.Array, x: Any, y: Any, axis_name: str | None) -> Any:
        """Loss, (metrics, stats): those of the global batch, the same on every device.

        Args:
            params, stats: see `init`.
            key: for random draws; the same on every device.
            x, y: one device's pairs; with labels, (x, label) and (y, label).
            axis_name: the mapped axis over the devices; None on a single device.
        """
        raise NotImplementedError

    def encode(self, params: Any, stats: Any, x: Any, *, half: str = "x") -> Encoded:
        """Features and codes of examples as given, by the encoder of x or, where y has an encoder of its own, of y."""
        raise NotImplementedError

    def places(self, params: Any, stats: Any, x: Any, *, half: str = "x") -> jax.Array:
        """float32[b, …, C]: the features at every place of the examples, before pooling; see `Encoder.places`."""
        raise InputError(f"objective {self.name!r} has no layer 'places'; expected features or codes")

    def encoder_variables(self, variables: Variables) -> Variables:
        """The params and the stats of just the encoder with its head, from which another run may start."""
        params, stats = variables
        return params["encoder"], stats

    def with_encoder(self, variables: Variables, encoder: Variables) -> Variables:
        """The same variables with those of the encoder replaced; see `encoder_variables`."""
        return variables[0] | {"encoder": encoder[0]}, encoder[1]

    def pair_codes(self, params: Any, stats: Any, x: Any, y: Any) -> tuple[jax.Array, jax.Array]:
        """z_x, z_y, float32[b, D] each: the codes of pairs."""
        return self.encode(params, stats, x).codes, self.encode(params, stats, y, half="y").codes

    def compared(self, params: Any, z_x: jax.Array, z_y: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The codes of pairs as the method compares their directions, float32[b, D] each; by default unchanged."""
        del params
        return z_x, z_y

    def probe_logits(self, params: Any, stats: Any, x: jax.Array) -> jax.Array:
        """float32[b, K]: the logits of the online probe for x, where there is one (`has_probe`)."""
        raise NotImplementedError

    def output_codes(self, variables: Variables, summary: dict[str, Any] | None) -> OutputCodes:
        """The codes that a run outputs, from its variables and its summary, which is None until the run ends."""
        return OutputCodes(lambda params, stats, x: self.encode(params, stats, x).codes)

    @property
    def has_probe(self) -> bool:
        """Whether a probe is trained beside the encoder."""
        return self.uses_labels and bool(self.probe_learning_rate)

    @property
    def uses_labels(self) -> bool:
        """Whether training examples come with labels, for an online probe or for the encoder."""
        return bool(self.parts and self.parts.num_classes)

    def optimizer(self, base: optax.GradientTransformation) -> optax.GradientTransformation:
        """The optimiser of the parameters, from that of the config."""
        return base

    def forecast(self) -> str:
        """The line printed before training: codes or candidates, and the ceiling of the result."""
        return self.name


def check_classes(name: str, source: str, num_classes: int) -> None:
    """Raises InputError for labels of fewer than two classes, for a method that learns from labels."""
    if num_classes < 2:
        found = f" needs labels of at least two classes in the training split, and {source} has "
        many = f"{num_classes} class" if num_classes else "no labels"
        raise InputError(Setting("objective.name", name), found, many)


def check_labelled(name: str, pairs: PairSampler) -> None:
    """Raises InputError for pairs whose examples have no labels, for a method that learns from labels."""
    if pairs.takes_films:
        raise InputError(Setting("objective.name", name), " is not for frames of films, which have no labels")


def with_own_rate(
    optimizer: optax.GradientTransformation, name: str, learning_rate: float | optax.Schedule
) -> optax.GradientTransformation:
    """`optimizer` for everything but params[name], which Adam updates with a learning rate of its own.

    The two never see each other's gradients: a probe trained beside an encoder does not change it.
    """
    own = {"model": optimizer, name: optax.adam(learning_rate)}
    return optax.multi_transform(own, lambda params: {part: part if part == name else "model" for part in params})
