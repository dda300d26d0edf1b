"""The projection head: what the critic sees. Probes read the features before it (SimCLR, arXiv:2002.05709, 4.2)."""

import flax.linen as nn
import jax


class ProjectionHead(nn.Module):
    """One hidden layer: float32[b, F] → float32[b, code_dim]."""

    width: int
    code_dim: int

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        return nn.Dense(self.code_dim)(nn.relu(nn.Dense(self.width)(features)))
