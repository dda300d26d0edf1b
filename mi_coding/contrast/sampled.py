"""A few distractors drawn at random for each query: the process of the CPC definition, word for word."""

import jax
import jax.numpy as jnp
from jax import lax

from mi_coding.contrast.contract import ALL, ALL_PAIRS, POOL, Contrast, ContrastSpec, check_precision, score_products

_CODES_AT_ONCE = 2**22  # numbers of gathered codes held at a time: 16 MiB in float32


def contrast_sampled(
    queries: jax.Array,
    keys: jax.Array,
    scale: jax.Array | float = 1.0,
    spec: ContrastSpec = ALL_PAIRS,
    *,
    num_distractors: int,
    key: jax.Array,
) -> Contrast:
    """Scores every query with its true candidate and with distractors drawn for it from the keys of the other pairs.

    Draws are without replacement and over the global batch; each query has its own. They depend on `key` and on the
    query's place in the global batch, not on the number of devices (with JAX's default generator, threefry).

    >>> out = contrast_sampled(2 * jnp.eye(5), jnp.eye(5), num_distractors=3, key=jax.random.key(0))
    >>> out.true_score.tolist(), out.rank.tolist(), out.num_candidates
    ([2.0, 2.0, 2.0, 2.0, 2.0], [0, 0, 0, 0, 0], 4)

    Args:
        queries: float[n, d], this device's shard.
        keys: float[n, d], this device's shard; keys[i] is the true one of queries[i].
        scale: one over the temperature.
        spec: its rule, `ALL` or `OTHER_DEVICES`, determines which keys are drawn from; where columns are wanted, the K
            distractors of each key are drawn from the queries. Nothing is tiled.
        num_distractors: K ≥ 1, at most as many as the rule leaves.
        key: a random key, the same on all devices.
    Returns:
        A `Contrast` with N = K + 1.
    Raises:
        ValueError: for a K that is < 1 or more than there are, the rule `POOL`, another reduction than "candidates", or
            a precision as `contrast`.
    Source: arXiv:1807.03748 section 2.3; draws by Floyd's algorithm, CACM 30(9), 1987.
    """
    if not spec.with_true:
        raise ValueError(f"reduction={spec.reduction!r} needs all pairs; drawn distractors support 'candidates' only")
    if spec.rule == POOL:
        raise ValueError("num_distractors draws from pairs; NT-Xent scores its whole pool and does not support it")
    n, axis_name = queries.shape[0], spec.axis_name
    others = spec.rule.num_candidates(n, spec.num_devices) - 1
    if not 1 <= num_distractors <= others:
        raise ValueError(f"num_distractors={num_distractors}: rule {spec.rule.name!r} leaves {others} to draw from")
    dtype = jnp.promote_types(jnp.result_type(queries, keys), jnp.float32)
    check_precision(spec.precision, dtype)
    scale, queries, keys = jnp.asarray(scale, dtype), spec.rounded(queries), spec.rounded(keys)
    first = spec.device_index * n
    own, width = (first + jnp.arange(n), 1) if spec.rule == ALL else (jnp.full(n, first), n)

    def score(codes, candidates, key):
        """float[n, K + 1], the true candidate first."""
        everyone = jnp.asarray(candidates) if axis_name is None else lax.all_gather(candidates, axis_name, tiled=True)
        seeds = jax.vmap(lambda row: jax.random.fold_in(key, row))(first + jnp.arange(n))
        draws = jax.vmap(lambda seed: draw(seed, others, num_distractors))(seeds)
        draws += width * (draws >= own[:, None])  # steps over the pairs that are no distractors
        chosen = jnp.concatenate([(first + jnp.arange(n))[:, None], draws], axis=1)
        one = jax.checkpoint(lambda row: score_products(row[0][None], everyone[row[1]], scale, spec.precision)[0])
        at_once = max(1, _CODES_AT_ONCE // (chosen.shape[1] * codes.shape[1]))
        return lax.map(one, (codes, chosen), batch_size=min(n, at_once))

    key_of_rows, key_of_columns = jax.random.split(key)
    scores = score(queries, keys, key_of_rows)
    rank = jnp.sum(scores[:, 1:] >= scores[:, :1], axis=1, dtype=jnp.int32)
    column_lse = jax.nn.logsumexp(score(keys, queries, key_of_columns), axis=1) if spec.columns else None
    return Contrast(scores[:, 0], jax.nn.logsumexp(scores, axis=1), column_lse, rank, num_distractors + 1)


def draw(key: jax.Array, population: int, size: int) -> jax.Array:
    """int32[size]: different numbers below `population`, every set of them equally likely, in no useful order.

    Floyd's algorithm needs memory for the draws only, where a permutation would need the whole population.

    >>> sorted(draw(jax.random.key(0), population=4, size=4).tolist())
    [0, 1, 2, 3]
    """
    bounds = population - size + jnp.arange(size)
    tries = jax.random.randint(key, (size,), 0, bounds + 1)

    def step(i, drawn):
        is_taken = jnp.any((drawn == tries[i]) & (jnp.arange(size) < i))
        return drawn.at[i].set(jnp.where(is_taken, bounds[i], tries[i]))

    return lax.fori_loop(0, size, step, tries)
