"""What CPC and its relatives share: a critic, and the candidates among which it picks."""

import math
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np

from mi_coding.contrast import METHODS as CONTRAST_METHODS
from mi_coding.contrast import PRECISIONS
from mi_coding.critics import CRITICS, Critic
from mi_coding.encoders import Backbone
from mi_coding.errors import InputError, Setting
from mi_coding.methods.base import ScoredShapes
from mi_coding.methods.heldout import Bounded
from mi_coding.methods.two_halves import TwoHalves
from mi_coding.objectives.cpc import CPC_RULES, CPCOutput
from mi_coding.objectives.groups import within_groups
from mi_coding.options import NotNegativeInt, OneOf, option
from mi_coding.pairs import PairSampler

_IN_WORDS = {"highest": "float32", "high": "three passes of bfloat16", "bfloat16": "bfloat16"}

LEAST_TEMPERATURE = 0.01
"""Lower limit of a learnt temperature; CLIP holds 1/T at 100 or less, arXiv:2103.00020 section 2.5."""


@dataclass(frozen=True, eq=False)
class Candidates(Bounded):
    """Methods that pick the true candidate among N."""

    normalize: bool = option("critic.normalize", True, "score by the cosine instead of the plain product")
    distractors: Annotated[str, OneOf(CPC_RULES)] = option(
        "objective.distractors", "all", "other_devices leaves out the pairs of the same device: N = B − b + 1"
    )
    contrast_method: Annotated[str, OneOf(("auto", *CONTRAST_METHODS))] = option(
        "objective.method", "auto", "how the scores are computed; the numbers are the same"
    )
    block_size: NotNegativeInt = option("objective.block_size", 0, "side of a tile of scores; 0 chooses one")
    precision: Annotated[str, OneOf(("auto", *PRECISIONS))] = option(
        "critic.precision", "auto", "precision of code products in training; auto is bfloat16 if the encoder's is"
    )

    def check(self, pairs: PairSampler, encoder: Backbone, batch_size: int, num_devices: int) -> None:
        super().check(pairs, encoder, batch_size, num_devices)
        if self.distractors == "other_devices" and num_devices < 2:
            hint = " leaves no distractor on 1 device; use 'all' or more devices"
            raise InputError(Setting("objective.distractors", self.distractors), hint)
        if self.contrast_method == "dense" and num_devices > 1:
            hint = f" is for 1 device, not {num_devices}; use 'auto'"
            raise InputError(Setting("objective.method", "dense"), hint)

    @property
    def tiling(self) -> dict[str, Any]:
        """How the scores are computed, as arguments of a loss."""
        return {
            "method": self.contrast_method,
            "block_size": self.block_size or None,
            "precision": self.score_precision,
        }

    @property
    def score_precision(self) -> str:
        """The precision of the products of codes in training; held-out bounds have the highest."""
        if self.precision != "auto":
            return self.precision
        return "bfloat16" if all(one.dtype == "bfloat16" for one in self.parts.encoders) else "highest"

    @property
    def precision_in_words(self) -> str:
        """The precision of scores for the line before training."""
        return f"scores in {_IN_WORDS[self.score_precision]}"

    @property
    def _heldout_batch(self) -> int:
        return self.num_candidates

    def forecast(self) -> str:
        ceiling = f"ceiling ln N = {np.log(self.num_candidates):.2f} nats"
        return f"N = {self.num_candidates:,} candidates, {ceiling}, {self.precision_in_words}"

    @property
    def is_bound(self) -> bool:
        return self.parts.pairs.independent


