"""Flax modules x → z, one family a file, handed out as pure functions so that no other room knows Flax."""

from mi_coding.encoders.encoder import ENCODERS, Encoder, build

__all__ = ["ENCODERS", "Encoder", "build"]
"""Names of `config.encoder.name` are the keys of `ENCODERS`."""
