"""Deep co-training: what the code of x retains should be informative about y and cost little memory."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from mi_coding.objectives.codes.continuous import DensityModel
from mi_coding.objectives.codes.encoded import over_devices
from mi_coding.objectives.codes.model import CodeModel

Model = CodeModel | DensityModel


class CoTrainingOutput(NamedTuple):
    """Values of one batch in nats; under a mapped axis those of the global batch.

    Attributes:
        objective: J = (1 − β) Ĥ(z_x) − Ĥ(z_x|z_y), to be maximised by the encoder and P_Φ. Ψ gets no gradient.
        entropy: Ĥ(z_x) under P_Ψ; at least the entropy.
        conditional_entropy: Ĥ(z_x|z_y) under P_Φ; at least the conditional entropy.
        mi: their difference, an estimate of I(z_x; z_y); a bound on neither side, since both terms are too large.
    """

    objective: jax.Array
    entropy: jax.Array
    conditional_entropy: jax.Array
    mi: jax.Array


class Models(NamedTuple):
    """The models of codes that entropies are estimated with: P_Ψ, which is given nothing, and P_Φ, given z′."""

    prior: Model
    conditional: Model


def cotraining(
    models: Models,
    params: tuple[Any, Any],
    codes: tuple[jax.Array, jax.Array],
    *,
    beta: float | jax.Array = 0.0,
    symmetric: bool = False,
    key: jax.Array | None = None,
    axis_name: str | None = None,
) -> CoTrainingOutput:
    """J = (1 − β) Ĥ(z_x) − Ĥ(z_x|z_y) of a batch of pairs, with the gradient that trains encoder and P_Φ.

    By the envelope theorem the gradient of Ĥ(z_x) = min_Ψ E −ln P_Ψ(z_x) takes the best Ψ as a constant; so Ψ gets no
    gradient here, and must be kept at its minimum by steps on `prior_loss`.

    >>> from mi_coding.objectives.codes import independent
    >>> models = Models(independent(1, 2), independent(1, 2, conditional=True))
    >>> params = [model.init(key) for model, key in zip(models, jax.random.split(jax.random.key(0)))]
    >>> sure = jnp.log(jnp.eye(2) * 0.98 + 0.01)[:, None]  # two pairs, whose codes agree
    >>> out = cotraining(models, params, (sure, sure))
    >>> print(f"J {out.objective:.3f} = H {out.entropy:.3f} - H given y {out.conditional_entropy:.3f} nats")
    J 0.360 = H 0.693 - H given y 0.333 nats

    Args:
        models: P_Ψ and P_Φ.
        params: Ψ and Φ, their parameters.
        codes: the output of the encoder for each x and each y: log_q float[b, M, K] of a discrete code, the mean
            float[b, D] of a continuous one.
        beta: β ≥ 0, what a nat of memory costs; may be a traced scalar.
        symmetric: average with the same for y given x.
        key: for random draws, the same on all devices; exact models need none.
        axis_name: the mapped axis over devices, or None for one device.
    Returns:
        A `CoTrainingOutput`.
    Raises:
        ValueError: for a β that is negative or not finite, codes of two shapes, or models in the wrong place.
    """
    (prior, conditional), (code_x, code_y) = models, codes
    if not isinstance(beta, jax.core.Tracer) and not 0 <= beta < math.inf:  # a traced β has no value yet
        raise ValueError(f"beta={beta}: a nat of memory costs at least 0 and a finite number of nats of information")
    if prior.conditional or not conditional.conditional:
        raise ValueError("expected a prior that is given nothing and a conditional model")
    if code_x.shape != code_y.shape:
        raise ValueError(f"codes of shapes {code_x.shape} and {code_y.shape}: expected one shape")
    prior_params, conditional_params = lax.stop_gradient(params[0]), params[1]
    rows, keys = rows_of(code_x, axis_name), _keys(key, 4)
    entropy = prior.cross_entropy(prior_params, code_x, None, keys[0], rows)
    conditional_entropy = conditional.cross_entropy(conditional_params, code_x, code_y, keys[1], rows)
    if symmetric:
        entropy = (entropy + prior.cross_entropy(prior_params, code_y, None, keys[2], rows)) / 2
        backwards = conditional.cross_entropy(conditional_params, code_y, code_x, keys[3], rows)
        conditional_entropy = (conditional_entropy + backwards) / 2
    entropy, conditional_entropy = (over_devices(value, axis_name) for value in (entropy, conditional_entropy))
    objective = (1 - beta) * entropy - conditional_entropy
    return CoTrainingOutput(objective, entropy, conditional_entropy, entropy - conditional_entropy)


def prior_loss(
    prior: Model,
    prior_params: Any,
    code: jax.Array,
    *,
    key: jax.Array | None = None,
    axis_name: str | None = None,
) -> jax.Array:
    """The loss of the inner minimisation over Ψ, in nats: the cross-entropy of a batch of codes, which get no gradient.

    Args: see `cotraining`.
    """
    (only,) = _keys(key, 1)
    rows = rows_of(code, axis_name)
    value = prior.cross_entropy(prior_params, lax.stop_gradient(code), None, only, rows, code_gradient=False)
    return over_devices(value, axis_name)


def rows_of(code: jax.Array, axis_name: str | None) -> jax.Array:
    """int32[b]: the positions of this device's rows in the global batch."""
    first = 0 if axis_name is None else lax.axis_index(axis_name) * len(code)
    return first + jnp.arange(len(code))


def _keys(key: jax.Array | None, count: int) -> Any:
    return [None] * count if key is None else jax.random.split(key, count)
