"""Networks that correct a closed form, cross-fitted: every score comes from a critic that never saw the pair."""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree
from jax.scipy.special import logsumexp

from mi_coding.critics import EllipticalRatio, PairCritic, elliptical_scores, separable
from mi_coding.estimate.folds import Folds, Matrices, Training
from mi_coding.objectives import bounds

ROUNDS_OF_BALANCE = 5
"""Rounds of scaling rows and columns in turn; the last moves the mean by less than 1e-3."""

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Of the first expert in the log density ratio; each fold chooses by its validation pairs."""

UNANCHORED = 0.1
"""Nats below the InfoNCE lower bound from which on the closed form is not used as a control variate."""

PATIENCE = 3
"""Rounds without a better validation loss, after which a fold is done."""


class Scored(NamedTuple):
    """Scores of the critics of all folds, nats.

    Attributes:
        test: float32[F, t], balanced log density ratio of pairs the critic never saw.
        seen: float32[F, t], of training pairs.
        bounds: float32[F] for every read-out of `READOUTS`, of the test pairs.
        curve: float32[F, rounds], InfoNCE of the validation pairs over training.
        null: float32[F, 1 + permutations], the mean score of test pairs as they are, and as each draw pairs them.
        shares: float32[F, E], how much each expert beside the networks counts.
    """

    test: jax.Array
    seen: jax.Array
    bounds: dict[str, jax.Array]
    curve: jax.Array
    null: jax.Array
    shares: jax.Array


class Progress(NamedTuple):
    """Of one fold's training: state, the best parameters so far and their loss, rounds since then and in all."""

    training: tuple
    best: dict
    least: jax.Array
    waited: jax.Array | int
    rounds: jax.Array | int
    curve: jax.Array


READOUTS = {
    "infonce": bounds.infonce,
    "donsker_varadhan": bounds.donsker_varadhan,
    "nwj": lambda scores: bounds.nwj(scores + 1),
    "smile": bounds.smile,
    "balanced": lambda scores: jnp.mean(balanced(scores)),
}
"""Read-outs of one score matrix, by name."""


def padded(array: np.ndarray, width: int) -> np.ndarray:
    """With columns of zeros up to a width; float32.

    >>> padded(np.ones((2, 3)), padded_width(20)).shape
    (2, 32)
    """
    return np.pad(array, ((0, 0), (0, width - array.shape[1]))).astype(np.float32)


def padded_width(width: int) -> int:
    """The next power of two, at least 16, so that few programs are compiled."""
    return max(16, 1 << (width - 1).bit_length())


def balanced(scores: jax.Array) -> jax.Array:
    """float[n]: the scores of the true pairs, once rows and columns are scaled until both have the mean that a density
    ratio has: E_y exp(score) = 1 for every x, and E_x exp(score) = 1 for every y.

    Any critic becomes a better one so, because the best satisfies both. The true pair counts among the n of its row: an
    x that hardly any other y resembles would without it be scaled up without limit. The mean of the result is an
    estimate: of an exact critic and 2,000 pairs it is 0.002 nats too low at 2.5 nats and 0.02 at 3.4, where without the
    true pairs it would be 0.03 and 0.1 too high.

    Source: the scaling is Sinkhorn's; the condition follows from p(x, y) having the margins p(x) and p(y).
    """
    n = len(scores)

    def rescale(_, scales):
        rows = math.log(n) - logsumexp(scores + scales[1], axis=1)
        columns = math.log(n) - logsumexp(scores + rows[:, None], axis=0)
        return rows, columns

    rows, columns = jax.lax.fori_loop(0, ROUNDS_OF_BALANCE, rescale, (jnp.zeros(n), jnp.zeros(n)))
    return jnp.diag(scores) + rows + columns


def pick_loss(scores: jax.Array) -> jax.Array:
    """Cross-entropy of picking the true y for each x and the true x for each y, the mean of both."""
    return math.log(len(scores)) - 0.5 * (bounds.infonce(scores) + bounds.infonce(scores.T))


