"""The contract of every model of codes, and what follows from it alone."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from mi_coding.objectives.codes.encoded import all_codes, check_codes


class CodeModel(NamedTuple):
    """A law of discrete codes with parameters: a prior P_Ψ(z), or P_Φ(z|z′) given the code of the other half.

    Every model is a product over symbols, P(z) = Π P(z_m | z_1 … z_{m−1}), so that it can be sampled and drive an
    entropy coder.

    Attributes:
        num_symbols: M.
        num_values: K.
        conditional: whether it is given a code z′, which then has M symbols and K values too.
        init: key → params.
        next_log_probs: (params, z int[b, M], given int[b, M] | None) → float[b, M, K]: log P(z_m = k | the symbols
            before m); symbols from m on do not matter.
        refit: (params, code, given, axis_name, key, rows) → params at their best for a batch of codes over all devices,
            as far as that is soon found: all of a table; of a network the marginals, and in a prior the weights from
            symbol to symbol, for codes drawn with `key`. No gradient passes through what was refitted.
        blend: (old, new, kept) → params between the two: old ones have weight `kept`, new ones the rest. Params that
            were refitted to many batches in turn are blended as their windows are, so that one that a batch lacks stays
            likely.
        cross_entropy: (params, code, given, key, rows, code_gradient=True) → float[], the mean over a batch of
            E −ln P(z) in nats, with z drawn by code = log_q float[b, M, K] and z′ by given likewise. Its gradient with
            respect to params, code and given is exact or an unbiased estimate of that of the expectation; the model
            says which. With `code_gradient=False` only params may have one, which saves work.
    """

    num_symbols: int
    num_values: int
    conditional: bool
    init: Callable[[jax.Array], Any]
    next_log_probs: Callable[..., jax.Array]
    refit: Callable[..., Any]
    blend: Callable[[Any, Any, jax.Array], Any]
    cross_entropy: Callable[..., jax.Array]


def log_prob(model: CodeModel, params: Any, z: jax.Array, given: jax.Array | None = None) -> jax.Array:
    """float[b]: ln P(z), or ln P(z|given), in nats.

    Args:
        model, params: the law.
        z: int[b, M].
        given: int[b, M] where the model is conditional.
    Raises:
        ValueError: for codes of another shape, or a `given` that is missing or not wanted.
    """
    _check_codes(model, z, given)
    logs = model.next_log_probs(params, z, given)
    return jnp.sum(jnp.take_along_axis(logs, z[..., None], axis=-1)[..., 0], axis=-1)


def sample(
    model: CodeModel, params: Any, key: jax.Array, count: int | None = None, given: jax.Array | None = None
) -> jax.Array:
    """int32[count, M]: codes drawn from the law, symbol by symbol; or one for each row of `given`.

    Raises:
        ValueError: as `log_prob`.
    """
    z = jnp.zeros((count if given is None else len(given), model.num_symbols), jnp.int32)
    _check_codes(model, z, given)

    def draw(m: jax.Array, z: jax.Array) -> jax.Array:
        logs = model.next_log_probs(params, z, given)[:, m]
        return z.at[:, m].set(jax.random.categorical(jax.random.fold_in(key, m), logs, axis=-1).astype(z.dtype))

    return jax.lax.fori_loop(0, model.num_symbols, draw, z)


def exact_entropy(model: CodeModel, params: Any) -> jax.Array:
    """Entropy of a prior in nats, over all its codes.

    Raises:
        ValueError: for a conditional model, or more than `MOST_CODES` codes.
    """
    if model.conditional:
        raise ValueError("the entropy of a conditional model depends on what is given; take that of a prior")
    logs = log_prob(model, params, all_codes(model.num_symbols, model.num_values))
    return -jnp.sum(jnp.exp(logs) * logs)


def _check_codes(model: CodeModel, z: jax.Array, given: jax.Array | None) -> None:
    check_codes(z, given, model.num_symbols, model.conditional)
    if given is not None and given.shape != z.shape:
        raise ValueError(f"codes of shape {z.shape} given codes of shape {given.shape}: expected one shape")
