"""The common base of methods whose loss is computed from statistics of a batch of codes, without scores."""

from dataclasses import dataclass
from typing import Any

import jax

from mi_coding.encoders import Backbone
from mi_coding.methods.heldout import Bounded, check_across
from mi_coding.methods.two_halves import TwoHalves
from mi_coding.objectives.cpc import CPCOutput, cpc
from mi_coding.pairs import PairSampler


@dataclass(frozen=True, eq=False)
class Statistics(Bounded, TwoHalves):
    """Methods without candidates: the loss is a function of means and covariances of the codes over the global batch.

    Their held-out bound is that of an untrained critic: the cosine divided by `critic.temperature`.
    """

    def check(self, pairs: PairSampler, encoder: Backbone, batch_size: int, num_devices: int) -> None:
        super().check(pairs, encoder, batch_size, num_devices)
        check_across(self, pairs)

    def statistic(
        self, z_x: jax.Array, z_y: jax.Array, axis_name: str | None
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """The loss of codes, float32[b, D] each, and other metrics: those of the global batch, see `codes_loss`."""
        raise NotImplementedError

    def codes_loss(
        self,
        params: Any,
        z_x: jax.Array,
        z_y: jax.Array,
        *,
        labels: jax.Array | None,
        key: jax.Array,
        axis_name: str | None,
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        del params, labels, key
        return self.statistic(z_x, z_y, axis_name)

    def contrast(self, params: Any, z_x: jax.Array, z_y: jax.Array) -> CPCOutput:
        del params
        return cpc(z_x, z_y, temperature=self.temperature, normalize=True, symmetric=True)

    def forecast(self) -> str:
        return f"{self.name}, statistics of {self.parts.batch_size:,} pairs; no candidates, no ceiling"
