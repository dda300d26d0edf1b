"""Methods whose codes a critic can compare: what held-out bounds on their information need."""

from dataclasses import dataclass
from typing import Any

import jax

from mi_coding.errors import InputError, Setting
from mi_coding.methods.base import Method
from mi_coding.objectives.cpc import CPCOutput
from mi_coding.options import Positive, option
from mi_coding.pairs import BoundSpec, PairSampler


@dataclass(frozen=True, eq=False)
class Bounded(Method):
    """Methods with a critic of codes: ln N minus its loss is a bound on held-out pairs, however it was trained."""

    temperature: Positive = option("critic.temperature", 0.1, "divides the scores")

    evaluations = ("bound",)

    def contrast(self, params: Any, z_x: jax.Array, z_y: jax.Array) -> CPCOutput:
        """The loss and the bound of a batch of codes of held-out pairs, with all other pairs as distractors."""
        raise NotImplementedError

    def bound_specs(self, num_examples: int) -> dict[str, BoundSpec]:
        """Prefix of summary keys → held-out bound: as in training, and with the most candidates.

        Held-out pairs are drawn from `num_examples` examples, or frames. For pairs of films, the second bound has the
        other kind of distractors instead: those of the same film, or of all films.
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
        return self.parts.batch_size


def check_across(method: Method, pairs: PairSampler) -> None:
    """Raises InputError if candidates are restricted to one film, for a method that has no candidates."""
    if pairs.candidates_within:
        hint = f" is for objectives with candidates, such as 'cpc'; {method.name!r} has none; expected 'across'"
        raise InputError(Setting("pairs.distractors", "within"), hint)
