"""Which closed form a network starts from: chosen once, by held-out score."""

import math
from operator import attrgetter
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mi_coding.critics import EllipticalRatio, elliptical_scores
from mi_coding.estimate import copula
from mi_coding.estimate.columns import Columns, scores_of
from mi_coding.estimate.correlation import Canonical, canonical_variables
from mi_coding.estimate.crossfit import Expert, padded, padded_width, pick_loss
from mi_coding.estimate.streams import stream

FEWEST_CODES, MOST_CODES = 8, 16
"""Canonical variables given to a network: more than the fewest only where a closed form with more is better."""

LEADING = 3
"""Canonical variables whose held-out correlation rates a wavelength and a ridge."""

MOST_CHOSEN_BY = 20_000
"""Most training rows on which closed forms are compared."""

STAGES = 2
"""Canonical codes, and codes of those: the first may reduce many columns to few, where the second finds curvature."""

NUMBERS = (1, 2, 3, 4, 6, 8, 12, 16)
"""Numbers of canonical variables that a closed form may use."""


class Start(NamedTuple):
    """A closed form, as a recipe that any fold can follow.

    Attributes:
        path: wavelength and ridge of the canonical codes, and how many are kept; a second entry is of codes of codes.
        number: of codes that the closed form uses; 0 for the arrays themselves, −1 for no closed form.
        degrees: of freedom of its copula.
        loss: on validation pairs, nats.
    """

    path: tuple[tuple[tuple[float, float], int], ...]
    number: int
    degrees: float
    loss: float

    def __str__(self) -> str:
        law = "Gaussian" if math.isinf(self.degrees) else f"Student-t({self.degrees:g})"
        if self.number < 0:
            return "network"
        return f"{law} copula of " + (f"{self.number} canonical variables" if self.number else "all columns")


_by_loss = attrgetter("loss")


def choose(x: Columns, y: Columns, train: np.ndarray, valid: np.ndarray, seed: int) -> tuple[Start, Start]:
    """A start from the columns as they are, and one from canonical codes: each the one whose log density ratio picks
    the true y best among validation pairs.

    Args:
        x: one array.
        y: the other.
        train: int[m], rows to fit on.
        valid: int[v], rows to choose by.
        seed: of the random features.
    """
    cross = widths(x, y)["cross"]  # one program rates them all
    if len(train) > MOST_CHOSEN_BY:
        rows = np.concatenate([train[:MOST_CHOSEN_BY], valid])
        x, y = (side._replace(scores=side.scores[rows], features=side.features[rows]) for side in (x, y))
        train, valid = np.arange(MOST_CHOSEN_BY), np.arange(MOST_CHOSEN_BY, len(rows))

    def rated(path, number, a, b, degrees=None):
        law = copula.fit(a[train], b[train], degrees)
        return Start(path, number, law.degrees, float(_loss(*copula.ratio_parts(law, a[valid], b[valid]), law, cross)))

    stages, shown, path = [], (x.features, y.features), ()
    for _ in range(STAGES):
        found = canonical_variables(*shown, train, size=MOST_CODES, seed=seed)
        best = max(found, key=lambda one: _correlation(*one.codes(valid)))
        codes = _rescored(best)
        numbers = [k for k in NUMBERS if k <= codes[0].shape[1]]
        start = min((rated(path, k, *(side[:, :k] for side in codes), math.inf) for k in numbers), key=_by_loss)
        size = max(start.number, FEWEST_CODES)
        path, shown = (*path, (best.choice, size)), [side[:, :size] for side in codes]
        stages.append((start._replace(path=path), *shown))
    start, a, b = min(stages, key=lambda stage: stage[0].loss)
    canonical = min(start, rated(start.path, start.number, a[:, : start.number], b[:, : start.number]), key=_by_loss)
    nothing = Start(start.path, -1, math.inf, math.log(len(valid)))
    return min(nothing, rated(start.path, 0, x.scores, y.scores), key=_by_loss), min(nothing, canonical, key=_by_loss)


def widths(x: Columns, y: Columns) -> dict[str, int]:
    """Numbers of columns that suffice for all experts: `features`, their inputs, and `cross`, of their closed forms."""
    return {
        "features": padded_width(max(x.features.shape[1], y.features.shape[1], MOST_CODES)),
        "cross": padded_width(max(y.scores.shape[1], MOST_CODES)),
    }


def follow(starts: tuple[Start, Start], x: Columns, y: Columns, train: np.ndarray, seed: int) -> tuple[Expert, Expert]:
    """The two experts of one fold: one is shown the columns, one the canonical codes."""
    a, b = x.features, y.features
    for choice, size in starts[0].path:
        a, b = _rescored(next(canonical_variables(a, b, train, size=size, seed=seed, choice=choice)))
    views = ((x.features, y.features, x.scores, y.scores), (a, b, a, b))
    return tuple(_expert(start, *view, train) for start, view in zip(starts, views, strict=True))


def _expert(start: Start, shown_x, shown_y, a: np.ndarray, b: np.ndarray, train: np.ndarray) -> Expert:
    if start.number < 0:
        none = EllipticalRatio(np.zeros((len(a), 1), np.float32), *np.zeros((2, len(a)), np.float32))
        return Expert(shown_x, shown_y, none, none, np.float32(1), np.float32(2))
    if start.number > 0:
        a, b = a[:, : start.number], b[:, : start.number]
    law = copula.fit(a[train], b[train], start.degrees)
    degrees = np.float32(min(law.degrees, copula.NEARLY_GAUSSIAN))
    return Expert(shown_x, shown_y, *copula.ratio_parts(law, a, b), degrees, np.float32(len(law.dispersion)))


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Information in nats of the leading codes by their correlations, as if each pair were Gaussian and independent."""
    squares = [np.corrcoef(u, v)[0, 1] ** 2 for u, v in zip(a.T[:LEADING], b.T[:LEADING], strict=True)]
    return -0.5 * float(np.log1p(-np.minimum(np.nan_to_num(squares), 0.9999)).sum())  # NaN where a code is constant


def _rescored(found: Canonical) -> list[np.ndarray]:
    """float64[n, k] for x and for y: normal scores of every canonical variable."""
    return [scores_of(codes, stream(0, "ties of codes")) for codes in found.codes()]  # which only those of symbols have


def _loss(x: EllipticalRatio, y: EllipticalRatio, law: copula.Copula, cross: int) -> jax.Array:
    degrees = min(law.degrees, copula.NEARLY_GAUSSIAN)
    x, y = (side._replace(cross=padded(side.cross, cross)) for side in (x, y))
    return _picks(x, y, jnp.float32(degrees), jnp.float32(len(law.dispersion)))


@jax.jit
def _picks(x: EllipticalRatio, y: EllipticalRatio, degrees: jax.Array, dim: jax.Array) -> jax.Array:
    return pick_loss(elliptical_scores(x, y, degrees, dim))
