"""Dense layers, for examples that are vectors."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from mi_coding.encoders.activation import ACTIVATIONS


class MLP(nn.Module):
    """Dense layers and their activations: float32[b, …] → float32[b, feature_dim]; whatever an example is, in a row.

    >>> module = MLP(widths=(8,), feature_dim=4)
    >>> variables = module.init(jax.random.key(0), jnp.zeros((2, 3)), False)
    >>> [layer["kernel"].shape for layer in variables["params"].values()]
    [(3, 8), (8, 4)]

    Attributes:
        widths: of the layers before the last.
        feature_dim: F, the number of features the probe reads.
        activation: behind every layer, a key of `ACTIVATIONS`.
        dtype: of the layers, "float32" or "bfloat16". Parameters and features are float32.
    """

    widths: Sequence[int] = (256, 256)
    feature_dim: int = 256
    activation: str = "relu"
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, train: bool, axis_name: str | None = None) -> jax.Array:
        x = x.reshape(x.shape[0], -1)
        for width in (*self.widths, self.feature_dim):
            dense = nn.Dense(width, dtype=jnp.dtype(self.dtype), kernel_init=nn.initializers.he_normal())
            x = ACTIVATIONS[self.activation](dense(x))
        return x.astype(jnp.float32)
