"""NNCLR: pick the other view of an image by the nearest code of other images, out of a memory of earlier batches."""

from dataclasses import dataclass
from typing import Any

import jax

from mi_coding.contrast import ALL
from mi_coding.encoders import Backbone
from mi_coding.errors import InputError, Setting
from mi_coding.methods.contrastive import Contrastive
from mi_coding.objectives.cpc import CPCOutput, cpc, unit_length
from mi_coding.objectives.nnclr import nearest_in, remember
from mi_coding.options import PositiveInt, option
from mi_coding.pairs import PairSampler


@dataclass(frozen=True, eq=False)
class NNCLR(Contrastive):
    """config.objective.name = "nnclr". Source: arXiv:2104.14548, without its prediction head.

    The query of x is the code in the memory that is nearest to its own, so that images of one kind become views of each
    other. It is a function of x and of earlier batches, so ln N − loss bounds the information as it does for CPC, with
    N = B: the memory adds no candidates. Held-out codes are evaluated without the memory.
    """

    memory_size: PositiveInt = option("objective.memory_size", 4096, "codes of earlier batches kept on every device")

    has_memory = True
    takes_views = False

    def check(self, pairs: PairSampler, encoder: Backbone, batch_size: int, num_devices: int) -> None:
        super().check(pairs, encoder, batch_size, num_devices)
        if pairs.candidates_within or self.distractors != "all":
            name = Setting("objective.name", self.name)
            hint = " takes all pairs as candidates; expected distractors 'all', and pairs.distractors not 'within'"
            raise InputError(name, hint)
        if not self.normalize:
            hint = f" is not for objective {self.name!r}, which keeps directions of codes; expected True"
            raise InputError(Setting("critic.normalize", False), hint)
        if self.memory_size < batch_size:
            size = Setting("objective.memory_size", self.memory_size)
            raise InputError(size, f" holds less than one batch; expected at least {batch_size}")

    def new_memory(self, key: jax.Array) -> jax.Array:
        """float32[K, D]: random directions, which the first batches replace."""
        return unit_length(jax.random.normal(key, (self.memory_size, self.code_dim)))

    def loss_with_memory(
        self,
        params: Any,
        z_x: jax.Array,
        z_y: jax.Array,
        memory: jax.Array,
        *,
        labels: jax.Array | None,
        key: jax.Array,
        axis_name: str | None,
    ) -> tuple[jax.Array, dict[str, jax.Array], jax.Array]:
        del labels, key
        how = {"temperature": self.temperature_of(params), "axis_name": axis_name, **self.tiling}
        found = [
            cpc(*self.critic.apply(params["critic"], nearest_in(memory, z), other), normalize=self.normalize, **how)
            for z, other in ((z_x, z_y), (z_y, z_x))
        ]
        loss, bound, accuracy = (
            0.5 * (getattr(found[0], name) + getattr(found[1], name)) for name in ("loss", "mi_lower_bound", "accuracy")
        )
        metrics = {"mi_lower_bound": bound, "accuracy": accuracy} | self.logged_temperature(params)
        return loss, metrics, remember(memory, unit_length(z_x), axis_name)

    def heldout_loss(self, queries: jax.Array, keys: jax.Array, **options: Any) -> CPCOutput:
        similarity = {"temperature": self.temperature, "normalize": self.normalize, "symmetric": True}
        return cpc(queries, keys, **similarity | options)

    def training_loss(
        self, queries: jax.Array, keys: jax.Array, *, key: jax.Array, axis_name: str | None, **options: Any
    ) -> CPCOutput:
        del key
        return self.heldout_loss(queries, keys, axis_name=axis_name, **self.tiling | options)

    @property
    def num_candidates(self) -> int:
        return ALL.num_candidates(self.parts.shard_size, self.parts.num_devices)

    def forecast(self) -> str:
        return f"{super().forecast()}; queries of a memory of {self.memory_size:,} codes"
