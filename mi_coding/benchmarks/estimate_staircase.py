"""Read-outs of batches of fresh pairs from the staircase: with the ideal critic, and with one trained on a stream."""

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy.special import logsumexp

from mi_coding.critics import separable
from mi_coding.estimate.crossfit import pick_loss
from mi_coding.objectives import bounds
from mi_coding.pairs.populations import Population, staircase

STAIRS = (2.0, 4.0, 6.0, 8.0, 10.0)
"""Nats of the staircase in 20 dimensions."""

STREAMED_STEPS, STREAMED_BATCH, SCORED_BATCHES = 2000, 128, 400


def stairs(*, steps: int, batches: int, report: Callable[[list[dict]], None]) -> list[dict]:
    """Bias and deviation in nats of every read-out of a batch of 128 pairs, for each stair and critic.

    Args:
        steps: of the network's training.
        batches: how many are read out.
        report: called with all rows so far after each stair.
    """
    rows = []
    for nats in STAIRS:
        law, dim = staircase(nats), 20
        network = separable(width=256, depth=2, rank=32)
        params = _stream(network, law, dim, steps)
        critics = {"ideal": partial(_ideal, nats, dim), "network": _normalized(partial(network.scores, params), law)}
        for name, scores in critics.items():
            for readout, values in _readouts(scores, law, batches).items():
                errors = {"bias": float(values.mean()) - nats, "deviation": float(values.std())}
                rows.append({"nats": nats, "critic": name, "readout": readout} | errors)
        report(rows)
    return rows


def _ideal(nats: float, dim: int, x: jax.Array, y: jax.Array) -> jax.Array:
    """ln p(y|x)/p(y) of the staircase."""
    square = -math.expm1(-2 * nats / dim)
    rho = math.sqrt(square)
    cross = 2 * rho * x @ y.T - square * (jnp.sum(x**2, 1)[:, None] + jnp.sum(y**2, 1))
    return 0.5 * cross / (1 - square) + nats


def _stream(network, law: Population, dim: int, steps: int):
    """A network that saw every pair once. Picking x for y and y for x, it learns ln p(y|x)/p(y) up to a constant."""
    optimizer = optax.adam(optax.cosine_decay_schedule(1e-3, steps))
    params = network.init(jax.random.key(0), dim, dim)

    def step(carry, key):
        params, state = carry
        loss = lambda p: pick_loss(network.scores(p, *law.sample(key, STREAMED_BATCH)))  # noqa: E731
        update, state = optimizer.update(jax.grad(loss)(params), state)
        return (optax.apply_updates(params, update), state), None

    run = jax.jit(lambda carry, keys: jax.lax.scan(step, carry, keys)[0][0])
    return run((params, optimizer.init(params)), jax.random.split(jax.random.key(1), steps))


def _normalized(scores: Callable, law: Population) -> Callable:
    """The critic minus its constant, which picking cannot learn and all read-outs but InfoNCE and DV need: the one that
    brings the mean of exp(score) over independent pairs to 1, on pairs of the stream that are not read out."""

    def log_mean_exp(key):
        matrix = scores(*law.sample(key, STREAMED_BATCH))
        return jnp.mean(jnp.diag(matrix)) - bounds.donsker_varadhan(matrix)

    found = jax.jit(partial(jax.lax.map, log_mean_exp))(jax.random.split(jax.random.key(3), SCORED_BATCHES))
    constant = logsumexp(found) - math.log(SCORED_BATCHES)
    return lambda x, y: scores(x, y) - constant


def _readouts(scores: Callable, law: Population, batches: int) -> dict[str, np.ndarray]:
    def one(key):
        matrix = scores(*law.sample(key, STREAMED_BATCH))
        return {
            "InfoNCE": bounds.infonce(matrix),
            "NWJ": bounds.nwj(matrix + 1),
            "Donsker–Varadhan": bounds.donsker_varadhan(matrix),
            "SMILE": bounds.smile(matrix),
            "interpolated 0.01": bounds.interpolated(matrix, jnp.zeros(STREAMED_BATCH), alpha=0.01),
        }

    found = jax.jit(partial(jax.lax.map, one))(jax.random.split(jax.random.key(2), batches))
    return {name: np.asarray(values, np.float64) for name, values in found.items()}
