"""ONNX by jax2onnx: the whole function with its weights, of any batch size, for ONNX Runtime and others."""

import warnings
from importlib.metadata import version
from pathlib import Path

import jax
import jax.export
import numpy as np

from mi_coding.errors import InputError
from mi_coding.runs.exports.base import Format, Program, as_floats
from mi_coding.runs.exports.folding import fold_constants
from mi_coding.runs.trained_encoder import TrainedEncoder


class ONNX(Format):
    """A model whose input is float32, images in [0, 1]."""

    packages = ("jax2onnx", "onnx", "onnxruntime")

    def takes(self, encoder: TrainedEncoder) -> dict[str, str]:
        bytes_are_scaled = encoder.dtype == "uint8" or encoder.takes_images
        return {"dtype": "float32", "values": "in [0, 1]" if bytes_are_scaled else "as in training"}

    def content(self, encoder: TrainedEncoder) -> bytes:
        from jax2onnx import to_onnx

        (batch,) = jax.export.symbolic_shape("batch")
        examples = jax.ShapeDtypeStruct((batch, *encoder.shape), "float32")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the converter, which asks for float64 here and there, and gets float32
            try:
                model = to_onnx(fold_constants(encoder.portable(), examples), inputs=[examples], model_name="encoder")
            except Exception as error:  # of operations that it does not know, of all kinds
                reason = " ".join(str(error).split())[:150]
                cannot = f"jax2onnx {version('jax2onnx')} cannot convert this encoder: {type(error).__name__}: {reason}"
                raise InputError(f"{cannot}; choose .stablehlo, which takes every encoder") from None
        return model.SerializeToString()

    def program(self, path: Path, encoder: TrainedEncoder) -> Program:
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name

        def program(examples: np.ndarray) -> np.ndarray:
            return session.run(None, {name: as_floats(examples)})[0]

        return program