class Expert(NamedTuple):
    """The closed form and the inputs of one critic of a fold; leading axes [F, 2] for F folds and two experts.

    Attributes:
        x: float32[n, e], features.
        y: float32[n, e].
        base_x: the closed form that it corrects, rows of x.
        base_y: rows of y.
        degrees: float32[], of freedom of the closed form.
        dim: float32[], dx + dy of the closed form.
    """

    x: jax.Array
    y: jax.Array
    base_x: EllipticalRatio
    base_y: EllipticalRatio
    degrees: jax.Array
    dim: jax.Array

    def base(self, rows: jax.Array) -> jax.Array:
        """float32[m, m]: scores of the closed form alone."""
        x, y = (jax.tree.map(lambda a: a[rows], b) for b in (self.base_x, self.base_y))
        return elliptical_scores(x, y, self.degrees, self.dim)


@partial(jax.jit, static_argnames="how", compiler_options={"xla_backend_optimization_level": 1})
def train_folds(
    key: jax.Array,
    experts: Expert,
    folds: Folds,
    orders: jax.Array,
    anchored: jax.Array,
    others: Matrices,
    draws: jax.Array,
    *,
    how: Training,
) -> Scored:
    """Trains two experts for each fold, all together, pools them, and scores what they did not see.

    Compiled without XLA's costlier optimisations: half the time, and on CPU not a slower program.

    Args:
        key: of the initial weights.
        experts: with leading axes [F, 2].
        folds: the rows.
        orders: int[rounds, steps, batch], see `make_orders`.
        anchored: bool[]: take the closed form as exact, and only what the networks add to it as a difference of
            balanced scores. exp(I) pairs are needed to see how rarely independent pairs look alike; where there are
            fewer, both balanced scores are too large by much the same, and their difference is not: a control variate.
        others: scores of experts that are no networks.
        draws: int[F, 1 + permutations, t], which test rows of y those of x are paired with; first as they are.
        how: sizes and lengths.
    """
    keys = jax.random.split(key, len(folds.train))
    fold = partial(_fold, orders=orders, anchored=anchored, how=how)
    return jax.vmap(fold)(keys, experts, folds, others, draws)


def compile_ahead(
    folds: Folds,
    orders: np.ndarray,
    draws: np.ndarray,
    *,
    rows: int,
    features: int,
    cross: int,
    num_others: int,
    how: Training,
) -> None:
    """Compiles `train_folds` for experts of these sizes, in any thread, so that its call finds the program ready.

    Args:
        folds, orders, draws, how: as for `train_folds`.
        rows: n.
        features: columns that each critic is shown, padded.
        cross: columns of the closed forms' rows, padded.
        num_others: experts that are no networks.
    """

    def floats(*shape):
        return jax.ShapeDtypeStruct((len(folds.train), 2, *shape), np.float32)

    shown, base = floats(rows, features), EllipticalRatio(floats(rows, cross), floats(rows), floats(rows))
    experts = Expert(shown, shown, base, base, floats(), floats())
    sizes = (part.shape[1] for part in (folds.valid, folds.test, folds.seen))
    shapes = [(len(folds.train), num_others, size, size) for size in sizes]
    others = Matrices(*(jax.ShapeDtypeStruct(shape, np.float32) for shape in shapes))
    train_folds.lower(jax.random.key(0), experts, folds, orders, np.bool_(False), others, draws, how=how).compile()


