"""Distractors from inside groups of a batch: all pairs of a group come from one film, and so do all candidates."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from mi_coding.objectives.cpc import CPCOutput


def within_groups(loss: Callable[..., CPCOutput], group_size: int) -> Callable[..., CPCOutput]:
    """The mean of a loss over groups of neighbouring pairs, each with candidates of its own.

    Where all pairs of a group are independent draws from one film, ln N − loss bounds I(z_x; z_y | film): what the
    codes share beyond which film it is. N is that of a group, whatever the batch and however many devices; a group
    must lie on one device.

    >>> from mi_coding.objectives.cpc import cpc
    >>> film = jnp.repeat(10 * jnp.eye(2), 4, axis=0)  # a code that knows the film of each of two groups, and no more
    >>> print(f"{cpc(film, film).mi_lower_bound:.2f}, {abs(within_groups(cpc, 4)(film, film).mi_lower_bound):.2f}")
    0.69, 0.00

    Args:
        loss: (z_x float[g, D], z_y float[g, D]) → `CPCOutput`, such as `cpc` with all options except `axis_name`.
        group_size: g.
    Returns:
        (z_x float[b, D], z_y float[b, D], axis_name=None) → `CPCOutput` of the global batch. It raises ValueError
        unless `group_size` divides b.
    """

    def grouped(z_x: jax.Array, z_y: jax.Array, *, axis_name: str | None = None) -> CPCOutput:
        if z_x.shape[0] % group_size:
            raise ValueError(f"{z_x.shape[0]} pairs on a device cannot be split into groups of {group_size}")
        groups = (z.reshape(-1, group_size, z.shape[-1]) for z in (z_x, z_y))
        seen = []  # N is a plain number, which must not become an array on its way through vmap

        def one_group(queries: jax.Array, keys: jax.Array) -> tuple[jax.Array, ...]:
            out = loss(queries, keys)
            seen.append(out.num_candidates)
            return out.loss, out.mi_lower_bound, out.accuracy

        means = jax.tree.map(jnp.mean, jax.vmap(one_group)(*groups))
        mean_loss, bound, accuracy = jax.lax.pmean(means, axis_name) if axis_name else means
        return CPCOutput(mean_loss, bound, seen[0], accuracy)

    return grouped
