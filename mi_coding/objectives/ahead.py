"""CPC of sequences: from the context of the steps so far, pick the step that comes k later, for each k = 1 … K."""

import jax
import jax.numpy as jnp
from jax import lax

from mi_coding.objectives.cpc import CPCOutput, cpc


def pair_ahead(contexts: jax.Array, codes: jax.Array, num_ahead: int) -> tuple[jax.Array, jax.Array]:
    """Contexts and the codes that come k steps later. Every k predicts the same steps K … T − 1.

    The targets are the same for every k, so that the K bounds compare like with like: a shorter past knows no more
    about a step than a longer one (data processing). Where a bound grows with k, training left something to be learnt.

    >>> contexts, targets = pair_ahead(jnp.arange(5.0)[None, :, None], jnp.arange(5.0)[None, :, None], 2)
    >>> targets[0, :, 0].tolist()  # steps K … T − 1
    [2.0, 3.0, 4.0]
    >>> contexts[:, 0, :, 0].tolist()  # one step before, and two steps before
    [[1.0, 2.0, 3.0], [0.0, 1.0, 2.0]]

    Args:
        contexts: float[b, T, H]; contexts[:, t] knows the steps 0 … t.
        codes: float[b, T, D]; codes[:, t] is of step t.
        num_ahead: K, the most steps ahead.
    Returns:
        contexts float[K, b, T − K, H], targets float[b, T − K, D]: contexts[k − 1, i, s] is k steps before
        targets[i, s], which is the code of step K + s.
    Raises:
        ValueError: unless 1 ≤ K < T.
    """
    num_steps = codes.shape[1]
    if not 1 <= num_ahead < num_steps:
        raise ValueError(f"{num_ahead} steps ahead in sequences of {num_steps}: expected 1 to {num_steps - 1}")
    shifted = [contexts[:, num_ahead - k : num_steps - k] for k in range(1, num_ahead + 1)]
    return jnp.stack(shifted), codes[:, num_ahead:]


def cpc_ahead(
    queries: jax.Array, keys: jax.Array, *, other_times: bool = False, one_by_one: bool = False, **options
) -> CPCOutput:
    """The CPC loss and bound for each number of steps ahead; a mean over target steps.

    The distractors of a step are the same step of the other sequences: N = B. For each target step that is a bound on
    the information between the context and that step, so the mean over target steps bounds the mean of these.

    >>> out = cpc_ahead(jnp.zeros((3, 8, 5, 2)), jnp.zeros((8, 5, 2)))  # three critics that know nothing
    >>> [round(float(loss), 3) for loss in out.loss], out.num_candidates  # ln 8
    ([2.079, 2.079, 2.079], 8)

    Args:
        queries: float[K, b, n, D]; queries[k − 1, i, s] scores its candidates for the step whose code is keys[i, s].
        keys: float[b, n, D], codes of n target steps of each sequence.
        other_times: also take the other target steps of every sequence, its own included, as distractors, as the
            original does: N = B · n. A sequence's own steps depend on its context, so ln N − loss is then no bound.
        one_by_one: score one target step after another, with the memory of one; not for several devices.
        options: of `cpc`; with `axis_name` the sequences of all devices are candidates.
    Returns:
        A `CPCOutput` whose loss, bound and accuracy are float[K], those of k = 1 … K.
    Raises:
        ValueError: as `cpc`, and for shapes that do not fit.
    Source: arXiv:1807.03748 section 2.3, equation 4; which distractors make a bound, arXiv:1905.06922 section 2.
    """
    if queries.shape[1:] != keys.shape or keys.ndim != 3:
        raise ValueError(f"queries {queries.shape} with keys {keys.shape}: expected [K, b, n, D] and [b, n, D]")
    if other_times:
        queries, keys = queries.reshape(len(queries), -1, 1, keys.shape[2]), keys.reshape(-1, 1, keys.shape[2])
    sizes = set()

    def at_one_distance(queries: jax.Array, keys: jax.Array) -> tuple[jax.Array, ...]:
        out = cpc(queries, keys, **options)
        sizes.add(out.num_candidates)
        return out.loss, out.mi_lower_bound, out.accuracy

    at_one_time = jax.vmap(at_one_distance, in_axes=(0, None))
    by_time = jnp.moveaxis(queries, 2, 0), jnp.moveaxis(keys, 1, 0)
    found = lax.map(lambda both: at_one_time(*both), by_time) if one_by_one else jax.vmap(at_one_time)(*by_time)
    loss, bound, accuracy = (jnp.mean(values, axis=0) for values in found)
    return CPCOutput(loss, bound, sizes.pop(), accuracy)
