"""Barlow Twins: the codes of the two halves are correlated dimension by dimension, and not across dimensions."""

from dataclasses import dataclass

import jax

from mi_coding.methods.statistics import Statistics
from mi_coding.objectives.barlow_twins import barlow_twins
from mi_coding.options import NotNegative, option


@dataclass(frozen=True, eq=False)
class BarlowTwins(Statistics):
    """config.objective.name = "barlow_twins". Source: arXiv:2103.03230."""

    off_diagonal: NotNegative = option("objective.off_diagonal", 5e-3, "weight of correlations across dimensions")

    def statistic(
        self, z_x: jax.Array, z_y: jax.Array, axis_name: str | None
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        out = barlow_twins(z_x, z_y, off_diagonal_weight=self.off_diagonal, axis_name=axis_name)
        return out.loss, {"correlation": out.correlation}