def _fold(
    key: jax.Array,
    experts: Expert,
    folds: Folds,
    others: Matrices,
    draws: jax.Array,
    *,
    orders: jax.Array,
    anchored: jax.Array,
    how: Training,
) -> Scored:
    critic = separable(width=how.width, depth=how.depth, rank=how.rank)
    train = partial(_train, critic=critic, folds=folds, orders=orders, learning_rate=how.learning_rate)
    params, curve = jax.vmap(train)(jax.random.split(key, 2), experts)

    def alone(expert, params, rows):
        return expert.base(rows)

    def corrected(expert, params, rows):
        return expert.base(rows) + critic.scores(params, expert.x[rows], expert.y[rows])

    def pooled(scores, share, rows):
        both = jax.vmap(lambda expert, params: scores(expert, params, rows))(experts, params)
        return share * both[0] + (1 - share) * both[1]

    def best_share(mixed):
        losses = jax.lax.map(lambda share: pick_loss(mixed(share)), jnp.asarray(SHARES))
        return jnp.asarray(SHARES)[jnp.argmin(losses)]

    share = best_share(lambda share: pooled(corrected, share, folds.valid))
    valid, shares = pooled(corrected, share, folds.valid), []
    for other in others.valid:  # one after the other, each beside all before it
        shares.append(best_share(lambda share, valid=valid, other=other: valid + share * (other - valid)))
        valid += shares[-1] * (other - valid)

    def mixed(scores, rows, matrices):
        found = pooled(scores, share, rows)
        for other, of_other in zip(matrices, shares, strict=True):
            found += of_other * (other - found)
        return found

    def read(rows, matrices):
        scores = mixed(corrected, rows, matrices)
        local = balanced(scores)

        def difference():
            closed = mixed(alone, rows, matrices)
            return jnp.diag(closed) + local - balanced(closed)

        return scores, local, jax.lax.cond(anchored, difference, lambda: local)

    scores, *test = read(folds.test, others.test)
    seen = read(folds.seen, others.seen)[1:]
    readouts = {name: readout(scores) for name, readout in READOUTS.items()}
    null = jax.lax.map(lambda draw: jnp.mean(scores[jnp.arange(len(draw)), draw]), draws)
    # Where the difference from the closed form falls below the InfoNCE lower bound, the closed form is too inaccurate
    # to serve as a control variate.
    holds = jnp.mean(test[1]) >= readouts["infonce"] - UNANCHORED
    test, seen = (jnp.where(holds, part[1], part[0]) for part in (test, seen))
    return Scored(test, seen, readouts, jnp.nanmax(curve, axis=0), null, jnp.array(shares, jnp.float32))


def _train(
    key: jax.Array, expert: Expert, *, critic: PairCritic, folds: Folds, orders: jax.Array, learning_rate: float
) -> tuple:
    """The parameters that were best on validation pairs, and float32[rounds] how good those of each round were."""
    rounds, per_round, _ = orders.shape
    schedule = optax.linear_schedule(0.0, learning_rate, per_round)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule, weight_decay=1e-3))

    def scores(flat, rows):
        return expert.base(rows) + critic.scores(unravel(flat), expert.x[rows], expert.y[rows])

    def step(carry, rows):
        params, state, average = carry
        gradient = jax.grad(lambda p: pick_loss(scores(p, rows)))(params)
        update, state = optimizer.update(gradient, state, params)
        params = optax.apply_updates(params, update)
        return (params, state, 0.98 * average + 0.02 * params), None

    def one_round(progress):
        training, _ = jax.lax.scan(step, progress.training, folds.train[orders[progress.rounds]])
        loss = pick_loss(scores(training[2], folds.valid))
        better = loss < progress.least
        return Progress(
            training,
            jnp.where(better, training[2], progress.best),
            jnp.minimum(loss, progress.least),
            jnp.where(better, 0, progress.waited + 1),
            progress.rounds + 1,
            progress.curve.at[progress.rounds].set(math.log(len(folds.valid)) - loss),
        )

    params, unravel = ravel_pytree(critic.init(key, expert.x.shape[1], expert.y.shape[1]))
    nothing = jnp.zeros_like(params)  # the closed form itself, which training has to beat
    begin = (params, optimizer.init(params), params)
    progress = Progress(begin, nothing, pick_loss(expert.base(folds.valid)), 0, 0, jnp.full(rounds, jnp.nan))
    progress = jax.lax.while_loop(lambda p: (p.waited < PATIENCE) & (p.rounds < rounds), one_round, progress)
    return unravel(progress.best), progress.curve
