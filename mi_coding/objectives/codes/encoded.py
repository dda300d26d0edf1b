"""The output of an encoder for a discrete code: q(z|x), a product of M categoricals with K values each.

It is held as `log_q` float[b, M, K], log-probabilities that sum to one over K.
"""

import jax
import jax.numpy as jnp
from jax import lax

MOST_CODES = 65_536
"""Codes, or pairs of codes, that are listed one by one; more are refused."""


def check_size(num_symbols: int, num_values: int) -> None:
    """Raises ValueError unless M ≥ 1 and K ≥ 2."""
    if num_symbols < 1:
        raise ValueError(f"num_symbols={num_symbols}: a code has at least 1 symbol")
    if num_values < 2:
        raise ValueError(f"num_values={num_values}: a symbol with fewer than 2 values says nothing")


def check_listable(count: int, what: str, most: int = MOST_CODES) -> None:
    """Raises ValueError, which names the number and the limit, for more than `most` things to list."""
    if count > most:
        raise ValueError(
            f"{what} are {count:,}, more than the {most:,} that are enumerated; take fewer symbols or values"
        )


def check_codes(z: jax.Array, given: jax.Array | None, size: int, conditional: bool) -> None:
    """Raises ValueError unless z is [b, size], and `given` is there if and only if the model is conditional."""
    if z.ndim != 2 or z.shape[1] != size:
        raise ValueError(f"codes of shape {z.shape}: expected [b, {size}]")
    if conditional != (given is not None):
        raise ValueError(
            "a conditional model needs the code that is given" if conditional else "a prior is given no code"
        )


def all_codes(num_symbols: int, num_values: int) -> jax.Array:
    """int32[K^M, M]: every code once, the last symbol running fastest.

    >>> all_codes(2, 2).tolist()
    [[0, 0], [0, 1], [1, 0], [1, 1]]

    Raises:
        ValueError: for M < 1, K < 2, or more than `MOST_CODES` codes.
    """
    check_size(num_symbols, num_values)
    check_listable(num_values**num_symbols, f"codes of {num_symbols} symbols with {num_values} values")
    grid = jnp.meshgrid(*[jnp.arange(num_values)] * num_symbols, indexing="ij")
    return jnp.stack(grid, axis=-1).reshape(-1, num_symbols)


def entropy(probabilities: jax.Array) -> jax.Array:
    """Entropy in nats of a law given as probabilities that sum to one over all axes; its gradient is finite at zero.

    >>> print(f"{entropy(jnp.array([0.5, 0.25, 0.25, 0.0])):.4f}")
    1.0397
    """
    inside = jnp.where(probabilities > 0, probabilities, 1)
    return -jnp.sum(inside * jnp.log(inside))


def population(log_q: jax.Array, axis_name: str | None = None) -> jax.Array:
    """float[K^M]: P(z) = E_x q(z|x), the law of codes over a batch, in the order of `all_codes`.

    >>> population(jnp.log(jnp.array([[[0.5, 0.5], [1.0, 0.0]], [[1.0, 0.0], [1.0, 0.0]]]))).tolist()
    [0.75, 0.0, 0.25, 0.0]

    Args:
        log_q: float[b, M, K].
        axis_name: of the mapped axis that shares the batch; None for one device.
    Raises:
        ValueError: for more than `MOST_CODES` codes.
    """
    _, num_symbols, num_values = log_q.shape
    check_listable(num_values**num_symbols, f"codes of {num_symbols} symbols with {num_values} values")
    return over_devices(jnp.mean(_listed(log_q), axis=0), axis_name)


def pair_population(log_q_x: jax.Array, log_q_y: jax.Array, axis_name: str | None = None) -> jax.Array:
    """float[K^M, K^M]: P(z_x, z_y) = E q(z_x|x) q(z_y|y) over a batch of pairs, rows for x.

    >>> sure = jnp.log(jnp.eye(2))[:, None]
    >>> pair_population(sure, sure).tolist()
    [[0.5, 0.0], [0.0, 0.5]]

    Raises:
        ValueError: for more than `MOST_CODES` pairs of codes.
    """
    _, num_symbols, num_values = log_q_x.shape
    what = f"pairs of codes of {num_symbols} symbols with {num_values} values"
    check_listable(num_values ** (2 * num_symbols), what)
    joint = jnp.einsum("ba,bc->ac", _listed(log_q_x), _listed(log_q_y), precision="highest") / len(log_q_x)
    return over_devices(joint, axis_name)


def sample_codes(key: jax.Array, log_q: jax.Array, rows: jax.Array | None = None) -> jax.Array:
    """int32[b, M]: one code drawn for each row; row i of the global batch draws the same on any number of devices.

    >>> sample_codes(jax.random.key(0), jnp.log(jnp.eye(3))[:, None])[:, 0].tolist()
    [0, 1, 2]

    Args:
        key: of the whole batch.
        log_q: float[b, M, K].
        rows: int32[b], positions in the global batch; None counts from zero.
    """
    rows = jnp.arange(len(log_q)) if rows is None else rows
    keys = jax.vmap(lambda row: jax.random.fold_in(key, row))(rows)
    return jax.vmap(lambda k, logs: jax.random.categorical(k, logs, axis=-1))(keys, log_q)


def over_devices(value: jax.Array, axis_name: str | None) -> jax.Array:
    """The mean over the devices of a mapped axis; the value itself without one."""
    return value if axis_name is None else lax.pmean(value, axis_name)


def _listed(log_q: jax.Array) -> jax.Array:
    """float[b, K^M]: q(z|x) of every code."""
    listed = jnp.exp(log_q[:, 0])
    for symbol in range(1, log_q.shape[1]):
        listed = (listed[:, :, None] * jnp.exp(log_q[:, symbol])[:, None]).reshape(len(log_q), -1)
    return listed
