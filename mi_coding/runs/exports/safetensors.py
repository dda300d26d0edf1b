"""The weights by name, as safetensors; the JSON file beside it describes the architecture."""

from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from mi_coding.errors import InputError
from mi_coding.methods import Variables
from mi_coding.runs.exports.base import Format, Program
from mi_coding.runs.trained_encoder import TrainedEncoder

_PARTS = ("params", "stats")


class Safetensors(Format):
    """Every array of the run: "params.encoder.…" and what is neither trained nor constant, "stats.…"."""

    packages = ("safetensors",)

    def more(self, encoder: TrainedEncoder) -> dict[str, Any]:
        arrays = _flat(encoder.run.variables).items()
        return {"arrays": {name: {"shape": list(array.shape), "dtype": str(array.dtype)} for name, array in arrays}}

    def content(self, encoder: TrainedEncoder) -> bytes:
        from safetensors.numpy import save

        return save(_flat(encoder.run.variables), {"encoder": encoder.run.plan.config["encoder.name"]})

    def program(self, path: Path, encoder: TrainedEncoder) -> Program:
        from safetensors.numpy import load_file

        arrays, expected = load_file(path), _flat(encoder.run.variables)
        for name in sorted(arrays.keys() | expected.keys()):
            shapes = [str(one[name].shape) if name in one else "none" for one in (arrays, expected)]
            if shapes[0] != shapes[1]:
                raise InputError(f"{path} has {name} {shapes[0]}; the run has {shapes[1]}: it is from another run")
        return encoder.with_variables(_nested(arrays, encoder.run.variables))


def _flat(variables: Variables) -> dict[str, np.ndarray]:
    parts = dict(zip(_PARTS, jax.device_get(variables), strict=True))
    return {name: np.asarray(leaf, order="C") for name, leaf in _leaves(parts).items()}


def _leaves(tree: Any) -> dict[str, Any]:
    """Name, such as "params.encoder.head.Dense_0.kernel" → leaf; the parts of a tuple are numbered."""
    keystr = partial(jax.tree_util.keystr, simple=True, separator=".")
    return {keystr(path): leaf for path, leaf in jax.tree.leaves_with_path(tree)}


def _nested(arrays: dict[str, np.ndarray], like: Variables) -> Variables:
    parts = dict(zip(_PARTS, like, strict=True))
    tree = jax.tree.unflatten(jax.tree.structure(parts), [arrays[name] for name in _leaves(parts)])
    return tuple(tree[part] for part in _PARTS)
