"""Flax modules x → z, one family a file, handed out as pure functions so that no other room knows Flax."""

from mi_coding.encoders.activation import ACTIVATIONS
from mi_coding.encoders.encoder import ENCODERS, Encoder, build
from mi_coding.encoders.resnet import DTYPES, STEMS
from mi_coding.encoders.sequence import STEP_ENCODERS, SequenceEncoder, build_sequence

__all__ = [
    "ACTIVATIONS",
    "DTYPES",
    "ENCODERS",
    "STEMS",
    "STEP_ENCODERS",
    "Encoder",
    "SequenceEncoder",
    "build",
    "build_sequence",
]
"""Names of `config.encoder.name` are the keys of `ENCODERS`."""
