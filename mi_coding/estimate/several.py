"""Information of more than two arrays, by the chain rule: total correlation and interaction information."""

from functools import reduce
from typing import NamedTuple

import numpy as np

from mi_coding.errors import InputError
from mi_coding.estimate.estimator import estimate_mi
from mi_coding.estimate.inputs import Table, read_tables
from mi_coding.estimate.rows import kept_rows


class Sum(NamedTuple):
    """A sum of estimates.

    Attributes:
        nats: the sum.
        interval: 95 %, as if the errors of the terms were independent.
        terms: name of each term → its nats, with its sign.
        warnings: of the terms, one sentence each.
    """

    nats: float
    interval: tuple[float, float]
    terms: dict[str, float]
    warnings: tuple[str, ...]


def total_correlation(
    *arrays: object, rows: object = "independent", missing: str = "error", seed: int = 0, effort: str = "default"
) -> Sum:
    """By how much several arrays are redundant: Σ H(x_i) − H(x_1, …, x_k), in nats.

    >>> x, noise = np.random.default_rng(0).normal(size=(2, 500))
    >>> total_correlation(x, x + noise, effort="quick").nats > 0.2  # of two, it is their mutual information: 0.347
    True

    Args:
        arrays: at least two, each [n] or [n, d].
        rows, missing, seed, effort: see `estimate_mi`.
    Raises:
        ValueError: (an `InputError`) for what cannot be estimated from, in one line.
    Source: Watanabe, IBM J. Res. Dev. 4:66 (1960).
    """
    if len(arrays) < 2:
        raise InputError(f"total_correlation was given {len(arrays)} arrays; expected at least two")
    names = [f"x{i + 1}" for i in range(len(arrays))]
    tables, kept, of_input = read_tables(dict(zip(names, arrays, strict=True)), missing)
    how = {"rows": kept_rows(rows, kept), "seed": seed, "effort": effort}
    parts = [tables[name] for name in names]
    found = {}
    for i in range(1, len(parts)):
        before = reduce(Table.beside, parts[:i])
        found[f"I({names[i]}; {', '.join(names[:i])})"] = (1, estimate_mi(parts[i], before, **how))
    return _summed(found, of_input)


def interaction_information(
    x: object, y: object, z: object, *, rows: object = "independent", seed: int = 0, effort: str = "default"
) -> Sum:
    """What x and y share minus what they share given z: I(x; y) − I(x; y | z), in nats.

    Above 0, what z tells about both is redundant; below 0, together they tell what neither tells alone (synergy).

    >>> x, y = np.random.default_rng(0).integers(0, 2, (2, 2000))
    >>> round(interaction_information(x, y, x ^ y).nats, 2)  # synergy of ln 2
    -0.69

    Args:
        x, y, z: [n] or [n, d] each.
        rows, seed, effort: see `estimate_mi`.
    Source: McGill, Psychometrika 19:97 (1954), with the sign of Bell 2003.
    """
    how = {"rows": rows, "seed": seed, "effort": effort}
    plain, conditional = estimate_mi(x, y, **how), estimate_mi(x, y, given=z, **how)
    return _summed({"I(x; y)": (1, plain), "I(x; y | z)": (-1, conditional)}, [])


def _summed(found: dict, warnings: list[str]) -> Sum:
    nats = sum(sign * one.nats for sign, one in found.values())
    half = np.sqrt(sum((one.interval[1] - one.nats) ** 2 for _, one in found.values()))  # lower ends are clipped at 0
    warnings = dict.fromkeys([*warnings, *(line for _, one in found.values() for line in one.warnings)])
    terms = {name: sign * one.nats for name, (sign, one) in found.items()}
    return Sum(float(nats), (float(nats - half), float(nats + half)), terms, tuple(warnings))
