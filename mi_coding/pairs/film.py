"""Pairs of two moments of a stored film: the frame that is shown at a random time, and the one shown a gap later.

The gap is a time, not a number of frames: how many frames lie between x and y follows from when they are shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mi_coding.errors import InputError, Setting
from mi_coding.options import OneOf, Positive, PositiveInt, option
from mi_coding.pairs.augmentations import composition
from mi_coding.pairs.augmentations.compose import as_float
from mi_coding.pairs.base import BoundSpec, PairSampler, Shape
from mi_coding.pairs.sampling import PairFunctions, modified_alike, pairs_of_batch

ACROSS, WITHIN, MIXED = "across", "within", "mixed"


class Films(NamedTuple):
    """Stretches of films, as they are stored on a device: all their frames with their times.

    Attributes:
        frames: uint8[F, H, W, C], those of each stretch in order.
        times: float32[F], when each begins to be shown, in seconds since the first frame of its stretch.
        first: int32[n], the first frame of each stretch.
        count: int32[n], the number of frames of each stretch.
        seconds: float32[n], from the first frame of each stretch to the end of its last.
        film: int32[n], ascending, the film of each stretch.
        gap: float32[], seconds from x to y.
    """

    frames: jax.Array
    times: jax.Array
    first: jax.Array
    count: jax.Array
    seconds: jax.Array
    film: jax.Array
    gap: jax.Array


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
    pairs_of_one_film: PositiveInt = option(
        "pairs.group_size", 32, "consecutive pairs of one film (within, mixed, and the held-out bound within films)"
    )
    steps: tuple = option("pairs.steps", (), "one random augmentation for all frames of a training batch; () for none")

    takes_films = True
    evaluations = ("films",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.distinct:
            hint = " is for images; moments of films are always drawn independently: set it to False"
            raise InputError(Setting("pairs.distinct", True), hint)
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
        return as_float(image)

    def check(self, batch_size: int, num_devices: int) -> None:
        """A group must lie on one device, and the groups must fill a batch."""
        size, shard = self.pairs_of_one_film, batch_size // num_devices
        if size < 2:  # not a rule of the option: older runs that have it can still be read
            hint = " leaves no distractor for the held-out bound within films; expected at least 2"
            raise InputError(Setting("pairs.group_size", size), hint)
        if self.distractors != ACROSS and shard % size:
            near = ", ".join(str(d) for d in range(2, shard + 1) if shard % d == 0)
            raise InputError(
                Setting("pairs.group_size", size),
                f" must divide the {shard} pairs of each of {num_devices} device(s); these do: "
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
        self._check_size_kept(shapes[0])

    def _check_size_kept(self, shape: Shape) -> None:
        """Raises InputError for steps that fail on frames of a shape, or change it."""
        frame = jax.ShapeDtypeStruct(shape, "float32")
        try:
            changed = jax.eval_shape(composition(self.steps), jax.random.key(0), frame).shape if self.steps else shape
        except ValueError as error:
            raise InputError(Setting("pairs.steps"), f": {' '.join(str(error).split())}") from None
        if changed != shape:
            sizes = [" × ".join(map(str, one)) for one in (shape, changed)]
            found = f" turn frames of {sizes[0]} into {sizes[1]}; expected steps that keep the size"
            raise InputError(Setting("pairs.steps"), f"{found}, since held-out frames stay as they are")

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
        # Draws are independent, and frames of films have no online probe.
        return self._modified(partial(self.sample, group_size=self.group_size))(key, data, rows)

    def streamed_batch(
        self, key: jax.Array, examples: Any, rows: jax.Array, *, with_labels: bool = False
    ) -> tuple[Any, Any]:
        return self._modified(partial(pairs_of_batch, pairs=self))(key, examples, rows)

    def _modified(self, sample: Any) -> Any:
        return modified_alike(sample, composition(self.steps)) if self.steps else sample


def sample_film_pairs(
    key: jax.Array, films: Films, rows: jax.Array, *, pairs: PairFunctions, group_size: int = 1
) -> tuple[Any, Any]:
    """The pairs numbered `rows` of the batch that `key` determines.

    A moment is drawn uniformly among all that have a frame one gap later in the same stretch of a film. In groups, that
    draw decides the film of the group, and each of its pairs has a moment of its own, independent and uniform in that
    film; so each pair alone is distributed as one without a group.

    Args: see `sample_pairs`, but
        films: all films; at least one stretch must be longer than the gap.
        pairs: how x and y are made of the example uint8[2, H, W, C].
        group_size: pairs of one film, rows g · group_size … (g + 1) · group_size − 1; 1 draws every pair by itself.
    """
    moments_key, pair_key = jax.random.split(key)
    stretch, time = draw_moments(moments_key, films, rows, group_size=group_size)
    numbers = shown_at(films, stretch, jnp.stack([time, time + films.gap], axis=-1))
    return pairs_of_batch(pair_key, films.frames[numbers], rows, pairs=pairs)


def draw_moments(key: jax.Array, films: Films, rows: jax.Array, *, group_size: int = 1) -> tuple[jax.Array, jax.Array]:
    """int32[b], float32[b]: a stretch and a time in it for each row, see `sample_film_pairs`."""
    room = jnp.maximum(films.seconds - films.gap, 0)
    edges = jnp.concatenate([jnp.zeros(1), jnp.cumsum(room)])
    of_groups, of_rows = jax.random.split(key)

    def draw(row: jax.Array) -> tuple[jax.Array, jax.Array]:
        stretch = _between(jax.random.fold_in(of_groups, row // group_size), edges, edges[0], edges[-1])
        place_key, time_key = jax.random.split(jax.random.fold_in(of_rows, row))
        if group_size > 1:
            begin, end = (jnp.searchsorted(films.film, films.film[stretch], side=side) for side in ("left", "right"))
            stretch = _between(place_key, edges, edges[begin], edges[end])
        return stretch, jax.random.uniform(time_key) * room[stretch]

    return jax.vmap(draw)(rows)


def shown_at(films: Films, stretch: jax.Array, times: jax.Array) -> jax.Array:
    """int32[b, …]: indices of the frames that are shown at the given times in the given stretches.

    >>> times = jnp.array([0.0, 0.5, 2.0])  # the middle frame is shown for a second and a half
    >>> one = [jnp.array([value]) for value in (0, 3, 2.5, 0)]
    >>> films = Films(jnp.zeros((3, 1, 1, 1), jnp.uint8), times, *one, gap=jnp.array(1.0))
    >>> shown_at(films, jnp.array([0]), jnp.array([[0.0, 0.49, 1.9, 2.0]])).tolist()
    [[0, 0, 1, 2]]

    Args:
        stretch: int32[b].
        times: float32[b, …], in seconds since the first frame of each stretch.
    """
    search = jax.vmap(jax.vmap(partial(_search, films.times), in_axes=(None, None, 0)))
    return search(films.first[stretch], films.count[stretch], times)


def _between(key: jax.Array, edges: jax.Array, low: jax.Array, high: jax.Array) -> jax.Array:
    """The stretch of a moment drawn uniformly between two edges; `high` itself is never drawn, despite rounding."""
    moment = low + jax.random.uniform(key) * (high - low)
    return jnp.searchsorted(edges, jnp.minimum(moment, jnp.nextafter(high, low)), side="right") - 1


def _search(times: jax.Array, first: jax.Array, count: jax.Array, time: jax.Array) -> jax.Array:
    """Index of the last of some frames that begins to be shown at or before a time; the first, if none does."""

    def halve(_: int, bounds: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = bounds  # the frame is one of low … high − 1
        middle = (low + high) // 2
        later = times[middle] > time
        return jnp.where(later, low, middle), jnp.where(later, middle, high)

    return jax.lax.fori_loop(0, max(1, times.shape[0]).bit_length(), halve, (first, first + count))[0]
