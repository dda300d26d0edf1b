"""StableHLO by `jax.export`: the whole function with its weights, for CPU, CUDA and TPU, of any batch size."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import export

from mi_coding.runs.exports.base import Format, Program
from mi_coding.runs.trained_encoder import TrainedEncoder

PLATFORMS = ("cpu", "cuda", "tpu")


class StableHLO(Format):
    """A serialized `jax.export.Exported`, which jax runs without this package."""

    packages = ("flatbuffers",)  # which jax uses to serialize

    def more(self, encoder: TrainedEncoder) -> dict[str, Any]:
        return {"platforms": list(PLATFORMS)}

    def content(self, encoder: TrainedEncoder) -> bytes:
        (batch,) = export.symbolic_shape("batch")
        examples = jax.ShapeDtypeStruct((batch, *encoder.shape), encoder.dtype)
        return bytes(export.export(jax.jit(encoder.portable()), platforms=PLATFORMS)(examples).serialize())

    def program(self, path: Path, encoder: TrainedEncoder) -> Program:
        exported = export.deserialize(bytearray(path.read_bytes()))
        call, dtype = jax.jit(exported.call), exported.in_avals[0].dtype
        return lambda examples: np.asarray(call(_cast(examples, dtype)))


def _cast(examples: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Floats in [0, 1] as the bytes that a program of images takes."""
    if dtype == np.uint8 and examples.dtype != np.uint8:
        return np.rint(255 * examples).astype(np.uint8)
    return examples.astype(dtype, copy=False)
