"""The base class of all pair samplers: how ⟨x, y⟩ is drawn, from what, and how it is described to a person."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import numpy as np

from mi_coding.errors import InputError, Setting
from mi_coding.options import check_options, option
from mi_coding.pairs.sampling import (
    PairFunctions,
    labelled,
    pairs_of_batch,
    sample_pairs,
    several,
    stills,
    view_by_view,
    views,
)

Shape = tuple[int, ...]


class BoundSpec(NamedTuple):
    """One held-out bound: pairs in a batch, in groups of `group_size` consecutive pairs of one film (1: no groups)."""

    batch_size: int
    group_size: int = 1


@dataclass(frozen=True, eq=False)
class PairSampler:
    """How pairs are made. A new kind defines `pair`, `view` and `describe`, and adds itself to `PAIRS`.

    Its functions of arrays are pure, and run on the devices.

    Attributes:
        name: of this kind in `PAIRS`.
        takes_films: whether pairs are drawn from the films of a source and not from single examples.
        takes_given_pairs: whether an example is a pair (x, y) already.
        are_sequences: whether x is a sequence that holds every pair of a step and the steps before it, and y is ().
        evaluations: names of the evaluations in `EVALUATORS` that apply to this kind.
        two_encoders: whether x and y have separate encoders.
        standardises: whether table columns are standardised to mean 0 and deviation 1 by those of the training split.
        film_gap: seconds from x to y, by which films are split; 0 for pairs of single examples.
        group_size: number of consecutive pairs of one film in a training batch; 1 where each is drawn by itself.
        gathered: a method that gives each pair more than its own example, see `PairFunctions`; None for most kinds.
        candidates_within: size of a group where only its own pairs are candidates; None where the whole batch is.
        small: how a pair of small views is drawn, where there are any.
        num_views: V, views of each example in a training batch, an even number. With more than two, x holds the first
            V/2 views of all examples, one after the other, and y the others; any two views of an example are a true
            pair.
        num_small: W, additional views of a smaller size in a training batch, an even number; x is then a `Crops`.
    """

    name: str = ""
    distinct: bool = option("pairs.distinct", False, "no example twice in a training batch; its bound is then invalid")

    takes_films: ClassVar[bool] = False
    takes_given_pairs: ClassVar[bool] = False
    are_sequences: ClassVar[bool] = False
    evaluations: ClassVar[tuple[str, ...]] = ("pairs",)
    two_encoders: ClassVar[bool] = False
    standardises: ClassVar[bool] = False
    film_gap: ClassVar[float] = 0.0
    group_size: ClassVar[int] = 1
    gathered: ClassVar[Callable[..., Any] | None] = None
    candidates_within: ClassVar[int | None] = None
    num_views, num_small = 2, 0  # not annotated: as fields of this class they would hide options of `Augmentations`
    small: ClassVar[PairFunctions | None] = None

    def __post_init__(self) -> None:
        check_options(self)

    def pair(self, key: jax.Array, example: Any) -> tuple[Any, Any]:
        """One independent draw of ⟨x, y⟩ from an example: an image uint8 or float[H, W, C], or what the source has."""
        raise NotImplementedError

    def view(self, key: jax.Array, example: Any) -> jax.Array:
        """The input of the encoder where a code of the example is wanted, as for probes: a draw of x alone."""
        raise NotImplementedError

    def describe(self) -> str:
        """What makes x and y a pair, in a few words."""
        raise NotImplementedError

    def still(self, example: Any) -> jax.Array:
        """The one view whose code represents the example; it is deterministic."""
        return self.view(jax.random.key(0), example)

    @property
    def independent(self) -> bool:
        """Whether the pairs of a training batch are independent draws, as a bound on information requires."""
        return not self.distinct

    def check(self, batch_size: int, num_devices: int) -> None:
        """Raises InputError for options that do not fit the batch; called before data is read."""

    def check_examples(self, source: str, shapes: Sequence[Shape], split: Any) -> None:
        """Raises InputError for examples from which pairs cannot be made.

        Args:
            source: the user's name for the data.
            shapes: that of an example, or those of x and y where the source has given pairs.
            split: training examples, `data.Split`.
        """
        if len(shapes) == 2:
            given = f"{source} holds given pairs, x and y of shape {shapes[0]} and {shapes[1]}; expected "
            where = f" as in configs/cpc_arrays.py, but it is {self.name!r}"
            raise InputError(given, Setting("pairs.name", "given"), where)
        try:
            self.pair_shape(shapes[0])
        except ValueError as error:
            reason = " ".join(str(error).split())
            raise InputError(Setting("pairs"), f" on {self._described(shapes[0])}: {reason}") from None

    def too_short(self, split: Any) -> tuple[np.ndarray, str] | None:
        """Which examples are too short to make a pair, bool[n], and why in a few words; None where all are used."""
        return None

    def takes_shape(self, shape: Shape, trained: Shape) -> bool:
        """Whether examples of a shape are views like those of the shape that was trained on."""
        return shape == trained

    def device_data(self, split: Any) -> Any:
        """What `sample` draws from, as NumPy arrays: the examples of a split that is in memory."""
        return split.examples

    def examples_of(self, data: Any) -> Any:
        """The single examples in what `device_data` returns: images, frames of films, or x and y of given pairs."""
        return data

    def sample(self, key: jax.Array, data: Any, rows: jax.Array, *, group_size: int = 1) -> tuple[Any, Any]:
        """The pairs numbered `rows` of a batch, drawn independently; a distractor may share the true y's example.

        Args: see `sample_pairs`, but
            data: from `device_data`, on the device.
            group_size: number of consecutive pairs of one film; only films have groups.
        """
        return sample_pairs(key, data, rows, pairs=self)

    def training_batch(
        self,
        key: jax.Array,
        data: Any,
        rows: jax.Array,
        *,
        batch_size: int,
        with_labels: bool = False,
        with_views: bool = False,
    ) -> tuple[Any, Any]:
        """The pairs of a training step, see `sample`; with `distinct`, no example is drawn twice.

        With labels, data are (examples, labels), and x and y are (x, label) and (y, label); with views as well, y is a
        view of the example.
        """
        functions = self._of_training(with_labels, with_views)
        among = batch_size if self.distinct else None
        return self._view_by_view(sample_pairs(key, data, rows, pairs=functions, distinct_among=among))

    def streamed_batch(
        self, key: jax.Array, examples: Any, rows: jax.Array, *, with_labels: bool = False, with_views: bool = False
    ) -> tuple[Any, Any]:
        """The pairs of a training step whose examples a stream has drawn; see `training_batch`."""
        functions = self._of_training(with_labels, with_views)
        return self._view_by_view(pairs_of_batch(key, examples, rows, pairs=functions))

    def _of_training(self, with_labels: bool, with_views: bool) -> Any:
        functions = self
        if self.has_several:
            functions = several(self, self.num_views // 2, self.small, self.num_small // 2)
        return labelled(functions, with_views=with_views) if with_labels else functions

    def _view_by_view(self, halves: tuple[Any, Any]) -> tuple[Any, Any]:
        return tuple(map(view_by_view, halves)) if self.has_several else halves

    @property
    def has_several(self) -> bool:
        """Whether a training batch has more than two views of an example."""
        return self.num_views + self.num_small > 2

    def other_bounds(self, batch_size: int, num_examples: int) -> dict[str, BoundSpec]:
        """Prefix of summary keys → held-out bound that is measured in addition to the one with the N of training."""
        return {"heldout_largest": BoundSpec(num_examples)}

    def streamed_shape(self, shape: Shape) -> Shape:
        """Shape of what a stream yields for each example of a shape."""
        return shape

    def pair_shape(self, shape: Shape) -> Shape:
        """Shape of x for examples of a shape; nothing is computed.

        Raises:
            ValueError: where pairs cannot be made of such examples.
        """
        example = jax.ShapeDtypeStruct(self.streamed_shape(shape), "float32")
        return jax.eval_shape(self.pair, jax.random.key(0), example)[0].shape

    def encoded_shapes(self, shapes: Sequence[Shape]) -> list[Shape]:
        """Input shapes of the encoders, for examples of the given shapes."""
        return [self.pair_shape(shapes[0])]

    def views(self, key: jax.Array, examples: Any) -> jax.Array:
        """float32[n, …]: one view of each example, drawn as the marginal of x is."""
        return views(key, examples, self)

    def stills(self, examples: Any) -> jax.Array:
        """float32[n, …]: the one view of each example whose code represents it."""
        return stills(examples, self)

    def _described(self, shape: Shape) -> str:
        """Examples of a shape, for a message."""
        return "images of {} × {}".format(*(*shape, 1)[:2])


class SequenceSampler(PairSampler):
    """Pairs of the steps before some time and those after it: x is a whole sequence, which holds all of them.

    A new kind defines `view`, float32[T, …]; the encoder is given one step at a time.
    """

    are_sequences = True
    evaluations = ("sequences",)

    def pair(self, key: jax.Array, example: Any) -> tuple[jax.Array, tuple[()]]:
        return self.view(key, example), ()

    def encoded_shapes(self, shapes: Sequence[Shape]) -> list[Shape]:
        return [shape[1:] for shape in super().encoded_shapes(shapes)]

    def describe(self) -> str:
        return "the steps before some time, and those after it"
