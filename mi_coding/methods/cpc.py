"""CPC, contrastive predictive coding: pick the true y among N candidates by the code of x alone."""

from dataclasses import dataclass
from typing import Any

import jax

from mi_coding.encoders import Backbone
from mi_coding.errors import InputError, Setting
from mi_coding.methods.contrastive import Contrastive
from mi_coding.objectives.cpc import CPC_RULES, CPCOutput, cpc
from mi_coding.options import NotNegativeInt, option
from mi_coding.pairs import PairSampler


@dataclass(frozen=True, eq=False)
class CPC(Contrastive):
    """config.objective.name = "cpc". Source: arXiv:1807.03748."""

    symmetric: bool = option("objective.symmetric", True, "also pick the x of each y")
    num_distractors: NotNegativeInt = option(
        "objective.num_distractors", 0, "K drawn at random for each x, N = K + 1; 0 for all that there are"
    )

    def check(self, pairs: PairSampler, encoder: Backbone, batch_size: int, num_devices: int) -> None:
        super().check(pairs, encoder, batch_size, num_devices)
        if pairs.candidates_within and (self.num_distractors or self.distractors != "all"):
            raise InputError(
                Setting("pairs.distractors", "within"),
                " takes all of a group as candidates; given ",
                Setting("objective.distractors", self.distractors),
                f" and num_distractors={self.num_distractors}, expected 'all' and 0",
            )
        if not self.num_distractors:
            return
        drawn = Setting("objective.num_distractors", self.num_distractors)
        if self.contrast_method != "auto":
            raise InputError(drawn, f" is for method 'auto'; given {self.contrast_method!r}")
        others = CPC_RULES[self.distractors].num_candidates(batch_size // num_devices, num_devices) - 1
        if self.num_distractors > others:
            leave = f"distractors={self.distractors!r} and batch_size={batch_size} leave"
            raise InputError(drawn, f" is more than the {others} that {leave}; expected at most {others}")

    def heldout_loss(self, queries: jax.Array, keys: jax.Array, **options: Any) -> CPCOutput:
        similarity = {"temperature": self.temperature, "normalize": self.normalize, "symmetric": self.symmetric}
        return cpc(queries, keys, **similarity | options)

    def training_loss(
        self, queries: jax.Array, keys: jax.Array, *, key: jax.Array, axis_name: str | None, **options: Any
    ) -> CPCOutput:
        how = self.tiling
        if self.num_distractors:
            how |= {"num_distractors": self.num_distractors, "key": key}
        return self.heldout_loss(queries, keys, distractors=self.distractors, axis_name=axis_name, **how, **options)

    @property
    def num_candidates(self) -> int:
        if self.parts.pairs.candidates_within:
            return self.parts.pairs.candidates_within
        if self.num_distractors:
            return self.num_distractors + 1
        return CPC_RULES[self.distractors].num_candidates(self.parts.shard_size, self.parts.num_devices)
