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
from mi_coding.pairs.sampling import draw_examples, labelled, pairs_of_batch

_STANDARD = "standard"


@dataclass(frozen=True, eq=False)
class Corrupted(PairSampler):
    """x is a row of a table; y is the row with each value, by chance, replaced by that of another row drawn at random.

    So a replaced value is a draw from the marginal of its column, and keeps to the values that the column has, be they
    numbers, 0 and 1, or codes of categories. Source: arXiv:2106.15147, where the rate is 0.6.

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
        "columns of tables get mean 0 and deviation 1 by the training split; none leaves them",
    )

    @property
    def standardises(self) -> bool:
        return self.scale == _STANDARD

    def pair(self, key: jax.Array, example: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        """x and y of a row and a row of donors: what may replace its values."""
        row, donors = map(as_numbers, example)
        return row, jnp.where(jax.random.bernoulli(key, self.rate, row.shape), donors, row)

    def view(self, key: jax.Array, example: jax.Array) -> jax.Array:
        return as_numbers(example)

    def describe(self) -> str:
        return f"a row, and the row with {self.rate:.0%} of its values replaced by those of other rows"

    def sample(self, key: jax.Array, data: Any, rows: jax.Array, *, group_size: int = 1) -> tuple[Any, Any]:
        return self._pairs(key, data, rows)

    def training_batch(
        self,
        key: jax.Array,
        data: Any,
        rows: jax.Array,
        *,
        batch_size: int,
        with_labels: bool = False,
        with_views: bool = False,
    ) -> tuple[Any, Any]:
        among = batch_size if self.distinct else None
        return self._pairs(key, data, rows, distinct_among=among, with_labels=with_labels, with_views=with_views)

    def streamed_batch(
        self, key: jax.Array, examples: Any, rows: jax.Array, *, with_labels: bool = False, with_views: bool = False
    ) -> tuple[Any, Any]:
        table, labels = examples if with_labels else (examples, None)
        return self._corrupted(key, table, labels, table, rows, with_views=with_views)  # donors of the same batch

    def pair_shape(self, shape: Shape) -> Shape:
        return shape

    def check_examples(self, source: str, shapes: Sequence[Shape], split: Any) -> None:
        if len(shapes) != 1 or len(shapes[0]) != 1:
            shown = " and ".join(map(str, shapes))
            raise InputError(
                Setting("pairs.name", self.name),
                f" needs the rows of one table, and {source} has examples of shape {shown}; expected such as npz:PATH "
                "with x alone, numbers [n, D]",
            )

    def _pairs(
        self,
        key: jax.Array,
        data: Any,
        rows: jax.Array,
        *,
        distinct_among: int | None = None,
        with_labels: bool = False,
        with_views: bool = False,
    ) -> tuple[Any, Any]:
        table, labels = data if with_labels else (data, None)
        example_key = jax.random.split(key)[0]
        drawn = draw_examples(example_key, rows, num_examples=len(table), distinct_among=distinct_among)
        chosen = None if labels is None else labels[drawn]
        return self._corrupted(key, table[drawn], chosen, table, rows, with_views=with_views)

    def _corrupted(
        self, key: jax.Array, table: jax.Array, labels: Any, population: jax.Array, rows: jax.Array, *, with_views: bool
    ) -> tuple[Any, Any]:
        """Pairs of the rows of a table, whose donors are drawn value by value from a population of rows."""
        num_rows, num_columns = population.shape
        donor_key = jax.random.fold_in(jax.random.split(key)[1], num_rows)

        def positions(row: jax.Array) -> jax.Array:
            return jax.random.randint(jax.random.fold_in(donor_key, row), (num_columns,), 0, num_rows)

        donors = population[jax.vmap(positions)(rows), jnp.arange(num_columns)]
        if labels is None:
            return pairs_of_batch(key, (table, donors), rows, pairs=self)
        functions = labelled(_OfBoth(self), with_views=with_views)
        return pairs_of_batch(key, ((table, donors), labels), rows, pairs=functions)


class _OfBoth:
    """The same functions where an example is a row with its donors."""

    def __init__(self, pairs: Corrupted):
        self.pair = pairs.pair
        self.view = lambda key, example: pairs.view(key, example[0])
