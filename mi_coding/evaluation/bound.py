"""How much information do the codes of held-out pairs share, at least?"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mi_coding.objectives.cpc import CPCOutput

TOO_NEAR = 0.05
"""Share of the ceiling within which a bound says only "at least this much"."""


class HeldoutBound(NamedTuple):
    """A lower bound on I(z_x; z_y) from held-out pairs.

    Attributes:
        mi_lower_bound: nats, the mean over batches of N independent pairs.
        standard_error: nats, over the batches. The images are taken as given: it says nothing of other images.
        num_candidates: N.
        ceiling: ln N in nats.
        accuracy: fraction of true candidates ranked first.
    """

    mi_lower_bound: float
    standard_error: float
    num_candidates: int
    ceiling: float
    accuracy: float

    @property
    def near_ceiling(self) -> bool:
        """Whether the bound is within 5 % of the most it can say, so that the information may be far larger."""
        return self.mi_lower_bound > (1 - TOO_NEAR) * self.ceiling


def make_heldout_bound(
    sample_pairs: Callable[[jax.Array, jax.Array, jax.Array], tuple[jax.Array, jax.Array]],
    contrast: Callable[..., CPCOutput],
) -> Callable[..., HeldoutBound]:
    """A function that measures the held-out bound, compiled once for each size of batch.

    Args:
        sample_pairs: (key, images, rows) → x, y, independent draws: a distractor may be a twin of the true y.
        contrast: (params, stats, x, y) → `CPCOutput` of a batch of pairs.
    Returns:
        ((params, stats), key, images, *, batch_size, num_pairs) → `HeldoutBound` over num_pairs / batch_size batches,
        at least two.
    """

    @jax.jit
    def one_batch(variables, key: jax.Array, images: jax.Array, rows: jax.Array) -> CPCOutput:
        return contrast(*variables, *sample_pairs(key, images, rows))

    def heldout_bound(variables, key: jax.Array, images: jax.Array, *, batch_size: int, num_pairs: int) -> HeldoutBound:
        keys = jax.random.split(key, max(2, math.ceil(num_pairs / batch_size)))
        batches = jax.device_get([one_batch(variables, k, images, jnp.arange(batch_size)) for k in keys])
        bounds = np.array([out.mi_lower_bound for out in batches], np.float64)
        num_candidates = int(batches[0].num_candidates)
        return HeldoutBound(
            mi_lower_bound=float(bounds.mean()),
            standard_error=float(bounds.std(ddof=1) / math.sqrt(len(bounds))),
            num_candidates=num_candidates,
            ceiling=math.log(num_candidates),
            accuracy=float(np.mean([out.accuracy for out in batches])),
        )

    return heldout_bound
