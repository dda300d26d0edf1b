"""Jensen–Shannon: logistic regression of true pairs against independent ones, as in Deep InfoMax."""

from dataclasses import dataclass

from mi_coding.methods.density_ratio import DensityRatio
from mi_coding.objectives.density_ratio import jensen_shannon_loss


@dataclass(frozen=True, eq=False)
class JensenShannon(DensityRatio):
    """config.objective.name = "jensen_shannon": stable, and read as a bound. Source: arXiv:1808.06670."""

    ratio_loss = staticmethod(jensen_shannon_loss)
