"""A run that starts from the encoder of another: which arrays are copied, and which are initialised anew."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import empty_node, flatten_dict, unflatten_dict

from mi_coding.errors import InputError, Setting
from mi_coding.methods import Method, Variables
from mi_coding.runs.restore import Restored
from mi_coding.training.step import TrainState

_HALVES = ("x", "y")
_HEAD = "head"
_MOST_NAMED = 3


class Transfer(NamedTuple):
    """Variables with the arrays copied from another run.

    Attributes:
        variables: (params, stats).
        taken: names of the arrays that come from the other run.
        anew: names of the other arrays of the encoder: those of a head of another shape, or that the other lacks.
    """

    variables: Variables
    taken: list[str]
    anew: list[str]


def transferred(method: Method, variables: Variables, other: Restored) -> Transfer:
    """The variables of a method before its first step, with the encoder of another run.

    The arrays up to the features must be those of the other run, name by name; the projection head is copied if it
    has the same shapes, and is initialised anew if not. A run with an encoder for each half provides that of x; in such
    a run, both halves start from the single encoder of another.

    Args:
        method: of the new run, with its parts.
        variables: (params, stats) of it, as arrays or as their shapes.
        other: the run that provides its encoder, the moving average if it keeps one.
    Raises:
        InputError: where the encoders are of different shapes, naming the arrays.
    """
    parts = zip(method.encoder_variables(variables), other.method.encoder_variables(other.variables), strict=True)
    parts = [(flatten_dict(own, keep_empty_nodes=True), flatten_dict(given)) for own, given in parts]
    found = [{path: _found(path, given) for path in own if own[path] is not empty_node} for own, given in parts]
    fits = [
        {path: match is not None and match.shape == own[path].shape for path, match in matches.items()}
        for (own, _), matches in zip(parts, found, strict=True)
    ]
    wrong = [
        f"{_name(path)} {_shape(own[path])} here, {_shape(match)} there"
        for (own, _), matches, fit in zip(parts, found, fits, strict=True)
        for path, match in matches.items()
        if not fit[path] and _HEAD not in path
    ]
    if wrong:
        others = f" and {len(wrong) - _MOST_NAMED:,} others" if len(wrong) > _MOST_NAMED else ""
        raise InputError(
            Setting("init_from", str(other.workdir)),
            f" has another encoder: {'; '.join(wrong[:_MOST_NAMED])}{others}; expected the same encoder and input size",
        )
    keeps_head = all(fit for one in fits for path, fit in one.items() if _HEAD in path)
    taken = [[path for path in matches if keeps_head or _HEAD not in path] for matches in found]
    merged = tuple(
        unflatten_dict(own | {path: matches[path] for path in paths})
        for (own, _), matches, paths in zip(parts, found, taken, strict=True)
    )
    anew = [path for matches, paths in zip(found, taken, strict=True) for path in matches.keys() - set(paths)]
    return Transfer(method.with_encoder(variables, merged), _names(p for part in taken for p in part), _names(anew))


def start_from(method: Method, state: TrainState, other: Restored) -> tuple[TrainState, str]:
    """The state before the first step with the encoder of another run, on the host, and the line that says so.

    The state of the optimiser is the initial one.
    """
    transfer = transferred(method, (state.params, state.stats), other)
    variables = jax.device_get(jax.tree.map(jnp.asarray, transfer.variables))
    params, stats = jax.tree.map(lambda new, old: np.asarray(new, old.dtype), variables, (state.params, state.stats))
    average = jax.tree.map(np.copy, (params, stats)) if state.average else ()
    anew = f"; its projection head is initialised anew ({len(transfer.anew)} arrays)" if transfer.anew else ""
    line = f"the encoder is that of {other.workdir} after step {other.step:,}: {len(transfer.taken):,} arrays{anew}"
    return state._replace(params=params, stats=stats, average=average), line


def _found(path: tuple[str, ...], given: dict[tuple[str, ...], Any]) -> Any:
    """The array at a path of one encoder in another run, which may have an encoder per half; None if missing."""
    alone = path[1:] if path[0] in _HALVES else path
    return next((given[one] for one in (path, alone, ("x", *alone)) if one in given), None)


def _names(paths: Iterable[tuple[str, ...]]) -> list[str]:
    return [_name(path) for path in paths]


def _name(path: tuple[str, ...]) -> str:
    return ".".join(path)


def _shape(array: Any) -> str:
    return "none" if array is None else str(tuple(array.shape))
