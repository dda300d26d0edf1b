"""Pairs of a row of a table and the same row with some of its values replaced by those of other rows (SCARF)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import jax
import jax.numpy as jnp

from mi_coding.errors import InputError, Setting
from mi_coding.options import OneOf, Range, option
from mi_coding.pairs.augmentations.compose import as_numbers
from mi_coding.pairs.base import PairSampler, Shape

_STANDARD = "standard"


@dataclass(frozen=True, eq=False)
class Corrupted(PairSampler):
    """x is a row of a table; y is the row with each value, by chance, replaced by that of a row drawn at random.

    So a replaced value is a draw from the marginal of its column, and is always a value that the column has, be it a
    number, 0 or 1, or the code of a category. Source: arXiv:2106.15147, where the rate is 0.6.

    >>> table = jnp.arange(8.0).reshape(4, 2)  # columns of even and of odd numbers
    >>> x, y = Corrupted(rate=1.0).sample(jax.random.key(0), table, jnp.arange(3))
    >>> (y % 2).tolist()
    [[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]
    """

    rate: Annotated[float, Range(above=0, most=1)] = option(
        "pairs.rate", 0.6, "probability that a value of y is replaced by that of another row"
    )
    scale: Annotated[str, OneOf((_STANDARD, "none"))] = option(
        "pairs.table_scale",
        _STANDARD,
        "standard gives table columns mean 0 and deviation 1 by the training split; none leaves them as is",
    )

    @property
    def standardises(self) -> bool:
        return self.scale == _STANDARD

    def gathered(self, key: jax.Array, examples: jax.Array, population: jax.Array, rows: jax.Array) -> Any:
        """Each row with a row of donors, float[b, 2, D]: what may replace its values, drawn value by value."""
        num_rows, num_columns = population.shape
        donor_key = jax.random.fold_in(key, num_rows)

        def positions(row: jax.Array) -> jax.Array:
            return jax.random.randint(jax.random.fold_in(donor_key, row), (num_columns,), 0, num_rows)

        donors = population[jax.vmap(positions)(rows), jnp.arange(num_columns)]
        return jnp.stack([examples, donors], axis=1)

    def pair(self, key: jax.Array, example: jax.Array) -> tuple[jax.Array, jax.Array]:
        """x and y of a row and its row of donors, [2, D]."""
        row, donors = as_numbers(example)
        return row, jnp.where(jax.random.bernoulli(key, self.rate, row.shape), donors, row)

    def view(self, key: jax.Array, example: jax.Array) -> jax.Array:
        """The row, which may come with its donors."""
        return as_numbers(example if example.ndim == 1 else example[0])

    def describe(self) -> str:
        return f"a row, and the row with {self.rate:.0%} of its values replaced by those of other rows"

    def pair_shape(self, shape: Shape) -> Shape:
        return shape

    def check_examples(self, source: str, shapes: Sequence[Shape], split: Any) -> None:
        if len(shapes) != 1 or len(shapes[0]) != 1:
            shown = " and ".join(map(str, shapes))
            raise InputError(
                Setting("pairs.name", self.name),
                f" needs the rows of one table, and {source} has examples of shape {shown}; expected a source such "
                "as npz:PATH with x alone, numbers [n, D]",
            )
