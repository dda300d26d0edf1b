"""Given pairs: rows of two arrays that belong together, such as two recordings of one moment."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import jax

from mi_coding.errors import InputError, Setting
from mi_coding.options import OneOf, option
from mi_coding.pairs.augmentations.compose import as_numbers
from mi_coding.pairs.base import PairSampler, Shape

_SEPARATE, _SHARED = "separate", "shared"
_STANDARD = "standard"


@dataclass(frozen=True, eq=False)
class Given(PairSampler):
    """Pairs as they come: an example is (x, y), and nothing but their scale is changed; their view is x.

    >>> x, y = Given().pair(jax.random.key(0), (jnp.full(3, 255, jnp.uint8), jnp.array([0.5, -2.0])))
    >>> x.tolist(), y.tolist()
    ([1.0, 1.0, 1.0], [0.5, -2.0])
    """

    encoders: Annotated[str, OneOf((_SEPARATE, _SHARED))] = option(
        "pairs.encoders", _SEPARATE, "separate encoders for x and y, or a shared one"
    )

    scale: Annotated[str, OneOf((_STANDARD, "none"))] = option(
        "pairs.table_scale",
        _STANDARD,
        "standard gives table columns mean 0 and deviation 1 by the training split; none leaves them as is",
    )

    takes_given_pairs = True

    @property
    def standardises(self) -> bool:
        return self.scale == _STANDARD

    @property
    def two_encoders(self) -> bool:
        return self.encoders == _SEPARATE

    def pair(self, key: jax.Array, example: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        x, y = example
        return as_numbers(x), as_numbers(y)

    def view(self, key: jax.Array, example: tuple[jax.Array, jax.Array]) -> jax.Array:
        return self.pair(key, example)[0]

    def describe(self) -> str:
        return "the x and the y of one row"

    def encoded_shapes(self, shapes: Sequence[Shape]) -> list[Shape]:
        return list(shapes)

    def check_examples(self, source: str, shapes: Sequence[Shape], split: Any) -> None:
        if len(shapes) == 1:
            raise InputError(
                Setting("pairs.name", self.name),
                f" needs arrays x and y, and {source} has single examples of shape {shapes[0]}; expected a source like "
                "npz:PATH with x and y, or pairs 'frames' or 'augmentations'",
            )
        if not self.two_encoders and shapes[0] != shapes[1]:
            raise InputError(
                Setting("pairs.encoders", self.encoders),
                f" on x and y of shape {shapes[0]} and {shapes[1]}: one encoder takes one shape; use {_SEPARATE!r}, or "
                "give both one shape",
            )
