"""The result of an estimate: a number, its uncertainty, and how it was obtained."""

import math
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np

DEVIATIONS = 1.96
"""Standard errors on either side of an estimate that make its 95 % interval."""


class Bound(NamedTuple):
    """One read-out of the critics on pairs they never saw, nats.

    Attributes:
        value: the mean over folds.
        ceiling: the largest value that the read-out can take, math.inf where there is none.
        kind: "lower bound" (in expectation) or "estimate".
    """

    value: float
    ceiling: float
    kind: str


class Measured(NamedTuple):
    """An estimate before it becomes an `MIEstimate`.

    Attributes:
        local: float64[n], the contribution of every pair; the estimate is their mean. NaN for pairs not scored.
        optimism: nats by which training pairs score higher than held-out ones; the estimate was corrected by half of
            that.
        bounds: read-outs of every fold, by name.
        num_scored: rows of the score matrices behind the read-outs.
        curve: float[rounds].
        method: in words.
        disagreement: nats by which a second method, where there is one, differs.
        error: nats, the standard error of the mean of `local` where its entries are not independent.
        misfit: standard error of what critics miss, as a share of the estimate; 0 for counts and nearest neighbours.
        null: float[1 + permutations], a statistic of the observed pairs, and of draws under independence.
        largest: nats of the larger term where the estimate is a difference of two; None for any other estimate.
    """

    local: np.ndarray
    optimism: float
    bounds: dict[str, np.ndarray]
    num_scored: int
    curve: np.ndarray
    method: str
    disagreement: float = 0.0
    error: float = 0.0
    misfit: float = 0.0
    null: np.ndarray | None = None
    largest: float | None = None


@dataclass(frozen=True)
class MIEstimate:
    """How much information two arrays share.

    Attributes:
        nats: the estimate, ≥ 0.
        interval: lower and upper end of a 95 % confidence interval, nats.
        p_value: of the hypothesis that the arrays are independent, by permutation of y. For conditional information
            by the normal law of the estimate.
        bounds: every read-out of the same critics on held-out pairs, by name, with its ceiling; none for conditional
            information, a difference of two estimates.
        curve: float[rounds], InfoNCE of validation pairs over the training of the networks, the mean over folds.
        warnings: reasons to doubt the estimate, one sentence each.
        method: how it was estimated, chosen by held-out score.
        num_pairs: n.
        pointwise: float64[n], the contribution of each pair, nats, where it was requested; the mean is the estimate
            before it is clipped at 0. Large for pairs whose halves are typical of each other, negative for those whose
            halves are not; NaN for pairs that were not scored.
        entropies: of x and of y, nats, counted; None for a side that is not discrete.
        permutations: of the test of independence; 0 where it made none.
    """

    nats: float
    interval: tuple[float, float]
    p_value: float
    bounds: dict[str, Bound]
    curve: np.ndarray
    warnings: tuple[str, ...]
    method: str
    num_pairs: int
    pointwise: np.ndarray | None = None
    entropies: tuple[float | None, float | None] = (None, None)
    permutations: int = 0

    @property
    def bits(self) -> float:
        """The estimate in bits."""
        return self.nats / math.log(2)

    @property
    def normalized(self) -> float | None:
        """The estimate as a share of its maximum, the smaller entropy of the discrete sides; None if no side is."""
        known = [entropy for entropy in self.entropies if entropy]
        return min(self.nats / min(known), 1.0) if known else None

    @property
    def p_text(self) -> str:
        """The p-value as text: "p < …" where it is the smallest that this number of permutations can give."""
        least = 1 / (self.permutations + 1)
        return f"p < {least:.2g}" if self.permutations and self.p_value <= least else f"p = {self.p_value:.3g}"

    def __repr__(self) -> str:
        low, high = self.interval
        lines = [
            f"{self.nats:.3f} nats ({self.bits:.3f} bits), 95 % interval {low:.3f} to {high:.3f}",
            f"independent? {self.p_text}; {self.num_pairs:,} pairs; {self.method}",
        ]
        for name, bound in self.bounds.items():
            ceiling = "" if math.isinf(bound.ceiling) else f", never above {bound.ceiling:.3f}"
            lines.append(f"  {name:<18}{bound.value:8.3f}  {bound.kind}{ceiling}")
        return "\n".join([*lines, *(f"warning: {warning}" for warning in self.warnings)])

    def to_dict(self) -> dict:
        """Plain numbers, lists and strings, as `--json` prints them; an infinite ceiling is null."""
        bounds = {
            name: bound._asdict() | {"ceiling": None if math.isinf(bound.ceiling) else bound.ceiling}
            for name, bound in self.bounds.items()
        }
        plain = {"curve": self.curve.tolist(), "interval": list(self.interval), "warnings": list(self.warnings)}
        plain |= {"entropies": list(self.entropies), "normalized": self.normalized}
        plain |= {"bounds": bounds, "bits": self.bits}
        whole = {name: value for name, value in asdict(self).items() if name != "pointwise"} | plain
        if self.pointwise is None:
            return whole
        return whole | {"pointwise": [value if math.isfinite(value) else None for value in self.pointwise.tolist()]}

    def plot(self):
        """The read-outs beside the estimate and its interval, and validation over training: a matplotlib Figure."""
        from mi_coding.reporting.plots import information  # matplotlib is slow to import

        values = {name: bound.value for name, bound in self.bounds.items()}
        return information(self.nats, self.interval, values, self.curve)
