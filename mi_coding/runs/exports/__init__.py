"""Encoders as files that other programs read: one module per format."""

import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from mi_coding.errors import InputError
from mi_coding.reporting.files import write_atomically
from mi_coding.runs.exports.base import Format, Program
from mi_coding.runs.exports.onnx import ONNX
from mi_coding.runs.exports.safetensors import Safetensors
from mi_coding.runs.exports.stablehlo import StableHLO
from mi_coding.runs.trained_encoder import TrainedEncoder

FORMATS: dict[str, Format] = {".stablehlo": StableHLO(), ".safetensors": Safetensors(), ".onnx": ONNX()}
"""Suffix of a file → its format."""

MOST_DIFFERENCE = 1e-5
"""The largest allowed value of `largest_difference`, between exported codes and those of the run."""


def format_of(path: Path) -> Format:
    """The format of a file by its suffix; its packages must be installed.

    >>> format_of(Path("encoder.pt"))
    Traceback (most recent call last):
    mi_coding.errors.InputError: encoder.pt ends in .pt; expected one of .stablehlo, .safetensors, .onnx
    """
    if path.suffix not in FORMATS:
        ending = f"ends in {path.suffix}" if path.suffix else "has no ending"
        raise InputError(f"{path} {ending}; expected one of {', '.join(FORMATS)}")
    found = FORMATS[path.suffix]
    if missing := found.missing_packages():
        raise InputError(f"{path} needs {' and '.join(missing)}; pip install 'mi_coding[export]'")
    return found


def write_export(encoder: TrainedEncoder, path: Path) -> dict[str, Any]:
    """Writes an encoder to a file, and its description to a JSON file beside it; returns the entries of the latter.

    Args:
        encoder: the encoder of a run.
        path: its suffix names the format, see `FORMATS`.
    """
    form = format_of(path)
    content = form.content(encoder)
    info = _describe(encoder, form, path.suffix)
    write_atomically(path, content)
    write_atomically(info_path(path), json.dumps(info, indent=2) + "\n")
    return info


def info_path(path: Path) -> Path:
    """Path of the JSON file that describes an exported encoder."""
    return path.with_name(f"{path.name}.json")


def open_export(path: Path, encoder: TrainedEncoder) -> Program:
    """The exported encoder as a function of examples [b, …] in memory.

    Args:
        path: the exported file.
        encoder: the encoder of the run that it should be from; a format of weights alone uses its architecture.
    Raises:
        InputError: for a file that is missing, broken, or of an encoder with other examples or codes.
    """
    form = format_of(path)
    if not path.is_file():
        raise InputError(f"{path} is not a file; expected one written by python -m mi_coding.export")
    try:
        return form.program(path, encoder)
    except InputError:
        raise
    except Exception as error:  # of packages that raise all kinds
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path} cannot be read: {type(error).__name__}: {reason}; export it again") from None


def largest_difference(encoder: TrainedEncoder, program: Callable[[np.ndarray], Any], examples: np.ndarray) -> float:
    """Largest difference between a number in a code and the run's, relative to the largest number in all codes."""
    expected, found = encoder(examples), np.asarray(program(examples))
    if found.shape != expected.shape:
        return float("inf")
    return float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-30))


def _describe(encoder: TrainedEncoder, form: Format, suffix: str) -> dict[str, Any]:
    run = encoder.run
    return {
        "format": suffix[1:],
        "input": {"shape": ["batch", *encoder.shape], **form.takes(encoder)},
        "output": {"shape": ["batch", encoder.dim], "dtype": "float32"},
        "layer": encoder.layer,
        "half": encoder.half,
        "step": run.step,
        **form.more(encoder),
        "packages": {name: version(name) for name in ("mi_coding", "jax", *form.packages)},
        "config": run.plan.nested_config,
    }
