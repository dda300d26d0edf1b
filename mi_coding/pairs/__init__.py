"""How ⟨x, y⟩ is drawn from an example, on the device: one kind of pairs per file, and the pure functions they share."""

from mi_coding.pairs.augmented import Augmentations
from mi_coding.pairs.base import BoundSpec, PairSampler
from mi_coding.pairs.clips import Clips
from mi_coding.pairs.corrupted import Corrupted
from mi_coding.pairs.film import Film, Films, draw_moments, sample_film_pairs, shown_at
from mi_coding.pairs.frames import Frames
from mi_coding.pairs.given import Given
from mi_coding.pairs.sampling import (
    Crops,
    PairFunctions,
    crops,
    draw_examples,
    labelled,
    modified_alike,
    pairs_of_batch,
    sample_pairs,
    stills,
    views,
)
from mi_coding.pairs.sequences import Sequences

PAIRS: dict[str, type[PairSampler]] = {
    "frames": Frames,
    "clips": Clips,
    "augmentations": Augmentations,
    "given": Given,
    "corrupted": Corrupted,
    "sequences": Sequences,
    "film": Film,
}
"""Names of `config.pairs.name`."""
