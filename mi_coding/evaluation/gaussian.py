"""How much information do the codes of held-out pairs share, taken for jointly Gaussian?"""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from mi_coding.evaluation.base import PairEvaluator, Trained
from mi_coding.objectives.gaussian import gaussian_information
from mi_coding.reporting.results import Group, Rows, Summary, group_rows, nats

_KEY = "heldout/gaussian_information_nats"
_ROWS: Rows = {_KEY: ("Gaussian information of held-out codes, nats: an estimate and no bound", nats)}


@dataclass(frozen=True)
class GaussianInformation(PairEvaluator):
    """−½ ln det(1 − C Cᵀ) of the codes of held-out pairs, without shrinkage; of methods that maximise it."""

    for_every_method = False

    def evaluate(self, trained: Trained) -> dict[str, Any]:
        rows = jnp.arange(self.num_pairs)
        codes = trained.pair_codes()(trained.variables, trained.key("test"), trained.population("test"), rows)
        least = 2 * codes[0].shape[1] + 2
        if self.num_pairs < least:
            trained.warn(f"evaluation.num_pairs {self.num_pairs:,} is too few for Gaussian information; set {least:,}")
            return {}
        information = float(gaussian_information(*codes))
        if not jnp.isfinite(information):
            trained.warn("dimensions of the codes depend on each other: their Gaussian information is infinite")
            return {}
        return {_KEY: information}

    def groups(self, summary: Summary) -> list[Group]:
        return [group_rows("Gaussian information", summary, _ROWS)]
