"""How ⟨x, y⟩ is drawn from an example, on the device, as pure functions of a key and an image."""

from mi_coding.pairs.sampling import PairKind, draw_examples, labelled, pairs_of_batch, sample_pairs, stills, views

__all__ = ["PairKind", "draw_examples", "labelled", "pairs_of_batch", "sample_pairs", "stills", "views"]
