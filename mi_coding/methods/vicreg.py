"""VICReg: variance, invariance and covariance of codes, without any comparison of one code with another."""

from dataclasses import dataclass

import jax

from mi_coding.methods.statistics import Statistics
from mi_coding.objectives.vicreg import vicreg
from mi_coding.options import NotNegative, option


@dataclass(frozen=True, eq=False)
class VICReg(Statistics):
    """config.objective.name = "vicreg". Source: arXiv:2105.04906."""

    invariance: NotNegative = option("objective.invariance", 25.0, "weight of the squared difference of two codes")
    variance: NotNegative = option("objective.variance", 25.0, "weight of the shortfall of standard deviations below 1")
    covariance: NotNegative = option("objective.covariance", 1.0, "weight of squared covariances")

    def statistic(
        self, z_x: jax.Array, z_y: jax.Array, axis_name: str | None
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        out = vicreg(
            z_x,
            z_y,
            invariance_weight=self.invariance,
            variance_weight=self.variance,
            covariance_weight=self.covariance,
            axis_name=axis_name,
        )
        return out.loss, {name: getattr(out, name) for name in ("invariance", "variance", "covariance")}
