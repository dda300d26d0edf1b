"""How much information do the codes of held-out pairs share, if they are taken to be jointly Gaussian?"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mi_coding.evaluation.base import PairEvaluator, Trained, at_most
from mi_coding.evaluation.heldout import make_pair_codes
from mi_coding.objectives.gaussian import gaussian_information
from mi_coding.pairs import pairs_of_batch
from mi_coding.reporting.results import Group, Rows, Summary, group_rows, nats

_KEY = "heldout/gaussian_information_nats"
_ROWS: Rows = {_KEY: ("Gaussian information of held-out codes, nats: an estimate, not a bound", nats)}


@dataclass(frozen=True)
class GaussianInformation(PairEvaluator):
    """−½ ln det(1 − C Cᵀ) of the codes of held-out pairs, without shrinkage; for methods that maximise it.

    Each test example is used once: what a finite sample adds is known for independent pairs alone.
    """

    for_every_method = False

    def evaluate(self, trained: Trained) -> dict[str, Any]:
        if trained.pairs.takes_films:
            trained.warn("Gaussian information of held-out codes is left out: moments of one film depend on each other")
            return {}
        codes = _codes(trained, self.num_pairs)
        count, dimensions = codes[0].shape
        if count < 2 * dimensions + 2:
            trained.warn(
                f"Gaussian information of held-out codes is left out: {count:,} test pairs of codes of {dimensions} "
                f"numbers; expected at least {2 * dimensions + 2:,}"
            )
            return {}
        information = float(gaussian_information(*codes))
        if not np.isfinite(information):
            trained.warn("dimensions of the codes depend on each other: their Gaussian information is infinite")
            return {}
        return {_KEY: information}

    def groups(self, summary: Summary) -> list[Group]:
        return [group_rows("Gaussian information", summary, _ROWS)]


def _codes(trained: Trained, most: int) -> tuple[jax.Array, jax.Array]:
    """z_x, z_y of one pair for each of `most` test examples, or of all there are."""
    examples = trained.pairs.examples_of(trained.population("test"))
    chosen = at_most(most, np.arange(len(jax.tree.leaves(examples)[0])))

    def each_once(key: jax.Array, examples: Any, rows: jax.Array) -> tuple[Any, Any]:
        return pairs_of_batch(key, jax.tree.map(lambda half: half[rows], examples), rows, pairs=trained.pairs)

    encode = make_pair_codes(each_once, trained.method.pair_codes)
    return encode(trained.variables, trained.key("test"), examples, jnp.asarray(chosen))
