"""Optimisers by name: optax transformations with warm-up, a cosine to zero, and decay on weights only."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from mi_coding.objectives.gradient import ALL_REDUCE_DTYPES
from mi_coding.options import NotNegative, NotNegativeInt, OneOf, Positive, Range, option
from mi_coding.training.norms import leaf_norms

_TRUST = 0.001  # of LARS: a step is this share of the weights' norm, times the learning rate

_MUON_RMS = 0.2  # root mean square of an update of Muon, in learning rates: as of AdamW, arXiv:2502.16982, section 2.2


def is_weight(params: Any) -> Any:
    """True for matrices and kernels, False for biases and scales, which neither decay nor adapt (SimCLR, LARS)."""
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


def _adamw(schedule: optax.Schedule, weight_decay: float, momentum: float) -> optax.GradientTransformation:
    del momentum  # AdamW has its own
    return optax.adamw(schedule, weight_decay=weight_decay, mask=is_weight)


def _sgd(schedule: optax.Schedule, weight_decay: float, momentum: float) -> optax.GradientTransformation:
    return optax.chain(optax.add_decayed_weights(weight_decay, is_weight), optax.sgd(schedule, momentum))


def _lars(schedule: optax.Schedule, weight_decay: float, momentum: float) -> optax.GradientTransformation:
    return optax.chain(
        optax.add_decayed_weights(weight_decay, is_weight),
        _scale_by_trust_ratio(_TRUST),
        optax.scale_by_learning_rate(schedule),
        optax.trace(momentum),
    )


def _muon(schedule: optax.Schedule, weight_decay: float, momentum: float) -> optax.GradientTransformation:
    """Muon for kernels, AdamW for all else; a learning rate and a decay mean about the same for both, see `_MUON_RMS`.

    Source: Jordan and others, "Muon: an optimizer for hidden layers in neural networks", 2024; arXiv:2502.16982.
    """
    kernels = optax.contrib.muon(
        schedule,
        beta=momentum,
        weight_decay=weight_decay,
        muon_weight_dimension_numbers=partial(jax.tree_util.tree_map_with_path, _as_matrix),
        consistent_rms=_MUON_RMS,
    )
    others = _adamw(schedule, weight_decay, momentum)
    return optax.partition({"kernels": kernels, "others": others}, partial(jax.tree_util.tree_map_with_path, _group))


def _group(path: tuple[Any, ...], leaf: jax.Array) -> str:
    """Position codes and tokens of a ViT are no linear maps; the form of a bilinear critic begins as the identity."""
    return "kernels" if leaf.ndim > 1 and _names(path)[-1] == "kernel" else "others"


def _as_matrix(path: tuple[Any, ...], leaf: jax.Array) -> optax.contrib.MuonDimensionNumbers:
    """Which axes of a kernel count the inputs of its linear map, and which its outputs.

    The last axis counts the outputs of a dense layer, of a convolution, [height, width, channels, outputs], and of the
    last layer of an attention, [heads, inputs of each, outputs]. Its other three have [inputs, heads, outputs of each].
    """
    if leaf.ndim == 3 and _names(path)[-2] in ("query", "key", "value"):
        return optax.contrib.MuonDimensionNumbers(0, (1, 2))
    return optax.contrib.MuonDimensionNumbers(tuple(range(leaf.ndim - 1)), leaf.ndim - 1)


def _names(path: tuple[Any, ...]) -> list[str]:
    return jax.tree_util.keystr(path, simple=True, separator="/").split("/")


def _scale_by_trust_ratio(coefficient: float) -> optax.GradientTransformation:
    """`optax.scale_by_trust_ratio` of weights; the updates of biases and scales are left as they are.

    The norms are computed together, see `leaf_norms`, and all updates are multiplied by a number out of one array: the
    compiler for GPUs updates arrays of one shape that read the same array, in one kernel, instead of one for each.
    """

    def update(updates: Any, state: Any, params: Any) -> tuple[Any, Any]:
        leaves, structure = jax.tree.flatten(updates)
        of_updates, of_params = leaf_norms(updates), leaf_norms(params)
        adapts = np.array(jax.tree.leaves(is_weight(params))) & (of_updates > 0.0) & (of_params > 0.0)
        ratios = jnp.where(adapts, coefficient * of_params / of_updates, 1.0)
        return jax.tree.unflatten(structure, [leaf * ratio for leaf, ratio in zip(leaves, ratios, strict=True)]), state

    empty = optax.MaskedState(optax.EmptyState())  # as in `optax.lars`, of which checkpoints exist
    return optax.GradientTransformation(lambda params: empty, update)


OPTIMIZERS: dict[str, Callable[..., optax.GradientTransformation]] = {
    "adamw": _adamw,
    "sgd": _sgd,
    "lars": _lars,
    "muon": _muon,
}
"""Names of `config.optimizer.name`."""


def learning_rate_schedule(peak: float, warmup_steps: int, num_steps: int) -> optax.Schedule:
    """Linear from 0 to `peak` over the warm-up, then a cosine that reaches zero at `num_steps`.

    >>> schedule = learning_rate_schedule(1.0, warmup_steps=10, num_steps=110)
    >>> [round(float(schedule(step)), 3) for step in (0, 5, 10, 60, 110)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    warmup_steps = cut_warmup(warmup_steps, num_steps)
    return optax.warmup_cosine_decay_schedule(
        init_value=0.0 if warmup_steps else peak,
        peak_value=peak,
        warmup_steps=warmup_steps,
        decay_steps=num_steps,
    )


def cut_warmup(warmup_steps: int, num_steps: int) -> int:
    """Warm-up steps of a run, at most all but the last, so that a short trial of a long config still decays."""
    return min(warmup_steps, max(num_steps - 1, 0))


SCALINGS: dict[str, Callable[[int], float]] = {
    "none": lambda batch_size: 1.0,
    "linear": lambda batch_size: batch_size / 256,
    "sqrt": lambda batch_size: batch_size**0.5,
}
"""Names of `config.optimizer.learning_rate_scaling`: what a learning rate is multiplied by for a global batch.

SimCLR, arXiv:2002.05709: 0.3 with "linear" (section 2.2), 0.075 with "sqrt" (appendix B.1) for small batches."""


@dataclass(frozen=True)
class OptimizerOptions:
    """The optimiser of the encoder and the critic."""

    name: Annotated[str, OneOf(OPTIMIZERS)] = option("optimizer.name", "adamw", "which optimiser")
    learning_rate: Positive = option("optimizer.learning_rate", 2e-3, "the peak, after warm-up; then a cosine to zero")
    scaling: Annotated[str, OneOf(SCALINGS)] = option(
        "optimizer.learning_rate_scaling", "none", "linear multiplies the rate by B / 256, sqrt by √B"
    )
    warmup_steps: NotNegativeInt = option("optimizer.warmup_steps", 100, "steps of a linear warm-up")
    weight_decay: NotNegative = option("optimizer.weight_decay", 0.1, "of the weights; none on biases and norms")
    momentum: Annotated[float, Range(least=0, below=1)] = option(
        "optimizer.momentum", 0.9, "momentum of sgd, lars and muon"
    )
    gradient_clip: NotNegative = option("optimizer.gradient_clip", 0.0, "largest global norm of a gradient; 0 for none")
    average_decay: Annotated[float, Range(least=0, below=1)] = option(
        "optimizer.average_decay", 0.0, "decay of a moving average of the weights, which is then evaluated; 0 for none"
    )
    all_reduce_dtype: Annotated[str, OneOf(ALL_REDUCE_DTYPES)] = option(
        "optimizer.all_reduce_dtype",
        "float32",
        "of the encoder's gradients; bfloat16 halves what devices send",
    )

    def schedule(self, batch_size: int, num_steps: int) -> optax.Schedule:
        """Step → learning rate, for a global batch and a run of `num_steps`."""
        peak = self.learning_rate * SCALINGS[self.scaling](batch_size)
        return learning_rate_schedule(peak, self.warmup_steps, num_steps)

    def build(self, batch_size: int, num_steps: int) -> optax.GradientTransformation:
        """The optimiser for a global batch and a run of `num_steps`."""
        schedule = self.schedule(batch_size, num_steps)
        optimizer = OPTIMIZERS[self.name](schedule, self.weight_decay, self.momentum)
        if not self.gradient_clip:
            return optimizer
        return optax.chain(optax.clip_by_global_norm(self.gradient_clip), optimizer)
