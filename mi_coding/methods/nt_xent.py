"""NT-Xent, the loss of SimCLR: both views of every image in one pool, each to be picked by the code of the other."""

from dataclasses import dataclass
from typing import Any

import jax

from mi_coding.contrast import POOL
from mi_coding.encoders import Backbone
from mi_coding.errors import InputError, Setting
from mi_coding.methods.contrastive import Contrastive
from mi_coding.objectives.cpc import CPCOutput, nt_xent
from mi_coding.pairs import PairSampler


@dataclass(frozen=True, eq=False)
class NTXent(Contrastive):
    """config.objective.name = "nt_xent": cosine similarity, N = 2B − 1. Source: arXiv:2002.05709."""

    def check(self, pairs: PairSampler, encoder: Backbone, batch_size: int, num_devices: int) -> None:
        if self.critic_name != "inner_product" or not self.normalize:
            raise InputError(
                Setting("objective.name", self.name),
                f" scores by cosine; given critic {self.critic_name!r} with normalize={self.normalize}, expected "
                "'inner_product' with normalize=True",
            )
        if self.distractors != "all":
            hint = f" is for objective 'cpc'; {self.name!r} takes 'all'"
            raise InputError(Setting("objective.distractors", self.distractors), hint)
        super().check(pairs, encoder, batch_size, num_devices)

    def heldout_loss(self, queries: jax.Array, keys: jax.Array, **options: Any) -> CPCOutput:
        return nt_xent(queries, keys, **{"temperature": self.temperature} | options)

    def training_loss(
        self, queries: jax.Array, keys: jax.Array, *, key: jax.Array, axis_name: str | None, **options: Any
    ) -> CPCOutput:
        return self.heldout_loss(queries, keys, axis_name=axis_name, **self.tiling, **options)

    @property
    def num_candidates(self) -> int:
        if self.parts.pairs.candidates_within:
            return 2 * self.parts.pairs.candidates_within - 1
        return POOL.num_candidates(2 * self.parts.shard_size, self.parts.num_devices)

    @property
    def _heldout_batch(self) -> int:
        return self.parts.batch_size  # B pairs make a pool of 2B − 1 candidates
