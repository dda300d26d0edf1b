"""Pairs of two moments of a stored film."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import jax
import numpy as np

from mi_coding.errors import InputError, Setting
from mi_coding.options import OneOf, Positive, PositiveInt, option
from mi_coding.pairs.augmentations import composition
from mi_coding.pairs.augmentations.compose import as_float
from mi_coding.pairs.base import BoundSpec, PairSampler, Shape
from mi_coding.pairs.film_pairs import Films, sample_film_pairs
from mi_coding.pairs.sampling import modified_alike, pairs_of_batch

ACROSS, WITHIN, MIXED = "across", "within", "mixed"


@dataclass(frozen=True, eq=False)
class Film(PairSampler):
    """Frames of one film, shown a gap apart, as they are; the view of a frame is the frame.

    >>> two_moments = jnp.stack([jnp.zeros((4, 4, 3)), jnp.ones((4, 4, 3))])
    >>> x, y = Film().pair(jax.random.key(0), two_moments)
    >>> float(x.max()), float(y.min())
    (0.0, 1.0)
    """

    gap: Positive = option("pairs.gap", 0.1, "seconds from x to y")
    distractors: Annotated[str, OneOf((ACROSS, WITHIN, MIXED))] = option(
        "pairs.distractors", ACROSS, "moments of all films, N = B; of the same film, N = group_size; or both"
    )
    pairs_of_one_film: PositiveInt = option("pairs.group_size", 32, "pairs of one film side by side (within, mixed)")
    steps: tuple = option(
        "pairs.steps", (), "a random modification of all frames of a training batch alike; () for none"
    )

    takes_films = True
    evaluations = ("films",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.distinct:
            raise InputError(
                Setting("pairs.distinct", True),
                " is for images; moments of films are always drawn independently: set it to False",
            )
        try:
            composition(self.steps)
        except (ValueError, TypeError) as error:
            raise InputError(Setting("pairs.steps"), f": {' '.join(str(error).split())}") from None

    @property
    def independent(self) -> bool:
        return self.distractors != MIXED

    @property
    def group_size(self) -> int:
        return 1 if self.distractors == ACROSS else self.pairs_of_one_film

    @property
    def candidates_within(self) -> int | None:
        return self.pairs_of_one_film if self.distractors == WITHIN else None

    @property
    def film_gap(self) -> float:
        return self.gap

    def describe(self) -> str:
        return f"two moments of one film, {self.gap:g} s apart"

    def pair(self, key: jax.Array, example: jax.Array) -> tuple[jax.Array, jax.Array]:
        del key  # the two moments uint8[2, H, W, C] are drawn already
        return as_float(example[0]), as_float(example[1])

    def view(self, key: jax.Array, image: jax.Array) -> jax.Array:
        del key
        return as_float(image)

    def check(self, batch_size: int, num_devices: int) -> None:
        """A group must lie on one device, and the groups must fill a batch."""
        size, shard = self.pairs_of_one_film, batch_size // num_devices
        if self.distractors != ACROSS and (size < 2 or shard % size):
            near = ", ".join(str(d) for d in range(2, shard + 1) if shard % d == 0)
            raise InputError(
                Setting("pairs.group_size", size),
                f" must divide the {shard} pairs of each of {num_devices} device(s), and be at least 2; these do: "
                f"{near or 'none, use a larger batch_size'}",
            )

    def check_examples(self, source: str, shapes: Sequence[Shape], split: Any) -> None:
        if split.films is None and len(shapes) == 1:
            raise InputError(
                Setting("pairs.name", self.name),
                f" makes pairs of frames of films, and {source} has images; expected a source such as "
                "'video:clips/*.mp4', or ",
                Setting("pairs.name", "augmentations"),
                " or 'frames'",
            )
        super().check_examples(source, shapes, split)

    def other_bounds(self, batch_size: int, num_examples: int) -> dict[str, BoundSpec]:
        if self.distractors == WITHIN:
            return {"heldout_across": BoundSpec(batch_size)}
        return {"heldout_within": BoundSpec(self.pairs_of_one_film, self.pairs_of_one_film)}

    def streamed_shape(self, shape: Shape) -> Shape:
        return (2, *shape)  # both frames of a pair

    def device_data(self, split: Any) -> Films:
        films = split.films
        begins = films.starts[films.segment_of(np.arange(len(films.times)))]
        since = films.times - begins  # float32 is exact to a thousandth of a second within hours, not beyond
        return Films(
            frames=split.examples,
            times=since.astype(np.float32),
            first=films.first.astype(np.int32),
            count=films.count.astype(np.int32),
            seconds=films.seconds.astype(np.float32),
            film=films.film.astype(np.int32),
            gap=np.float32(self.gap),
        )

    def examples_of(self, data: Films) -> jax.Array:
        return data.frames

    def sample(self, key: jax.Array, data: Films, rows: jax.Array, *, group_size: int = 1) -> tuple[Any, Any]:
        return sample_film_pairs(key, data, rows, pairs=self, group_size=group_size)

    def training_batch(
        self, key: jax.Array, data: Films, rows: jax.Array, *, batch_size: int, with_labels: bool = False
    ) -> tuple[Any, Any]:
        del batch_size, with_labels  # draws are independent; frames of films have no online probe

        def sample(key: jax.Array, data: Films, rows: jax.Array) -> tuple[Any, Any]:
            return self.sample(key, data, rows, group_size=self.group_size)

        return self._modified(sample)(key, data, rows)

    def streamed_batch(
        self, key: jax.Array, examples: Any, rows: jax.Array, *, with_labels: bool = False
    ) -> tuple[Any, Any]:
        del with_labels

        def sample(key: jax.Array, examples: Any, rows: jax.Array) -> tuple[Any, Any]:
            return pairs_of_batch(key, examples, rows, pairs=self)

        return self._modified(sample)(key, examples, rows)

    def _modified(self, sample: Any) -> Any:
        return modified_alike(sample, composition(self.steps)) if self.steps else sample
