"""Gaussian information: codes whose canonical correlations are as large as possible, known as deep CCA."""

from dataclasses import dataclass

import jax

from mi_coding.encoders import Backbone
from mi_coding.errors import InputError, Setting
from mi_coding.methods.statistics import Statistics
from mi_coding.objectives.gaussian import gaussian_information
from mi_coding.options import NotNegative, option
from mi_coding.pairs import PairSampler


@dataclass(frozen=True, eq=False)
class Gaussian(Statistics):
    """config.objective.name = "gaussian". Source: deep CCA, Andrew et al. 2013; CorInfoMax, arXiv:2209.07999."""

    shrinkage: NotNegative = option(
        "objective.shrinkage", 1e-2, "added to the diagonal of the correlations of each half; 0 for none"
    )

    evaluations = (*Statistics.evaluations, "gaussian")

    def check(self, pairs: PairSampler, encoder: Backbone, batch_size: int, num_devices: int) -> None:
        super().check(pairs, encoder, batch_size, num_devices)
        least = 2 * self.code_dim + 2
        if batch_size < least and not self.shrinkage:
            hint = f" leaves the covariance of 2 · {self.code_dim} code numbers without an inverse; expected at least "
            remedy = f"{least}, a smaller encoder.code_dim, or objective.shrinkage > 0"
            raise InputError(Setting("batch_size", batch_size), hint, remedy)

    def statistic(
        self, z_x: jax.Array, z_y: jax.Array, axis_name: str | None
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        information = gaussian_information(z_x, z_y, shrinkage=self.shrinkage, axis_name=axis_name)
        return -information, {"gaussian_information_nats": information}

    def forecast(self) -> str:
        shrunk = f", shrunk by {self.shrinkage:g}" if self.shrinkage else ""
        return f"Gaussian information of codes of {self.code_dim} numbers{shrunk}; no candidates, no ceiling ln N"
