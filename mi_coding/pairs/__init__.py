"""How ⟨x, y⟩ is drawn from an example, on the device, as pure functions of a key and an image."""

from mi_coding.pairs.film_pairs import Films, draw_moments, sample_film_pairs, shown_at
from mi_coding.pairs.sampling import (
    PairKind,
    draw_examples,
    labelled,
    modified_alike,
    pairs_of_batch,
    sample_pairs,
    stills,
    views,
)

__all__ = [
    "Films",
    "PairKind",
    "draw_examples",
    "draw_moments",
    "labelled",
    "modified_alike",
    "pairs_of_batch",
    "sample_film_pairs",
    "sample_pairs",
    "shown_at",
    "stills",
    "views",
]
