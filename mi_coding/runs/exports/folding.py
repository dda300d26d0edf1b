"""Constant folding of a function, so that a converter sees only operations that depend on the examples."""

from collections.abc import Callable
from typing import Any

import jax
from jax.extend import core

_INLINED = ("jit", "pjit")


class _Slot:
    """A placeholder for a value that depends on the examples."""


_Step = tuple[Any, list[Any], list[_Slot]]


def fold_constants(function: Callable[[jax.Array], jax.Array], examples: jax.ShapeDtypeStruct) -> Callable:
    """The same function of arrays like `examples`, without the operations that do not depend on them.

    Such as random draws with a fixed key, which converters do not support. Nested `jax.jit` are inlined.

    >>> double = lambda x: x * (1 + jax.random.uniform(jax.random.key(0)))
    >>> folded = fold_constants(double, jax.ShapeDtypeStruct((2,), "float32"))
    >>> [str(eqn.primitive) for eqn in jax.make_jaxpr(folded)(jnp.ones(2)).eqns]
    ['mul']
    """
    traced, place = jax.make_jaxpr(function)(examples), _Slot()
    steps: list[_Step] = []
    (result,) = _folded(traced, [place], steps)

    def folded(x: jax.Array) -> jax.Array:
        values = {place: x}
        for equation, inputs, outputs in steps:
            given = [values[one] if isinstance(one, _Slot) else one for one in inputs]
            values |= zip(outputs, _evaluated(equation, given), strict=True)
        return values[result]

    return folded


def _folded(traced: core.ClosedJaxpr, arguments: list[Any], steps: list[_Step]) -> list[Any]:
    """The results, each a value or the slot of one; the operations that compute slots are appended to `steps`."""
    values = dict(zip(traced.jaxpr.constvars, traced.consts, strict=True))
    values |= zip(traced.jaxpr.invars, arguments, strict=True)

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, core.Literal) else values[atom]

    for equation in traced.jaxpr.eqns:
        inputs = [read(atom) for atom in equation.invars]
        if equation.primitive.name in _INLINED:
            outputs = _folded(equation.params["jaxpr"], inputs, steps)
        elif any(isinstance(one, _Slot) for one in inputs) or _has_open_shape(equation):
            outputs = [_Slot() for _ in equation.outvars]
            steps.append((equation, inputs, outputs))
        else:
            outputs = _evaluated(equation, inputs)
        values |= zip(equation.outvars, outputs, strict=True)
    return [read(atom) for atom in traced.jaxpr.outvars]


def _has_open_shape(equation: Any) -> bool:
    """Whether the shape of a result depends on the number of examples, such as zeros for each."""
    shapes = (getattr(variable.aval, "shape", ()) for variable in equation.outvars)
    return any(not isinstance(size, int) for shape in shapes for size in shape)


def _evaluated(equation: Any, inputs: list[Any]) -> list[Any]:
    given = {
        atom: value for atom, value in zip(equation.invars, inputs, strict=True) if not isinstance(atom, core.Literal)
    }
    alone = core.Jaxpr((), list(given), equation.outvars, [equation])
    return jax.core.eval_jaxpr(alone, (), *given.values())
