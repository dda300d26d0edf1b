"""Dense layers, for examples that are vectors."""

from typing import Annotated

import flax.linen as nn
import jax
import jax.numpy as jnp

from mi_coding.encoders.activation import ACTIVATIONS, MEANING, Activation
from mi_coding.encoders.base import DTYPES, Backbone, Shape
from mi_coding.options import Each, OneOf, PositiveInt, Range, option


class MLP(Backbone):
    """Dense layers and their activations: float32[b, …] → float32[b, feature_dim]; examples are flattened.

    >>> module = MLP(widths=(8,), feature_dim=4)
    >>> variables = module.init(jax.random.key(0), jnp.zeros((2, 3)), False)
    >>> [layer["kernel"].shape for layer in variables["params"].values()]
    [(3, 8), (8, 4)]

    Parameters and features are float32 for every dtype.
    """

    widths: Annotated[tuple, Each(int, Range(above=0), "(256, 256)", empty=True)] = option(
        "encoder.widths", (256, 256), "widths of the layers before the last; () for none"
    )
    feature_dim: PositiveInt = option("encoder.feature_dim", 256, "F, dimension of the features that a probe reads")
    activation: Activation = option("encoder.activation", "relu", MEANING)
    dtype: Annotated[str, OneOf(DTYPES)] = option("encoder.dtype", "float32", "dtype of the layers")

    takes = "examples of any shape"
    encodes_each_alone = True
    loops_on_cpu = True

    def can_take(self, shape: Shape) -> bool:
        return True

    @nn.compact
    def __call__(self, x: jax.Array, train: bool, axis_name: str | None = None) -> jax.Array:
        x = x.reshape(x.shape[0], -1)
        for width in (*self.widths, self.feature_dim):
            dense = nn.Dense(width, dtype=jnp.dtype(self.dtype), kernel_init=nn.initializers.he_normal())
            x = ACTIVATIONS[self.activation](dense(x))
        return x.astype(jnp.float32)
