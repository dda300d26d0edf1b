"""NWJ: the bound of Nguyen, Wainwright and Jordan as a loss, which has no ceiling and a large variance."""

from dataclasses import dataclass

from mi_coding.methods.density_ratio import DensityRatio
from mi_coding.objectives.density_ratio import nwj_loss


@dataclass(frozen=True, eq=False)
class NWJ(DensityRatio):
    """config.objective.name = "nwj": E[true score] − E[exp(other score)]/e. Source: arXiv:0809.0853."""

    ratio_loss = staticmethod(nwj_loss)
