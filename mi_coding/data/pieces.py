"""Which examples a batch consists of, and its pieces, decoded at random access: the unit of work of a worker."""

import sys
from typing import Any, NamedTuple

import grain
import numpy as np

from mi_coding.errors import InputError

PIECE_BYTES = 4 << 20  # some 30 images of 224 × 224: tens of ms to decode, and about one ms to transfer


class StreamSpec(NamedTuple):
    """Which batches a stream yields.

    Attributes:
        distinct: False draws every example independently, with replacement, as the bound on mutual information
            requires. True shuffles anew every epoch; no batch then has an example twice, and the n mod B examples left
            at the end of an epoch are dropped.
        group_size: number of consecutive rows that are of one group, such as one film; the examples must then have
            `groups`, int64[k + 1], the edges of the k groups among their positions. The first draw of a group selects
            it, and all its rows are independent draws within it. 1 draws every row independently.
    """

    batch_size: int  # B, examples in the batch of all processes together
    seed: int  # at least 0
    first_batch: int = 0  # number of the first batch; a large one is as fast as 0
    distinct: bool = False
    group_size: int = 1
    shard: tuple[int, int] = (0, 1)  # (index, count); the stream yields rows index · B / count … of every batch

    def check(self, num_examples: int) -> None:
        """Checks the numbers against each other and the number of examples.

        Raises:
            ValueError: for B not divisible by count or group size, or B distinct examples among fewer.
        """
        index, count = self.shard
        if self.batch_size < 1 or not 0 <= index < count or self.batch_size % count:
            raise ValueError(f"a batch of {self.batch_size} cannot be split into {count} shards to take number {index}")
        if self.distinct and self.batch_size > num_examples:
            raise ValueError(f"a batch of {self.batch_size} distinct examples cannot be drawn from {num_examples}")
        if self.batch_size % self.group_size or (self.distinct and self.group_size > 1):
            sizes = f"groups of {self.group_size} in a batch of {self.batch_size}"
            raise ValueError(f"{sizes}, distinct={self.distinct}: these do not fit")


class Order(NamedTuple):
    """The examples of every batch: a pure function of the seed and the number of the batch.

    `groups` are those of the examples, see `StreamSpec.group_size`; None draws every row from all of them.
    """

    spec: StreamSpec
    num_examples: int
    groups: np.ndarray | None = None

    def positions(self, batch: int, rows: range) -> np.ndarray:
        """int64[len(rows)]: positions of the examples of some rows of one batch."""
        if self.spec.distinct:
            return self._shuffled(batch, rows)
        rng = np.random.default_rng((self.spec.seed, batch))
        draws = rng.integers(self.num_examples, size=self.spec.batch_size)
        if self.groups is not None:  # all rows are redrawn, each within the group that the first row has selected
            size = self.spec.group_size
            group = np.searchsorted(self.groups, draws[::size], side="right") - 1
            draws = rng.integers(*(np.repeat(self.groups[group + side], size) for side in (0, 1)))
        return draws[rows.start : rows.stop]

    def _shuffled(self, batch: int, rows: range) -> np.ndarray:
        """A permutation for each epoch, evaluated only where it is needed."""
        epoch, place = divmod(batch, self.num_examples // self.spec.batch_size)
        # grain's own shuffle adds the epoch to the seed: the second epoch of seed 0 would be the first of seed 1.
        seed = int(np.random.SeedSequence((self.spec.seed, epoch)).generate_state(1)[0])
        last, first = self.num_examples - 1, place * self.spec.batch_size
        shuffled = (grain.experimental.index_shuffle(first + row, max_index=last, seed=seed, rounds=4) for row in rows)
        return np.fromiter(shuffled, np.int64, len(rows))


class Piece(NamedTuple):
    """Some rows of a batch, as a worker returns them."""

    images: np.ndarray  # [r, H, W, C]
    positions: np.ndarray  # int64[r], position of each image in the data
    unreadable: np.ndarray  # int64[m], positions that were drawn and could not be decoded


class Pieces:
    """Random access to the pieces of all batches: the data source of grain.

    Attributes:
        rows: the rows of every batch that are in the pieces.
        per_batch: number of pieces per batch.
        largest_bytes: size of the largest piece.
    """

    def __init__(self, images: Any, spec: StreamSpec):
        """Raises ValueError, see `StreamSpec.check`."""
        spec.check(len(images))
        self.images, self.spec = images, spec
        self.order = Order(spec, len(images), images.groups if spec.group_size > 1 else None)
        index, size = spec.shard[0], spec.batch_size // spec.shard[1]
        self.rows = range(index * size, (index + 1) * size)
        self.dtype = images.dtype if isinstance(images, np.ndarray) else np.dtype(np.uint8)
        image_bytes = int(np.prod(images.shape[1:])) * self.dtype.itemsize
        self.per_batch = -(-len(self.rows) // max(1, PIECE_BYTES // image_bytes))
        self.largest_bytes = -(-len(self.rows) // self.per_batch) * image_bytes

    def __len__(self) -> int:
        return sys.maxsize // 2  # endless

    def __getitem__(self, number: int) -> Piece:
        batch, part = divmod(int(number), self.per_batch)
        batch += self.spec.first_batch
        start, stop = (len(self.rows) * p // self.per_batch for p in (part, part + 1))
        positions = self.order.positions(batch, self.rows[start:stop])
        if isinstance(self.images, np.ndarray):
            return Piece(self.images[positions], positions, np.empty(0, np.int64))
        return self._decode(batch, positions)

    def _decode(self, batch: int, positions: np.ndarray) -> Piece:
        images, unreadable = np.empty((len(positions), *self.images.shape[1:]), self.dtype), []
        used = positions.copy()
        for row, position in enumerate(positions.tolist()):
            image = self.images.read(position)
            if image is None:
                unreadable.append(position)
                used[row], image = self._replacement(batch, position)
            images[row] = image
        return Piece(images, used, np.array(unreadable, np.int64))

    def _replacement(self, batch: int, position: int) -> tuple[int, np.ndarray]:
        """The next image that can be decoded and, where examples are distinct, is in no other row of the batch.

        Unreadable images of the batch and their replacements are matched like opening and closing brackets. So two rows
        never get the same replacement, although each is searched for independently, perhaps by different processes.
        """
        count, missing, taken = len(self.images), 1, set()
        if self.spec.distinct:
            taken.update(self.order.positions(batch, range(self.spec.batch_size)).tolist())
        for step in range(1, count):
            candidate = (position + step) % count
            image = self.images.read(candidate)
            if candidate in taken:
                missing += image is None
            elif image is not None:
                missing -= 1
                if not missing:
                    return candidate, image
        lost = f"{self.images.name(position)} cannot be decoded and no other of the {count:,} images can take its place"
        raise InputError(f"{lost}: check that the files are images")
