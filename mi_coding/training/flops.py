"""FLOPs of a step, counted in its program, and peak FLOPs per second of devices: together they give the utilisation."""

import math
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np  # noqa: F401 - the example

PEAK_FLOPS = {
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
    "TPU v5": 459e12,
    "TPU v6 lite": 918e12,
    "A100": 312e12,
    "H100": 989e12,
    "H200": 989e12,
    "B200": 2250e12,
}
"""Part of `device_kind` → peak dense bfloat16 operations per second, by the vendor's data sheet."""


def peak_flops(device_kind: str) -> float | None:
    """The peak operations per second of a kind of device; None for one that is not in the table, such as a CPU.

    >>> peak_flops("NVIDIA H200"), peak_flops("TPU v5 lite"), peak_flops("cpu")
    (989000000000000.0, 197000000000000.0, None)
    """
    return next((peak for name, peak in PEAK_FLOPS.items() if name in device_kind), None)


def count_flops(fn: Callable, *arguments: Any) -> int:
    """Multiplications and additions of the matrix products and convolutions in a program, on one device.

    Nothing else is counted, as is usual for model FLOPs (PaLM, arXiv:2204.02311, appendix B): not the products of an
    optimiser such as Muon, which are in a scope of that name. Rematerialised work is counted. The body of a loop counts
    once for each iteration, or once if their number is not known statically.

    >>> count_flops(lambda a, b: a @ b + 1, np.ones((2, 3)), np.ones((3, 5)))
    60

    Args:
        fn: a function of arrays; inside `shard_map` the shapes are those of one device.
        arguments: of `fn`, or their shapes.
    """
    return sum(product.flops for product in products(fn, *arguments) if not re.search(r"\boptimizer\b", product.scope))


class Product(NamedTuple):
    """A matrix product or a convolution of a program.

    Attributes:
        scope: the names of the scopes that it is in, as set by `jax.named_scope`.
        flops: on one device, in all iterations of the loops that it is in.
        dtype: of the operands.
        precision: the requested one; None for the default of the device.
    """

    scope: str
    flops: int
    dtype: Any
    precision: Any


def products(fn: Callable, *arguments: Any) -> list[Product]:
    """What `count_flops` counts, one by one, and the products of the optimiser."""
    return _products(jax.make_jaxpr(fn)(*arguments).jaxpr, "", 1)


def _products(jaxpr: Any, scope: str, times: int) -> list[Product]:
    return [product for equation in jaxpr.eqns for product in _products_of(equation, scope, times)]


def _products_of(equation: Any, scope: str, times: int) -> list[Product]:
    name, params = equation.primitive.name, equation.params
    scope = f"{scope}/{equation.source_info.name_stack}"
    if name in ("dot_general", "conv_general_dilated"):
        precision = params["precision"][0] if isinstance(params["precision"], tuple) else params["precision"]
        return [Product(scope, times * _flops(equation), equation.invars[0].aval.dtype, precision)]
    if name == "pallas_call":
        times *= math.prod(params["grid_mapping"].grid)
    inner = [_products(one, scope, times * params.get("length", 1)) for one in _inner(params)]
    if name == "cond":
        # Of branches that compute the same on several platforms, the one with the fewest FLOPs: what the model needs.
        choose = min if params.get("branches_platforms") else max
        return choose(inner, key=lambda branch: sum(one.flops for one in branch), default=[])
    return [product for part in inner for product in part]


def _flops(equation: Any) -> int:
    name, params = equation.primitive.name, equation.params
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        shape = equation.invars[0].aval.shape
        return 2 * equation.outvars[0].aval.size * math.prod(shape[axis] for axis in contracted)
    kernel, out_axis = equation.invars[1].aval, params["dimension_numbers"].rhs_spec[0]
    count = equation.outvars[0].aval.size * kernel.size // kernel.shape[out_axis]
    return 2 * count // math.prod(params["lhs_dilation"])  # products with the inserted zeros are not counted


def _inner(params: dict[str, Any]) -> Iterator[Any]:
    """The jaxprs inside an equation: of loops, branches and calls."""
    for value in params.values():
        for one in value if isinstance(value, (tuple, list)) else (value,):
            one = getattr(one, "jaxpr", one)
            if hasattr(one, "eqns"):
                yield one
