"""What CPC and its relatives share: an encoder for both halves of a pair or one for each, a critic, candidates."""

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from mi_coding.contrast import METHODS as CONTRAST_METHODS
from mi_coding.critics import CRITICS, Critic
from mi_coding.encoders import Backbone, Encoder, HeadOptions, build
from mi_coding.errors import InputError, Setting
from mi_coding.methods.base import Encoded, Method, ScoredShapes, Variables, with_own_rate
from mi_coding.methods.chunks import check_microbatch, encode_in_chunks, jointly, separately
from mi_coding.methods.online_probe import init_probe, online_probe, probe_logits, with_label
from mi_coding.objectives.cpc import CPC_RULES, CPCOutput
from mi_coding.objectives.gradient import as_shares
from mi_coding.objectives.groups import within_groups
from mi_coding.options import NotNegative, NotNegativeInt, OneOf, Positive, PositiveInt, group, option
from mi_coding.pairs import BoundSpec, PairSampler


@dataclass(frozen=True, eq=False)
class Candidates(Method):
    """Methods that pick the true candidate among N."""

    temperature: Positive = option("critic.temperature", 0.1, "divides the scores")
    normalize: bool = option("critic.normalize", True, "score by the cosine instead of the plain product")
    distractors: Annotated[str, OneOf(CPC_RULES)] = option(
        "objective.distractors", "all", "other_devices leaves out the pairs of the same device: N = B − b + 1"
    )
    contrast_method: Annotated[str, OneOf(("auto", *CONTRAST_METHODS))] = option(
        "objective.method", "auto", "how the scores are computed; the numbers are the same"
    )
    block_size: NotNegativeInt = option("objective.block_size", 0, "side of a tile of scores; 0 chooses")
    probe_learning_rate: NotNegative = option(
        "optimizer.probe_learning_rate", 1e-3, "of a linear probe beside the encoder, no gradient to it; 0 for none"
    )

    evaluations = ("bound",)

    def check(self, pairs: PairSampler, encoder: Backbone, batch_size: int, num_devices: int) -> None:
        if self.distractors == "other_devices" and num_devices < 2:
            hint = " leaves no distractor on 1 device; use 'all' or more devices"
            raise InputError(Setting("objective.distractors", self.distractors), hint)
        if self.contrast_method == "dense" and num_devices > 1:
            hint = f" is for 1 device, here are {num_devices}; use 'auto'"
            raise InputError(Setting("objective.method", "dense"), hint)

    @property
    def tiling(self) -> dict[str, Any]:
        """How the scores are computed, as arguments of a loss."""
        return {"method": self.contrast_method, "block_size": self.block_size or None}

    def contrast(self, params: Any, z_x: jax.Array, z_y: jax.Array) -> CPCOutput:
        """The loss and the bound of a batch of codes of held-out pairs, with all other pairs as distractors."""
        raise NotImplementedError

    def bound_specs(self, num_examples: int) -> dict[str, BoundSpec]:
        """Prefix of summary keys → held-out bound: as in training, and with the most candidates.

        Held-out pairs are drawn from `num_examples` examples, or frames. Pairs of films have the other kind of
        distractors instead: those of the same film, or of all films.
        """
        others = self.parts.pairs.other_bounds(self.parts.batch_size, num_examples)
        return {"heldout": self.training_spec, **others}

    @property
    def training_spec(self) -> BoundSpec:
        """The held-out bound whose N is that of training."""
        group_size = self.parts.pairs.candidates_within
        return BoundSpec(group_size, group_size) if group_size else BoundSpec(self._heldout_batch)

    @property
    def _heldout_batch(self) -> int:
        return self.num_candidates

    def optimizer(self, base: optax.GradientTransformation) -> optax.GradientTransformation:
        return with_own_rate(base, "probe", self.probe_learning_rate) if self.uses_labels else base

    def probe_logits(self, params: Any, stats: Any, x: jax.Array) -> jax.Array:
        return probe_logits(params["probe"], self.encode(params, stats, x).features)

    def forecast(self) -> str:
        return f"N = {self.num_candidates:,} candidates, ceiling ln N = {np.log(self.num_candidates):.2f} nats"

    @property
    def is_bound(self) -> bool:
        return self.parts.pairs.independent


