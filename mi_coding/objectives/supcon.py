"""Supervised contrast: each code picks all codes of its class, by every contrast method that NT-Xent has."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from mi_coding.contrast import POOL, ContrastSpec, contrast
from mi_coding.objectives.cpc import CPCOutput, inverse_temperature, unit_length
from mi_coding.objectives.moments import check_codes, global_mean


def supcon(
    z_x: jax.Array,
    z_y: jax.Array,
    labels: jax.Array,
    *,
    num_classes: int,
    temperature: float | jax.Array = 0.1,
    method: str = "auto",
    block_size: int | None = None,
    precision: str = "highest",
    axis_name: str | None = None,
) -> CPCOutput:
    """NT-Xent with several true candidates: the other view of an image, and all views of images of its class.

    The loss of a view is the mean over its true candidates of −ln softmax; the mean of their scores is the score of the
    mean of their codes, so only sums of codes by class are needed in addition to what NT-Xent computes. The loss uses
    labels, so ln N − loss does not bound the information of a pair.

    >>> z = jnp.eye(2)[jnp.array([0, 0, 1, 1])]  # one code a class: of 7 candidates the 3 true ones share the vote
    >>> print(f"{supcon(z, z, jnp.array([0, 0, 1, 1]), num_classes=2, temperature=0.01).loss:.4f}")  # ln 3
    1.0986

    Args:
        z_x, z_y: float[b, D], codes of both views, one device's shard.
        labels: int[b], below `num_classes`; for −1, which is unknown, only the other view is a true candidate.
        num_classes: K.
        temperature, method, block_size, precision, axis_name: see `cpc`.
    Returns:
        A `CPCOutput`; accuracy is that of NT-Xent, for the other view.
    Raises:
        ValueError: as `cpc`, and for labels of another length.
    Source: arXiv:2004.11362, equation 2 (the mean outside the logarithm).
    """
    check_codes(z_x, z_y)
    if labels.shape != z_x.shape[:1]:
        raise ValueError(f"labels of shape {labels.shape} for {len(z_x)} pairs: expected one label for each")
    pool, labels = jnp.concatenate([unit_length(z_x), unit_length(z_y)]), jnp.concatenate([labels, labels])
    scale = inverse_temperature(temperature, pool)
    spec = ContrastSpec(POOL, columns=False, block_size=block_size, axis_name=axis_name, precision=precision)
    found = contrast(pool, pool, scale, spec, method=method)

    scored = spec.rounded(pool).astype(pool.dtype)  # a true score of other codes than its normaliser's biases the loss
    exactly = partial(jnp.matmul, precision=lax.Precision.HIGHEST)
    member = jax.nn.one_hot(labels, num_classes, dtype=pool.dtype)  # of no class where the label is −1
    sums, counts = exactly(member.T, scored), jnp.sum(member, axis=0)
    if axis_name is not None:
        sums, counts = lax.psum((sums, counts), axis_name)
    known, others = labels >= 0, jnp.maximum(exactly(member, counts) - 1, 1)
    of_class = (scale * jnp.sum(scored * (exactly(member, sums) - scored), axis=1)) / others
    true = jnp.where(known, of_class, found.true_score)
    loss = global_mean(found.row_lse - true, axis_name)
    accuracy = global_mean((found.rank == 0).astype(true.dtype), axis_name)
    return CPCOutput(loss, jnp.log(found.num_candidates) - loss, found.num_candidates, accuracy)
