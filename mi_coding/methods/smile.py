"""SMILE: trained like Jensen–Shannon, and read out by an estimate of low variance."""

from dataclasses import dataclass
from typing import Any

import jax

from mi_coding.methods.density_ratio import DensityRatio
from mi_coding.objectives.density_ratio import RatioOutput, smile_loss
from mi_coding.options import Positive, option


@dataclass(frozen=True, eq=False)
class SMILE(DensityRatio):
    """config.objective.name = "smile". Source: arXiv:1910.06222."""

    clip: Positive = option("objective.clip", 5.0, "nats; scores are clipped to ± this in the read-out")

    ratio_loss = staticmethod(smile_loss)
    read_out = "an estimate, not a bound"

    def _ratio(self, queries: jax.Array, keys: jax.Array, **scoring: Any) -> RatioOutput:
        return super()._ratio(queries, keys, clip=self.clip, **scoring)