@dataclass(frozen=True, eq=False)
class Contrastive(Candidates):
    """Methods that score the codes of the two halves of a pair.

    Params are {"encoder", "critic"} and, with an online probe, "probe". Where x and y have an encoder each, of one
    architecture, its params and the stats are {"x": …, "y": …}, and the online probe reads the features of x.
    """

    head: HeadOptions = group(HeadOptions)
    code_dim: PositiveInt = option("encoder.code_dim", 64, "D, numbers of a code")
    critic_name: Annotated[str, OneOf(CRITICS)] = option("critic.name", "inner_product", "bilinear is z_xᵀ W z_y")
    microbatch_size: NotNegativeInt = option(
        "microbatch_size", 0, "pairs that a device encodes at a time, with the same N and loss; 0 for all"
    )

    def check(self, pairs: PairSampler, encoder: Backbone, batch_size: int, num_devices: int) -> None:
        super().check(pairs, encoder, batch_size, num_devices)
        check_two_halves(self, pairs)
        check_microbatch(self.microbatch_size, batch_size, num_devices)

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder with its head."""
        return build(self.parts.encoder, self.head.build(self.code_dim))

    @cached_property
    def critic(self) -> Critic:
        """What makes queries and keys of codes."""
        return CRITICS[self.critic_name]()

    def heldout_loss(self, queries: jax.Array, keys: jax.Array, **where: Any) -> CPCOutput:
        """The loss with all other pairs as distractors."""
        raise NotImplementedError

    def training_loss(self, queries: jax.Array, keys: jax.Array, *, key: jax.Array, axis_name: str | None) -> CPCOutput:
        """The loss that is minimised, with the distractors that the options name; the key is for its draws."""
        raise NotImplementedError

    def objective(self, queries: jax.Array, keys: jax.Array, *, key: jax.Array, axis_name: str | None) -> CPCOutput:
        """`training_loss`, or where the pairs of one film are the candidates, the loss within these groups."""
        if group_size := self.parts.pairs.candidates_within:
            return within_groups(self.heldout_loss, group_size)(queries, keys, axis_name=axis_name)
        return self.training_loss(queries, keys, key=key, axis_name=axis_name)

    def init(self, key: jax.Array, x: Any, y: Any) -> Variables:
        (images, _), (images_y, _) = with_label(x), with_label(y)
        encoder_key, critic_key = jax.random.split(key)
        params, stats = self.encoder.init(encoder_key, images)
        if self.parts.pairs.two_encoders:
            params_y, stats_y = self.encoder.init(jax.random.fold_in(encoder_key, 1), images_y)
            params, stats = {"x": params, "y": params_y}, {"x": stats, "y": stats_y}
        params = {"encoder": params, "critic": self.critic.init(critic_key, self.code_dim)}
        if self.uses_labels:
            features = jax.eval_shape(lambda: self.encode(params, stats, images).features)
            params["probe"] = init_probe(features.shape[1], self.parts.num_classes)
        return params, stats

    def loss(self, params: Any, stats: Any, key: jax.Array, x: Any, y: Any, axis_name: str | None) -> Any:
        (images_x, labels), (images_y, _) = with_label(x), with_label(y)
        halves = separately if self.parts.pairs.two_encoders else jointly
        outputs = partial(self.encoder.apply, train=True, axis_name=axis_name)
        encode = encode_in_chunks(halves(outputs), self.microbatch_size)
        shares = as_shares(params["encoder"], axis_name)
        (features_x, z_x), (features_y, z_y), stats = encode(shares, stats, images_x, images_y)
        out = self.objective(*self.critic.apply(params["critic"], z_x, z_y), key=key, axis_name=axis_name)
        metrics = {"loss": out.loss, "mi_lower_bound": out.mi_lower_bound, "accuracy": out.accuracy}
        if not self.uses_labels:
            return out.loss, (metrics, stats)
        features = features_x
        if not self.parts.pairs.two_encoders:
            features, labels = jnp.concatenate([features_x, features_y]), jnp.concatenate([labels, labels])
        probe_loss, accuracy = online_probe(params["probe"], features, labels, axis_name)
        return out.loss + probe_loss, (metrics | {"online_probe_accuracy": accuracy}, stats)

    def encode(self, params: Any, stats: Any, x: jax.Array, *, half: str = "x") -> Encoded:
        params = params["encoder"]
        if self.parts.pairs.two_encoders:
            params, stats = params[half], stats[half]
        return Encoded(*self.encoder.apply(params, stats, x, False)[0])

    def pair_codes(self, params: Any, stats: Any, x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
        if self.parts.pairs.two_encoders:
            return super().pair_codes(params, stats, x, y)
        return tuple(jnp.split(self.encode(params, stats, jnp.concatenate([x, y])).codes, 2))

    def compared(self, params: Any, z_x: jax.Array, z_y: jax.Array) -> tuple[jax.Array, jax.Array]:
        return self.critic.apply(params["critic"], z_x, z_y)

    def contrast(self, params: Any, z_x: jax.Array, z_y: jax.Array) -> CPCOutput:
        return self.heldout_loss(*self.compared(params, z_x, z_y))

    @property
    def scored_shapes(self) -> ScoredShapes:
        shard = (self.parts.shard_size, self.code_dim)
        return ScoredShapes(self.objective, shard, shard)


def check_two_halves(method: Method, pairs: PairSampler) -> None:
    """Raises InputError for sequences, whose pairs are of steps and not of two halves."""
    if pairs.are_sequences:
        raise InputError(
            Setting("objective.name", method.name),
            f" is for pairs of two halves; given pairs {pairs.name!r}, expected objective 'cpc_ahead', as in "
            "configs/cpc_sequence.py",
        )
