"""CPC of sequences: the steps so far predict the codes of the steps ahead."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import jax
import jax.numpy as jnp

from mi_coding.critics import AheadCritic, bilinear_ahead
from mi_coding.encoders import ENCODERS, Backbone, SequenceEncoder, build_sequence
from mi_coding.errors import InputError, Setting
from mi_coding.methods.base import Encoded, ScoredShapes, Shape, Variables
from mi_coding.methods.contrastive import Candidates
from mi_coding.methods.online_probe import OnlineProbe, init_probe, online_probe, with_label
from mi_coding.objectives.ahead import cpc_ahead, pair_ahead
from mi_coding.objectives.cpc import CPC_RULES, CPCOutput
from mi_coding.options import NotNegativeInt, OneOf, Positive, PositiveInt, option
from mi_coding.pairs import PAIRS, PairSampler

FEATURES: dict[str, Callable[[jax.Array], jax.Array]] = {
    "last": lambda contexts: contexts[:, -1],
    "mean": lambda contexts: jnp.mean(contexts, axis=1),
}
"""Names of `config.encoder.feature`: contexts float32[b, T, H] → features of the whole sequence, float32[b, H]."""


@dataclass(frozen=True, eq=False)
class CPCAhead(Candidates, OnlineProbe):
    """config.objective.name = "cpc_ahead": an encoder of steps, a causal context, and a critic for each step ahead.

    x are sequences and y is (). The mean of the losses over the K numbers of steps ahead is minimised.
    Source: arXiv:1807.03748 section 2.2.
    """

    temperature: Positive = option("critic.temperature", 1.0, "divides the scores")
    normalize: bool = option("critic.normalize", False, "score by the cosine of prediction W_k c_t and code")
    symmetric: bool = option("objective.symmetric", False, "also pick the context of each step")
    num_ahead: PositiveInt = option("objective.num_ahead", 4, "K: one critic for each of 1 … K steps ahead")
    num_times: NotNegativeInt = option(
        "objective.num_times", 0, "target steps drawn at random per training step; 0 for all that have K before them"
    )
    other_times: bool = option(
        "objective.other_times", False, "steps of other times are distractors too, N = B · times; then no bound"
    )
    code_dim: PositiveInt = option("encoder.code_dim", 32, "D, dimension of the code of a step")
    context_dim: PositiveInt = option("encoder.context_dim", 128, "H, dimension of the context of all steps so far")
    feature: Annotated[str, OneOf(FEATURES)] = option(
        "encoder.feature", "mean", "what a probe reads of a sequence: its last context, or their mean"
    )

    halves_are_alike = False  # a context and a step have codes of different kinds

    def check(self, pairs: PairSampler, encoder: Backbone, batch_size: int, num_devices: int) -> None:
        super().check(pairs, encoder, batch_size, num_devices)
        if not pairs.are_sequences:
            kinds = " and ".join(name for name, kind in PAIRS.items() if kind.are_sequences)
            given = f" is for pairs {kinds}; given pairs {pairs.name!r}"
            raise InputError(Setting("objective.name", self.name), given)

    def encoder_complaint(self, encoder: Backbone) -> str:
        if encoder.encodes_each_alone:
            return ""
        others = ", ".join(name for name, kind in ENCODERS.items() if kind.encodes_each_alone)
        return f" normalises over the batch, which would show later steps to the context; expected one of {others}"

    def check_shape(self, shape: Shape) -> None:
        num_steps, most = shape[0], shape[0] - self.num_ahead
        if most < 1:
            hint = f"at most {num_steps - 1}" if num_steps > 1 else "shorter steps or longer sequences"
            where = f" steps ahead in sequences of {num_steps} step(s); expected {hint}"
            raise InputError(Setting("objective.num_ahead", self.num_ahead), where)
        if self.num_times > most:
            raise InputError(
                Setting("objective.num_times", self.num_times),
                f" is more than the {most} steps that have {self.num_ahead} before them in sequences of {num_steps}; "
                f"expected at most {most}, or 0 for all",
            )

    @cached_property
    def encoder(self) -> SequenceEncoder:
        """Contexts and codes of the steps of a batch of sequences."""
        return build_sequence(self.parts.encoder, code_dim=self.code_dim, context_dim=self.context_dim)

    @cached_property
    def critic(self) -> AheadCritic:
        """The critic, with parameters of its own for each of the K steps ahead."""
        return bilinear_ahead(self.num_ahead)

    @cached_property
    def num_targets(self) -> int:
        """Steps of each sequence that a training step predicts."""
        return self.num_times or self.parts.pairs.pair_shape(self.parts.example_shape)[0] - self.num_ahead

    def init(self, key: jax.Array, x: Any, y: Any) -> Variables:
        del y  # the steps that are predicted are in x
        encoder_key, critic_key = jax.random.split(key)
        params = {"encoder": self.encoder.init(encoder_key, with_label(x)[0])}
        params["critic"] = self.critic.init(critic_key, self.context_dim, self.code_dim)
        if self.has_probe:
            params["probe"] = init_probe(self.context_dim, self.parts.num_classes)
        return params, {}

    def loss(self, params: Any, stats: Any, key: jax.Array, x: Any, y: Any, axis_name: str | None) -> Any:
        _, time_key = jax.random.split(key)
        steps, labels = with_label(x)
        contexts, codes = self.encoder.apply(self.encoder_shares(params, axis_name), steps)
        queries, targets = self._predict(params, contexts, codes)
        if self.num_times:
            times = jax.random.permutation(time_key, targets.shape[1])[: self.num_times]
            queries, targets = queries[:, :, times], targets[:, times]
        out = self.objective(queries, targets, axis_name=axis_name)
        metrics = {name: jnp.mean(getattr(out, name)) for name in ("loss", "mi_lower_bound", "accuracy")}
        metrics |= {f"loss_ahead_{k}": value for k, value in enumerate(out.loss, start=1)}
        if not self.has_probe:
            return metrics["loss"], (metrics, stats)
        probe_loss, accuracy = online_probe(params["probe"], FEATURES[self.feature](contexts), labels, axis_name)
        return metrics["loss"] + probe_loss, (metrics | {"online_probe_accuracy": accuracy}, stats)

    def objective(
        self, queries: jax.Array, keys: jax.Array, *, key: jax.Array | None = None, axis_name: str | None
    ) -> CPCOutput:
        """`CPCOutput` with fields float32[K], from queries float32[K, b, n, D] and keys float32[b, n, D]."""
        del key  # no distractors are drawn
        candidates = {"distractors": self.distractors, "other_times": self.other_times}
        return cpc_ahead(queries, keys, **self._similarity, **candidates, **self.tiling, axis_name=axis_name)

    def encode(self, params: Any, stats: Any, x: jax.Array, *, half: str = "x") -> Encoded:
        features = FEATURES[self.feature](self.encoder.apply(params["encoder"], x)[0])
        return Encoded(features, features)

    def pair_codes(self, params: Any, stats: Any, x: jax.Array, y: Any) -> tuple[jax.Array, jax.Array]:
        """Contexts and codes of all steps, float32[b, T, H] and float32[b, T, D]."""
        return self.encoder.apply(params["encoder"], x)

    def contrast(self, params: Any, z_x: jax.Array, z_y: jax.Array) -> CPCOutput:
        return cpc_ahead(*self._predict(params, z_x, z_y), **self._similarity, one_by_one=True)

    @property
    def num_candidates(self) -> int:
        shard = self.parts.shard_size * (self.num_targets if self.other_times else 1)
        return CPC_RULES[self.distractors].num_candidates(shard, self.parts.num_devices)

    @property
    def is_bound(self) -> bool:
        return super().is_bound and not self.other_times

    @property
    def _heldout_batch(self) -> int:
        # Distractors from other times depend on the context, so a bound does without them: N is then B.
        return self.parts.batch_size if self.other_times else self.num_candidates

    @property
    def scored_shapes(self) -> ScoredShapes:
        shard = (self.parts.shard_size, self.num_targets, self.code_dim)
        return ScoredShapes(self.objective, (self.num_ahead, *shard), shard)

    @property
    def _similarity(self) -> dict[str, Any]:
        return {"temperature": self.temperature, "normalize": self.normalize, "symmetric": self.symmetric}

    def _predict(self, params: Any, contexts: jax.Array, codes: jax.Array) -> tuple[jax.Array, jax.Array]:
        contexts, targets = pair_ahead(contexts, codes, self.num_ahead)
        return self.critic.apply(params["critic"], contexts), targets
