"""Methods on pairs of two halves: one encoder for both or one for each, its head, and an online probe."""

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from mi_coding.encoders import Backbone, Encoder, HeadOptions, build
from mi_coding.errors import InputError, Setting
from mi_coding.methods.base import Encoded, Method, Variables
from mi_coding.methods.chunks import check_microbatch, encode_in_chunks, jointly, separately
from mi_coding.methods.online_probe import OnlineProbe, init_probe, online_probe, with_label
from mi_coding.options import NotNegativeInt, PositiveInt, group, option
from mi_coding.pairs import PairSampler, crops
from mi_coding.varying import varies


@dataclass(frozen=True, eq=False)
class TwoHalves(OnlineProbe):
    """Methods whose loss is a function of the codes of the two halves of pairs.

    Params are {"encoder"}, those of `extra_params`, and, with an online probe, "probe". Where x and y have
    separate encoders, of one kind or of two, the encoder's params and the stats are {"x": …, "y": …}, and the online
    probe reads the features of x. A method with a memory has stats {"encoder": the stats, "memory": …}.

    Attributes:
        has_memory: whether arrays other than parameters are carried from step to step; see `new_memory`.
    """

    has_memory: ClassVar[bool] = False
    takes_views = True

    head: HeadOptions = group(HeadOptions)
    code_dim: PositiveInt = option("encoder.code_dim", 64, "D, dimension of a code")
    microbatch_size: NotNegativeInt = option(
        "microbatch_size", 0, "pairs that a device encodes at a time; the loss stays that of all; 0 for all at once"
    )

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
        """The loss of codes, float32[b, D] each, and other metrics: those of the global batch, alike on every device.

        The codes are those of one device's shard, so a mean over them is not yet that of the global batch: take
        `jax.lax.pmean(mean, axis_name)` where `axis_name` is not None.

        Args:
            params: all of them; only those of `extra_params` are meant to be read.
            labels: int[b], −1 where unknown; None where pairs have no labels.
            key: for random draws; the same on every device.
        """
        raise NotImplementedError

    def new_memory(self, key: jax.Array) -> Any:
        """The initial memory: arrays that are carried from step to step, the same on every device."""
        raise NotImplementedError

    def loss_with_memory(
        self, params: Any, z_x: jax.Array, z_y: jax.Array, memory: Any, **how: Any
    ) -> tuple[jax.Array, dict[str, jax.Array], Any]:
        """`codes_loss` of a method with a memory, and the memory after this step, alike on every device."""
        loss, metrics = self.codes_loss(params, z_x, z_y, **how)
        return loss, metrics, memory

    def extra_params(self, key: jax.Array) -> dict[str, Any]:
        """Parameters besides those of the encoder."""
        del key
        return {}

    def check(self, pairs: PairSampler, encoder: Backbone, batch_size: int, num_devices: int) -> None:
        super().check(pairs, encoder, batch_size, num_devices)
        check_two_halves(self, pairs)
        check_microbatch(self.microbatch_size, batch_size, num_devices)
        if self.microbatch_size and pairs.num_small:
            hint = " is for views of one size; expected 0 with "
            small = Setting("pairs.small_views", pairs.num_small)
            raise InputError(Setting("microbatch_size", self.microbatch_size), hint, small)

    @property
    def normalises_chunks(self) -> bool:
        """Whether batch norm in training sees the chunks of a microbatch: their statistics tell the pairs of one apart.

        A code may then carry which chunk it is from, which its true candidate shares and most others do not, as in MoCo
        without shuffled batch norm (arXiv:1911.05722, section 3.3): ln N − loss is not a bound.
        """
        in_chunks = 0 < self.microbatch_size < self.parts.shard_size * self.parts.pairs.num_views // 2
        in_head = self.head.batch_norm and self.head.layers > 1
        return in_chunks and (in_head or not all(one.encodes_each_alone for one in self.parts.encoders))

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder with its head; that of x where y has one of another kind."""
        return build(self.parts.encoder, self.head.build(self.code_dim))

    @cached_property
    def encoder_y(self) -> Encoder:
        """The encoder of y with its head: that of x unless it is of another kind."""
        if self.parts.encoder_y is None:
            return self.encoder
        return build(self.parts.encoder_y, self.head.build(self.code_dim))

    def init(self, key: jax.Array, x: Any, y: Any) -> Variables:
        (half, _), (images_y, _) = with_label(x), with_label(y)
        images, _ = crops(half)
        encoder_key, extra_key = jax.random.split(key)
        params, stats = self.encoder.init(encoder_key, images)
        if self.parts.pairs.two_encoders:
            params_y, stats_y = self.encoder_y.init(jax.random.fold_in(encoder_key, 1), images_y)
            params, stats = {"x": params, "y": params_y}, {"x": stats, "y": stats_y}
        params = {"encoder": params, **self.extra_params(extra_key)}
        if self.has_memory:
            stats = {"encoder": stats, "memory": self.new_memory(jax.random.fold_in(extra_key, 1))}
        if self.has_probe:
            features = jax.eval_shape(lambda: self.encode(params, stats, images).features)
            params["probe"] = init_probe(features.shape[1], self.parts.num_classes)
        return params, stats

    def loss(self, params: Any, stats: Any, key: jax.Array, x: Any, y: Any, axis_name: str | None) -> Any:
        (half_x, labels), (images_y, _) = with_label(x), with_label(y)
        images_x, small = crops(half_x)
        of_x, of_y = (partial(one.apply, train=True, axis_name=axis_name) for one in (self.encoder, self.encoder_y))
        both = separately(of_x, of_y) if self.parts.pairs.two_encoders else jointly(of_x)
        encode = encode_in_chunks(both, self.microbatch_size)
        shares = self.encoder_shares(params, axis_name)
        memory = stats["memory"] if self.has_memory else None
        before = self._encoder_stats(stats)
        (features_x, z_x), (features_y, z_y), stats = encode(shares, before, images_x, images_y)
        # Small views leave the running statistics alone: these are for the views that are encoded after training.
        z_small = None if small is None else of_x(shares, before, small)[0][1]
        how = {"labels": labels, "key": key, "axis_name": axis_name}
        loss, metrics, memory = self._checked_loss(params, z_x, z_y, z_small, memory, **how)
        stats = {"encoder": stats, "memory": memory} if self.has_memory else stats
        metrics = {"loss": loss, **metrics}
        if not self.has_probe:
            return loss, (metrics, stats)
        features = features_x
        if not self.parts.pairs.two_encoders:
            features, labels = jnp.concatenate([features_x, features_y]), jnp.concatenate([labels, labels])
        probe_loss, accuracy = online_probe(params["probe"], features, labels, axis_name)
        return loss + probe_loss, (metrics | {"online_probe_accuracy": accuracy}, stats)

    def _checked_loss(
        self, params: Any, z_x: jax.Array, z_y: jax.Array, z_small: jax.Array | None, memory: Any, **how: Any
    ) -> tuple[jax.Array, dict[str, jax.Array], Any]:
        """`loss_with_memory`, which must be that of the global batch.

        Raises:
            ValueError: for a loss or a metric that differs between devices.
        """
        if self.parts.pairs.has_several:
            loss, metrics = self._loss_of_views(params, jnp.concatenate([z_x, z_y]), z_small, **how)
        else:
            loss, metrics, memory = self.loss_with_memory(params, z_x, z_y, memory, **how)
        own = [name for name, value in {"loss": loss, **metrics}.items() if varies(jnp.asarray(value))]
        if own:
            raise ValueError(
                f"objective {self.name!r}: {', '.join(own)} differ between devices; expected means over the global "
                "batch, as jax.lax.pmean(value, axis_name) gives them"
            )
        return loss, metrics, memory

    def _loss_of_views(
        self, params: Any, codes: jax.Array, small: jax.Array | None, *, labels: jax.Array | None, **how: Any
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """The mean of the losses of all pairs of views, each of them a mean over the batch, with its N.

        Every two of the V views are a pair, and so is each of them with each small view; two small views are no pair,
        as they may show nothing in common. Metrics are means over the pairs of the V views, which are what held-out
        bounds measure; means over the pairs with a small view have "_small" appended to their names.
        """
        views, width = self.parts.pairs.num_views, codes.shape[1]
        codes = codes.reshape(views, -1, width)
        labels = None if labels is None else labels[: codes.shape[1]]  # the same for every view
        of_two = jax.vmap(partial(self.codes_loss, params, labels=labels, **how))
        first, second = np.triu_indices(views, 1)
        losses, metrics = of_two(codes[first], codes[second])
        metrics = {name: jnp.mean(values, axis=0) for name, values in metrics.items()}
        if small is None:
            return jnp.mean(losses), metrics
        small = small.reshape(self.parts.pairs.num_small, -1, width)
        first, second = np.indices((views, len(small))).reshape(2, -1)
        losses_small, of_small = of_two(codes[first], small[second])
        metrics |= {f"{name}_small": jnp.mean(values, axis=0) for name, values in of_small.items()}
        return jnp.mean(jnp.concatenate([losses, losses_small])), metrics

    def encode(self, params: Any, stats: Any, x: jax.Array, *, half: str = "x") -> Encoded:
        encoder, variables = self._of_half(params, stats, half)
        return Encoded(*encoder.apply(*variables, x, False)[0])

    def places(self, params: Any, stats: Any, x: jax.Array, *, half: str = "x") -> jax.Array:
        encoder, variables = self._of_half(params, stats, half)
        return encoder.places(*variables, x)

    def _of_half(self, params: Any, stats: Any, half: str) -> tuple[Encoder, Variables]:
        """The encoder of a half, and its variables."""
        params, stats = params["encoder"], self._encoder_stats(stats)
        encoder = self.encoder_y if half == "y" else self.encoder
        return encoder, ((params[half], stats[half]) if self.parts.pairs.two_encoders else (params, stats))

    def _encoder_stats(self, stats: Any) -> Any:
        return stats["encoder"] if self.has_memory else stats

    def encoder_variables(self, variables: Variables) -> Variables:
        params, stats = variables
        return params["encoder"], self._encoder_stats(stats)

    def with_encoder(self, variables: Variables, encoder: Variables) -> Variables:
        params, stats = super().with_encoder(variables, encoder)
        return params, (variables[1] | {"encoder": stats} if self.has_memory else stats)

    def pair_codes(self, params: Any, stats: Any, x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
        if self.parts.pairs.two_encoders:
            return super().pair_codes(params, stats, x, y)
        return tuple(jnp.split(self.encode(params, stats, jnp.concatenate([x, y])).codes, 2))


def check_two_halves(method: Method, pairs: PairSampler) -> None:
    """Raises InputError for sequences, whose pairs are of steps, and for more views than a method takes."""
    if pairs.has_several and not method.takes_views:
        views = Setting("pairs.views", pairs.num_views) if pairs.num_views > 2 else None
        hint = f"; objective {method.name!r} takes two views, expected {2 if views else 0}"
        raise InputError(views or Setting("pairs.small_views", pairs.num_small), hint)
    if pairs.are_sequences:
        raise InputError(
            Setting("objective.name", method.name),
            f" is for pairs of two halves; given pairs {pairs.name!r}, expected objective 'cpc_ahead', as in "
            "configs/cpc_sequence.py",
        )
