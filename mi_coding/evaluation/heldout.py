"""Lower bounds on the information that codes of held-out pairs share: drawing pairs, scoring them, averaging."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mi_coding.objectives.cpc import CPCOutput

TOO_NEAR = 0.05  # share of the ceiling: a bound that is nearer only says "at least this much"
ENCODE_AT_ONCE = 512  # pairs that are drawn and encoded at a time, so that memory does not grow with N

SUMMARY_KEYS = {  # what follows the prefix of a bound in a summary → the field of `HeldoutBound`
    "mi_lower_bound_nats": "mi_lower_bound",
    "mi_standard_error_nats": "standard_error",
    "mi_ceiling_nats": "ceiling",
    "num_candidates": "num_candidates",
    "accuracy": "accuracy",
}
AHEAD_KEYS = ("mi_lower_bound_nats", "mi_standard_error_nats", "accuracy")  # each number of steps ahead has them too


class HeldoutBound(NamedTuple):
    """A lower bound on I(z_x; z_y) from held-out pairs, in nats."""

    mi_lower_bound: float  # the mean over batches of N independent pairs
    standard_error: float  # over the batches; the images are taken as given: it does not extend to other images
    num_candidates: int  # N
    ceiling: float  # ln N
    accuracy: float  # fraction of true candidates ranked first
    ahead: tuple["HeldoutBound", ...] = ()  # of sequences, for each number of steps ahead; this one is their mean

    @property
    def near_ceiling(self) -> bool:
        """Whether the bound is within 5 % of its ceiling, so that the information may be far larger."""
        return self.mi_lower_bound > (1 - TOO_NEAR) * self.ceiling


def make_pair_codes(
    sample_pairs: Callable, encode_pairs: Callable, *, at_once: int = ENCODE_AT_ONCE
) -> Callable[..., tuple[jax.Array, jax.Array]]:
    """A function that draws pairs and encodes them, a few at a time: (variables, key, images, rows) → z_x, z_y.

    All numbers of pairs from `at_once` on share one compiled program; each smaller number has its own.

    Args:
        sample_pairs: (key, images, rows) → x, y, independent draws: a distractor may be a twin of the true y.
        encode_pairs: (params, stats, x, y) → z_x, z_y, float32[b, …] each; see `Method.pair_codes`.
    """

    @jax.jit
    def pair_codes(variables, key: jax.Array, images: jax.Array, rows: jax.Array) -> tuple[jax.Array, jax.Array]:
        return encode_pairs(*variables, *sample_pairs(key, images, rows))

    def all_codes(variables, key: jax.Array, images: jax.Array, rows: jax.Array) -> tuple[jax.Array, jax.Array]:
        count, size = len(rows), min(len(rows), at_once)
        padded = np.pad(np.asarray(rows), (0, -count % size), mode="edge").reshape(-1, size)
        halves = zip(*(pair_codes(variables, key, images, some) for some in padded), strict=True)
        return tuple(jnp.concatenate(half)[:count] for half in halves)

    return all_codes


def make_heldout_bound(
    pair_codes: Callable[..., tuple[jax.Array, jax.Array]], contrast: Callable[..., CPCOutput]
) -> Callable[..., HeldoutBound]:
    """((params, stats), key, images, *, batch_size, num_pairs) → bound over ≥ 2 batches, num_pairs / batch_size.

    It is compiled once for each batch size. `pair_codes` is from `make_pair_codes`; `contrast` is (params, z_x, z_y)
    → `CPCOutput` of the codes of a batch of pairs; for sequences, of float[K].
    """
    score = jax.jit(contrast)

    def heldout_bound(variables, key: jax.Array, images: jax.Array, *, batch_size: int, num_pairs: int) -> HeldoutBound:
        keys = jax.random.split(key, max(2, math.ceil(num_pairs / batch_size)))
        rows = jnp.arange(batch_size)
        batches = jax.device_get([score(variables[0], *pair_codes(variables, k, images, rows)) for k in keys])
        bounds = np.array([batch.mi_lower_bound for batch in batches], np.float64)
        accuracies = np.array([batch.accuracy for batch in batches], np.float64)
        return _heldout_bound(bounds, accuracies, int(batches[0].num_candidates))

    return heldout_bound


def bound_summary(bound: HeldoutBound, prefix: str) -> dict[str, float]:
    """The entries of summary.json for one held-out bound, such as `heldout/mi_lower_bound_nats`.

    For sequences that is the mean over steps ahead, and `heldout/mi_lower_bound_nats_ahead_1` is that of one step.
    """
    summary = {f"{prefix}/{key}": getattr(bound, field) for key, field in SUMMARY_KEYS.items()}
    for k, ahead in enumerate(bound.ahead, start=1):
        summary |= {f"{prefix}/{key}_ahead_{k}": getattr(ahead, SUMMARY_KEYS[key]) for key in AHEAD_KEYS}
    return summary


def _heldout_bound(bounds: np.ndarray, accuracies: np.ndarray, num_candidates: int) -> HeldoutBound:
    """From one value per batch, or one per batch and number of steps ahead: float64[n] or float64[n, K]."""
    ahead = zip(bounds.T, accuracies.T, strict=True) if bounds.ndim == 2 else ()
    means = bounds.reshape(len(bounds), -1).mean(axis=1)
    return HeldoutBound(
        mi_lower_bound=float(means.mean()),
        standard_error=float(means.std(ddof=1) / math.sqrt(len(means))),
        num_candidates=num_candidates,
        ceiling=math.log(num_candidates),
        accuracy=float(accuracies.mean()),
        ahead=tuple(_heldout_bound(*of_one, num_candidates) for of_one in ahead),
    )
