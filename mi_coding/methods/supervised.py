"""Supervised learning: cross-entropy of a linear classifier on the features of an encoder, as in fine-tuning."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import optax

from mi_coding.encoders import Backbone, Encoder, NoHead, build
from mi_coding.methods.base import Encoded, Method, Variables, check_classes, check_labelled
from mi_coding.methods.online_probe import init_probe, mean_cross_entropy, probe_logits, with_label
from mi_coding.methods.two_halves import check_two_halves
from mi_coding.options import option
from mi_coding.pairs import PairSampler

_CLASSIFIER = "classifier"


@dataclass(frozen=True, eq=False)
class Supervised(Method):
    """config.objective.name = "supervised": the label from x, as pairs draw it, and from the example as probes see it.

    Params are {"encoder", "classifier"}; codes are the logits of the classes. Hidden labels (−1) are ignored.
    """

    freeze: bool = option("objective.freeze", False, "only the classifier learns; the encoder stays as it begins")

    evaluations = ("classifier",)
    learns_labels = True
    plain_views = True

    def check(self, pairs: PairSampler, encoder: Backbone, batch_size: int, num_devices: int) -> None:
        check_two_halves(self, pairs)
        check_labelled(self.name, pairs)

    def check_labels(self, source: str, num_classes: int) -> None:
        check_classes(self.name, source, num_classes)

    @property
    def halves_are_alike(self) -> bool:
        return not self.parts.pairs.takes_given_pairs  # of given pairs only x has an encoder

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder up to its features."""
        return build(self.parts.encoder, NoHead())

    def init(self, key: jax.Array, x: Any, y: Any) -> Variables:
        examples = with_label(x)[0]
        params, stats = self.encoder.init(key, examples)
        features = jax.eval_shape(lambda: self.encoder.apply(params, stats, examples, False)[0][0])
        return {"encoder": params, _CLASSIFIER: init_probe(features.shape[1], self.parts.num_classes)}, stats

    def loss(self, params: Any, stats: Any, key: jax.Array, x: Any, y: Any, axis_name: str | None) -> Any:
        (modified, labels), (views, _) = with_label(x), with_label(y)
        examples, labels = jnp.concatenate([modified, views]), jnp.concatenate([labels, labels])
        learns = not self.freeze  # if not, batch statistics, too, keep their initial values
        shares = self.encoder_shares(params, axis_name)
        (features, _), stats = self.encoder.apply(shares, stats, examples, learns, axis_name)
        loss, accuracy = mean_cross_entropy(probe_logits(params[_CLASSIFIER], features), labels, axis_name)
        return loss, ({"loss": loss, "accuracy": accuracy}, stats)

    def encode(self, params: Any, stats: Any, x: jax.Array, *, half: str = "x") -> Encoded:
        features = self.encoder.apply(params["encoder"], stats, x, False)[0][0]
        return Encoded(features, probe_logits(params[_CLASSIFIER], features))

    @property
    def has_probe(self) -> bool:
        return self.uses_labels  # the classifier is one

    def probe_logits(self, params: Any, stats: Any, x: jax.Array) -> jax.Array:
        return self.encode(params, stats, x).codes

    def optimizer(self, base: optax.GradientTransformation) -> optax.GradientTransformation:
        if not self.freeze:
            return base
        kinds = {"learns": base, "stays": optax.set_to_zero()}  # no weight decay either
        return optax.multi_transform(
            kinds, lambda params: {part: "learns" if part == _CLASSIFIER else "stays" for part in params}
        )

    def forecast(self) -> str:
        what = "a classifier on a frozen encoder" if self.freeze else "an encoder with its classifier"
        return f"{what}, {self.parts.num_classes:,} classes"
