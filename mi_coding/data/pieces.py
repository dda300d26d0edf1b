"""Pieces of batches, decoded at random access: the unit of work of a worker process."""

import sys
from typing import Any, NamedTuple

import numpy as np

from mi_coding.data.order import Order
from mi_coding.errors import InputError

PIECE_BYTES = 4 << 20  # some 30 images of 224 × 224: tens of ms to decode, and about one ms to transfer


class Piece(NamedTuple):
    """Some rows of a batch, as a worker returns them.

    Attributes:
        images: [r, H, W, C].
        positions: int64[r], position of each image in the data.
        unreadable: int64[m], positions that were drawn and could not be decoded.
    """

    images: np.ndarray
    positions: np.ndarray
    unreadable: np.ndarray


class Pieces:
    """Random access to the pieces of all batches: the data source of grain.

    Attributes:
        per_batch: number of pieces of a batch.
        largest_bytes: size of the largest piece.
    """

    def __init__(self, images: Any, order: Order, first_batch: int, rows: range):
        """Pieces of rows `rows` of batches `first_batch`, `first_batch` + 1, …"""
        self.images, self.order, self.first_batch, self.rows = images, order, first_batch, rows
        self.dtype = images.dtype if isinstance(images, np.ndarray) else np.dtype(np.uint8)
        image_bytes = int(np.prod(images.shape[1:])) * self.dtype.itemsize
        self.per_batch = -(-len(rows) // max(1, PIECE_BYTES // image_bytes))
        self.largest_bytes = -(-len(rows) // self.per_batch) * image_bytes

    def __len__(self) -> int:
        return sys.maxsize // 2  # endless

    def __getitem__(self, number: int) -> Piece:
        batch, part = divmod(int(number), self.per_batch)
        start, stop = (len(self.rows) * p // self.per_batch for p in (part, part + 1))
        positions = self.order.positions(self.first_batch + batch, self.rows[start:stop])
        if isinstance(self.images, np.ndarray):
            return Piece(self.images[positions], positions, np.empty(0, np.int64))
        return self._decode(self.first_batch + batch, positions)

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
        order, missing = self.order, 1
        taken = set(order.positions(batch, range(order.batch_size)).tolist()) if order.distinct else set()
        for step in range(1, order.num_examples):
            candidate = (position + step) % order.num_examples
            image = self.images.read(candidate)
            if candidate in taken:
                missing += image is None
            elif image is not None:
                missing -= 1
                if not missing:
                    return candidate, image
        raise InputError(
            f"{self.images.name(position)} cannot be decoded and no other of the {order.num_examples:,} images can "
            "take its place: check that the files are images"
        )
