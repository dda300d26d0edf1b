"""All the loop knows of an experiment: how pairs are drawn, how parameters begin, and what is minimised."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax

from mi_coding.objectives.codes import CodeModel
from mi_coding.objectives.cpc import CPCOutput
from mi_coding.training.devices import Spmd


class Experiment(NamedTuple):
    """One experiment; a new one is new functions here, never a second loop.

    Attributes:
        sample_pairs: (key, data, rows int32[b]) → x, y: the pairs numbered `rows` of the global batch.
        init: (key, x, y) → params, stats.
        loss: (params, stats, key, x, y, axis_name) → loss, (metrics, stats); the loss and the metrics are those of the
            global batch, the same on every device.
        optimizer: an optax transformation over params.
        batch_size: B, the global batch.
        loss_memory: spmd → bytes that the loss alone needs on one device, or None where nobody can tell.
        average_decay: of the moving average of params and stats that `TrainState.average` keeps; 0 keeps none.
    """

    sample_pairs: Callable[[jax.Array, Any, jax.Array], tuple[jax.Array, jax.Array]]
    init: Callable[[jax.Array, jax.Array, jax.Array], tuple[Any, Any]]
    loss: Callable[..., tuple[jax.Array, tuple[dict[str, jax.Array], Any]]]
    optimizer: optax.GradientTransformation
    batch_size: int
    loss_memory: Callable[[Spmd], int | None]
    average_decay: float = 0.0


class DiscreteCodes(NamedTuple):
    """The R discrete codes of a co-training experiment, with their models.

    Attributes:
        prior, conditional: P_Ψ(z) and P_Φ(z|z′) of one code.
        betas: the price of memory that each of the R codes is trained at.
        log_q: (params, stats, x) → float32[R, b, M, K], what the encoder says of every symbol of every code; compiled
            once for each shape.
        models: stats → (Ψ, Φ), the parameters of the R priors and conditional models, R first in every leaf.
    """

    prior: CodeModel
    conditional: CodeModel
    betas: tuple[float, ...]
    log_q: Callable[[Any, Any, jax.Array], jax.Array]
    models: Callable[[Any], tuple[Any, Any]]

    @property
    def num_heads(self) -> int:
        """R."""
        return len(self.betas)

    def models_of(self, stats: Any, head: int) -> tuple[Any, Any]:
        """Ψ and Φ of one of the R codes."""
        return jax.tree.map(lambda leaf: leaf[head], self.models(stats))


class Codes(NamedTuple):
    """What training leaves: functions from params and stats.

    Attributes:
        features: (params, stats, x) → float32[b, F], before the head; what probes read.
        codes: (params, stats, x) → float32[b, D].
        train_codes: as the training step computes it on one device, with the statistics of the batch it is given.
        pairs: (params, stats, x, y) → z_x, z_y, float32[b, …] each: the codes of pairs.
        contrast: (params, z_x, z_y) → `CPCOutput` of the codes of a batch of held-out pairs; None in co-training.
        online_logits: (params, stats, x) → float32[b, K], what the online probe makes of x; None without one.
        features_y, codes_y: the same of y; None where one encoder serves both.
        discrete: the discrete codes of co-training; None where codes are vectors.
    """

    features: Callable[[Any, Any, jax.Array], jax.Array]
    codes: Callable[[Any, Any, jax.Array], jax.Array]
    train_codes: Callable[[Any, Any, jax.Array], jax.Array]
    pairs: Callable[[Any, Any, Any, Any], tuple[jax.Array, jax.Array]]
    contrast: Callable[[Any, jax.Array, jax.Array], CPCOutput] | None
    online_logits: Callable[[Any, Any, jax.Array], jax.Array] | None = None
    features_y: Callable[[Any, Any, jax.Array], jax.Array] | None = None
    codes_y: Callable[[Any, Any, jax.Array], jax.Array] | None = None
    discrete: DiscreteCodes | None = None
