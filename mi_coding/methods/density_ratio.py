"""The common base of methods that learn the density ratio of pairs: scores with a bias, and a loss other than CPC's."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from mi_coding.encoders import Backbone
from mi_coding.methods.base import ScoredShapes
from mi_coding.methods.contrastive import Contrastive
from mi_coding.methods.heldout import check_across
from mi_coding.objectives.cpc import CPC_RULES, CPCOutput, cpc
from mi_coding.objectives.density_ratio import RatioOutput
from mi_coding.options import option
from mi_coding.pairs import PairSampler


@dataclass(frozen=True, eq=False)
class DensityRatio(Contrastive):
    """Methods whose scores are ln p(y|x)/p(y) at best, up to a constant; params have a "bias", which is learnt.

    The distractors of all devices are used, but each pair is classified separately, so the bound has no ceiling.
    Held-out codes are evaluated as for CPC, by ln N minus the loss of picking the true candidate with the same scores.

    Attributes:
        ratio_loss: (z_x, z_y, **scoring) → `RatioOutput`.
        read_out: what `RatioOutput.information` is, for the line printed before training.
    """

    bias: float = option("critic.bias", 0.0, "initial value of the learnt bias that is added to all scores")

    ratio_loss: ClassVar[Callable[..., RatioOutput]]
    read_out: ClassVar[str] = "a bound without a ceiling"
    num_candidates = None
    is_bound = False

    def check(self, pairs: PairSampler, encoder: Backbone, batch_size: int, num_devices: int) -> None:
        super().check(pairs, encoder, batch_size, num_devices)
        check_across(self, pairs)

    def extra_params(self, key: jax.Array) -> dict[str, Any]:
        params = super().extra_params(key)
        return params | {"bias": jnp.asarray(self.bias, jnp.float32)}

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
        del labels, key
        queries, keys = self.critic.apply(params["critic"], z_x, z_y)
        scoring = {"temperature": self.temperature_of(params), "bias": params["bias"], "axis_name": axis_name}
        out = self._ratio(queries, keys, **scoring)
        metrics = {"accuracy": out.accuracy, "bias": params["bias"], f"{self.name}_nats": out.information}
        return out.loss, metrics | self.logged_temperature(params)

    def heldout_loss(self, queries: jax.Array, keys: jax.Array, **where: Any) -> CPCOutput:
        return cpc(queries, keys, normalize=self.normalize, **{"temperature": self.temperature} | where)

    def _ratio(self, queries: jax.Array, keys: jax.Array, **scoring: Any) -> RatioOutput:
        options = {"normalize": self.normalize, "distractors": self.distractors} | self.tiling
        return type(self).ratio_loss(queries, keys, **options, **scoring)

    @property
    def _heldout_batch(self) -> int:
        return self.parts.batch_size

    @property
    def scored_shapes(self) -> ScoredShapes:
        shard = (self.parts.shard_size, self.code_dim)

        def objective(queries: jax.Array, keys: jax.Array, *, key: jax.Array, axis_name: str | None) -> RatioOutput:
            del key
            return self._ratio(queries, keys, temperature=self.temperature, bias=self.bias, axis_name=axis_name)

        return ScoredShapes(objective, shard, shard)

    def forecast(self) -> str:
        rule = CPC_RULES[self.distractors]
        count = rule.num_candidates(self.parts.shard_size, self.parts.num_devices) - 1
        read_out = self.read_out if self.parts.pairs.independent else "an estimate, for pairs that are not independent"
        return f"{self.name}, {count:,} distractors for each x, {self.precision_in_words}; {read_out}"