@dataclass(frozen=True, eq=False)
class Contrastive(Candidates, TwoHalves):
    """Methods that score the codes of the two halves of a pair.

    Params have "critic" and, where the temperature is learnt, its logarithm, "log_temperature", without weight decay.
    """

    learn_temperature: bool = option(
        "critic.learn_temperature", False, "learn it, starting from critic.temperature; at least 0.01, as in CLIP"
    )
    critic_name: Annotated[str, OneOf(CRITICS)] = option("critic.name", "inner_product", "bilinear is z_xᵀ W z_y")

    def check(self, pairs: PairSampler, encoder: Backbone, batch_size: int, num_devices: int) -> None:
        super().check(pairs, encoder, batch_size, num_devices)
        if self.learn_temperature and self.temperature < LEAST_TEMPERATURE:
            hint = f" is below {LEAST_TEMPERATURE}, the least that can be learnt; expected at least that"
            raise InputError(Setting("critic.temperature", self.temperature), hint)

    @property
    def is_bound(self) -> bool:
        return super().is_bound and not self.normalises_chunks

    def forecast(self) -> str:
        line = super().forecast()
        if self.normalises_chunks:
            line += "; no training bound: batch norm is over the chunks of a microbatch"
        return line

    @cached_property
    def critic(self) -> Critic:
        """The critic, which maps codes to queries and keys."""
        return CRITICS[self.critic_name]()

    def heldout_loss(self, queries: jax.Array, keys: jax.Array, **options: Any) -> CPCOutput:
        """The loss with all other pairs as distractors; options are those of `cpc`, such as another temperature."""
        raise NotImplementedError

    def training_loss(
        self, queries: jax.Array, keys: jax.Array, *, key: jax.Array, axis_name: str | None, **options: Any
    ) -> CPCOutput:
        """The loss that is minimised, with the distractors that the options name; the key is for random draws."""
        raise NotImplementedError

    def objective(
        self, queries: jax.Array, keys: jax.Array, *, key: jax.Array, axis_name: str | None, **options: Any
    ) -> CPCOutput:
        """`training_loss` or, where only the pairs of one film are candidates, the loss within these groups."""
        if group_size := self.parts.pairs.candidates_within:
            loss = partial(self.heldout_loss, **self.tiling, **options)
            return within_groups(loss, group_size)(queries, keys, axis_name=axis_name)
        return self.training_loss(queries, keys, key=key, axis_name=axis_name, **options)

    def extra_params(self, key: jax.Array) -> dict[str, Any]:
        params = {"critic": self.critic.init(key, self.code_dim)}
        return params | ({"log_temperature": jnp.log(jnp.float32(self.temperature))} if self.learn_temperature else {})

    def temperature_of(self, params: Any) -> float | jax.Array:
        """The temperature, which divides the scores: the option, or the learnt value."""
        if not self.learn_temperature:
            return self.temperature
        learnt = params["log_temperature"]
        bounded = jnp.maximum(learnt, math.log(LEAST_TEMPERATURE))
        return jnp.exp(learnt + jax.lax.stop_gradient(bounded - learnt))  # the gradient passes below it, too

    def logged_temperature(self, params: Any) -> dict[str, jax.Array]:
        """The temperature as a metric, where it is learnt."""
        return {"temperature": self.temperature_of(params)} if self.learn_temperature else {}

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
        del labels
        queries, keys = self.critic.apply(params["critic"], z_x, z_y)
        out = self.objective(queries, keys, key=key, axis_name=axis_name, temperature=self.temperature_of(params))
        metrics = {"mi_lower_bound": out.mi_lower_bound, "accuracy": out.accuracy}
        return out.loss, metrics | self.logged_temperature(params)

    def compared(self, params: Any, z_x: jax.Array, z_y: jax.Array) -> tuple[jax.Array, jax.Array]:
        return self.critic.apply(params["critic"], z_x, z_y)

    def contrast(self, params: Any, z_x: jax.Array, z_y: jax.Array) -> CPCOutput:
        return self.heldout_loss(*self.compared(params, z_x, z_y), temperature=self.temperature_of(params))

    @property
    def scored_shapes(self) -> ScoredShapes:
        shard = (self.parts.shard_size, self.code_dim)
        return ScoredShapes(self.objective, shard, shard)
