"""Networks that correct a closed form, cross-fitted: every score comes from a critic that never saw the pair."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree
from jax.scipy.special import logsumexp

from mi_coding.critics import EllipticalRatio, PairCritic, elliptical_scores, separable
from mi_coding.estimate.folds import Folds, Training
from mi_coding.objectives import bounds

ROUNDS_OF_BALANCE = 5
"""Rounds of scaling rows and columns in turn; the last moves the mean by less than 1e-3."""

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Candidate weights of the first expert in the log density ratio; each fold chooses by its validation pairs."""

UNANCHORED = 0.1
"""Nats below the InfoNCE lower bound beyond which the closed form is not used as a control variate."""

PATIENCE = 3
"""Rounds without a better validation loss after which the training of a fold stops."""

PyTree = Any
"""Parameters of a network."""


class Trained(NamedTuple):
    """Critics of F folds.

    Attributes:
        params: of two networks for each fold, leading axes [F, 2].
        share: float32[F], the weight of the first network.
        shares: float32[F, E], the weight of each expert that is not a network.
        curve: float32[F, rounds], InfoNCE of the validation pairs over training.
    """

    params: PyTree
    share: jax.Array
    shares: jax.Array
    curve: jax.Array


class Scored(NamedTuple):
    """Scores of the pairs of one block of each of F folds, nats.

    Attributes:
        local: float32[F, t], balanced log density ratio.
        difference: float32[F, t], the closed form plus what the networks add to it, a difference of balanced scores;
            equal to `local` where it was not requested.
        bounds: float32[F] for every read-out of `READOUTS`.
        null: float32[F, 1 + permutations], the mean score of the observed pairs, and of those of each draw.
    """

    local: jax.Array
    difference: jax.Array
    bounds: dict[str, jax.Array]
    null: jax.Array


class Progress(NamedTuple):
    """Progress of one fold: training state, the best parameters so far and their loss, rounds since then and in all."""

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
    """The array, padded with columns of zeros to a width; float32.

    >>> padded(np.ones((2, 3)), padded_width(20)).shape
    (2, 32)
    """
    return np.pad(array, ((0, 0), (0, width - array.shape[1]))).astype(np.float32)


def padded_width(width: int) -> int:
    """The next multiple of 16, so that few programs are compiled.

    >>> padded_width(3), padded_width(33)
    (16, 48)
    """
    return -(-width // 16) * 16


def balanced(scores: jax.Array) -> jax.Array:
    """float[n]: the scores of the true pairs after rows and columns are rescaled to the means that a density ratio has:
    E_y exp(score) = 1 for every x, and E_x exp(score) = 1 for every y.

    This improves any critic, because the optimal one satisfies both. The true pair counts among the n of its row:
    without it, an x that hardly any other y resembles would be scaled up without limit. The mean of the result is an
    estimate: for an exact critic and 2,000 pairs it is 0.002 nats too low at 2.5 nats and 0.02 at 3.4, whereas without
    the true pairs it would be 0.03 and 0.1 too high.

    Source: the scaling is Sinkhorn's; the condition follows from p(x, y) having the margins p(x) and p(y).
    """
    n = len(scores)

    def rescale(_, scales):
        rows = math.log(n) - logsumexp(scores + scales[1], axis=1)
        columns = math.log(n) - logsumexp(scores + rows[:, None], axis=0)
        return rows, columns

    rows, columns = jax.lax.fori_loop(0, ROUNDS_OF_BALANCE, rescale, (jnp.zeros(n), jnp.zeros(n)))
    return jnp.diag(scores) + rows + columns


@jax.custom_vjp
def pick_loss(scores: jax.Array) -> jax.Array:
    """Cross-entropy of picking the true y for each x and the true x for each y, the mean of both.

    >>> scores = jnp.array([[1.0, 0.0], [2.0, 3.0]])
    >>> print(f"{pick_loss(scores):.4f}, {math.log(2) - 0.5 * (bounds.infonce(scores) + bounds.infonce(scores.T)):.4f}")
    0.4971, 0.4971
    """
    return _pick_loss(scores)[0]


def _pick_loss(scores: jax.Array) -> tuple[jax.Array, tuple]:
    rows, columns = logsumexp(scores, axis=1), logsumexp(scores, axis=0)
    true = jnp.sum(jnp.where(jnp.eye(len(scores), dtype=bool), scores, 0), axis=1)
    return jnp.mean(0.5 * (rows + columns) - true), (scores, rows, columns)


def _pick_gradient(kept: tuple, of_loss: jax.Array) -> tuple[jax.Array]:
    """Half of the softmax of rows and half of that of columns, less the true pairs; XLA would differentiate the maximum
    and the diagonal by scattering."""
    scores, rows, columns = kept
    picked = 0.5 * (jnp.exp(scores - rows[:, None]) + jnp.exp(scores - columns))
    return (of_loss / len(scores) * (picked - jnp.eye(len(scores))),)


pick_loss.defvjp(_pick_loss, _pick_gradient)


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


QUICKLY = {"xla_backend_optimization_level": 1, "xla_llvm_disable_expensive_passes": True}
"""Without XLA's costlier optimisations programs compile in half the time and run as fast on CPU."""

_compiled = partial(jax.jit, static_argnames="how", compiler_options=QUICKLY)


def initial_params(rng: np.random.Generator, num_folds: int, features: int, how: Training) -> PyTree:
    """Initial weights of the two networks of each of F folds; NumPy arrays with leading axes [F, 2].

    NumPy draws them, as programs of random numbers would be a third of what is compiled.
    """
    drawn = [_critic(how).init(rng, features, features) for _ in range(2 * num_folds)]
    return jax.tree.map(lambda *parts: np.stack(parts).reshape(num_folds, 2, *parts[0].shape), *drawn)


@_compiled
def train_folds(
    initial: PyTree,
    experts: Expert,
    train: jax.Array,
    valid: jax.Array,
    orders: jax.Array,
    others: jax.Array,
    *,
    how: Training,
) -> Trained:
    """Trains two experts for each of F folds, all together, and chooses by validation pairs how they are pooled.

    Args:
        initial: see `initial_params`.
        experts: with leading axes [F, 2].
        train: int[F, m], rows.
        valid: int[F, v], rows.
        orders: int[rounds, steps, batch], see `make_orders`.
        others: float32[F, E, v, v], scores of the validation rows by experts that are not networks.
        how: sizes of the networks and length of training.
    """
    return jax.vmap(partial(_train_fold, orders=orders, how=how))(initial, experts, train, valid, others)


def _train_fold(initial: PyTree, experts: Expert, train, valid, others, *, orders: jax.Array, how: Training) -> Trained:
    fit = partial(_train, train=train, valid=valid, orders=orders, how=how)
    params, curve = jax.vmap(fit)(initial, experts)

    def best_share(mixed):
        losses = jax.lax.map(lambda share: pick_loss(mixed(share)), jnp.asarray(SHARES))
        return jnp.asarray(SHARES)[jnp.argmin(losses)]

    networks = jax.vmap(_corrected(how), (0, 0, None))(experts, params, valid)
    share = best_share(lambda share: _pooled(networks, share))
    scores, shares = _pooled(networks, share), []
    for other in others:  # one after the other, each pooled with all before it
        shares.append(best_share(lambda share, scores=scores, other=other: scores + share * (other - scores)))
        scores += shares[-1] * (other - scores)
    return Trained(params, share, jnp.array(shares, jnp.float32), jnp.nanmax(curve, axis=0))


@_compiled
def score_folds(
    trained: Trained,
    experts: Expert,
    rows: jax.Array,
    others: jax.Array,
    draws: jax.Array,
    anchored: jax.Array,
    is_test: jax.Array,
    *,
    how: Training,
) -> Scored:
    """Scores one block of rows of each of F folds.

    Args:
        trained: the critics.
        experts: as they were trained.
        rows: int[F, t].
        others: float32[F, E, t, t], scores of these rows by experts that are not networks.
        draws: int[F, 1 + permutations, t], which of these rows of y those of x are paired with; first as observed.
        anchored: bool[], whether to compute the difference: the closed form is taken as exact, and only what the
            networks add to it is a difference of balanced scores. exp(I) pairs are needed to see how rarely independent
            pairs look alike; with fewer, both balanced scores are too large by about the same amount, which cancels in
            their difference: a control variate.
        is_test: bool[], whether to compute read-outs and draws; else they are 0.
        how: as for `train_folds`.
    """
    fold = partial(_score_fold, anchored=anchored, is_test=is_test, how=how)
    return jax.vmap(fold)(trained, experts, rows, others, draws)


def _score_fold(trained: Trained, experts: Expert, rows, others, draws, *, anchored, is_test, how: Training) -> Scored:
    weights = jnp.stack([trained.share, 1 - trained.share])

    def mixed(score):
        def add(found, one):
            expert, params, weight = one
            return found + weight * score(expert, params, rows), None

        # One network after the other: the matrices of both would take twice the memory.
        found, _ = jax.lax.scan(add, jnp.zeros((len(rows), len(rows))), (experts, trained.params, weights))
        for other, of_other in zip(others, trained.shares, strict=True):
            found += of_other * (other - found)
        return found

    scores = mixed(_corrected(how))
    local = balanced(scores)

    def difference():
        closed = mixed(lambda expert, params, rows: expert.base(rows))
        return jnp.diag(closed) + local - balanced(closed)

    def read():
        readouts = {name: readout(scores) for name, readout in READOUTS.items()}
        return readouts, jax.lax.map(lambda draw: jnp.mean(scores[jnp.arange(len(draw)), draw]), draws)

    def nothing():
        return dict.fromkeys(READOUTS, jnp.float32(0)), jnp.zeros(len(draws))

    readouts, null = jax.lax.cond(is_test, read, nothing)
    return Scored(local, jax.lax.cond(anchored, difference, lambda: local), readouts, null)


def _corrected(how: Training) -> Callable[[Expert, PyTree, jax.Array], jax.Array]:
    """(expert, params, rows) → float32[m, m]: the closed form, corrected by the network."""
    critic = _critic(how)

    def scores(expert, params, rows):
        return expert.base(rows) + critic.scores(params, expert.x[rows], expert.y[rows])

    return scores


def _pooled(scores: jax.Array, share: jax.Array) -> jax.Array:
    return share * scores[0] + (1 - share) * scores[1]


def _critic(how: Training) -> PairCritic:
    return separable(width=how.width, depth=how.depth, rank=how.rank)


def compile_ahead(
    initial: PyTree,
    folds: Folds,
    orders: np.ndarray,
    draws: np.ndarray,
    *,
    num_folds: int,
    rows: int,
    features: int,
    cross: int,
    num_others: int,
    how: Training,
) -> None:
    """Compiles `train_folds` and `score_folds` for experts of these sizes, in any thread, so that their calls find the
    programs ready.

    Args:
        initial, folds, orders, draws, how: as in those calls.
        num_folds: F, the number of folds that are trained together.
        rows: n.
        features: input columns of each critic, padded.
        cross: columns of the closed forms' rows, padded.
        num_others: E, the number of experts that are not networks.
    """

    def floats(*shape):
        return jax.ShapeDtypeStruct((num_folds, *shape), np.float32)

    shown, base = floats(2, rows, features), EllipticalRatio(*(floats(2, rows, *more) for more in ((cross,), (), ())))
    experts = Expert(shown, shown, base, base, floats(2), floats(2))
    train, valid, test = (part[:num_folds] for part in (folds.train, folds.valid, folds.test[:, 0]))
    matrices = (floats(num_others, size, size) for size in (valid.shape[1], test.shape[1]))
    initial = jax.tree.map(lambda weights: weights[:num_folds], initial)
    training = train_folds.lower(initial, experts, train, valid, orders, next(matrices), how=how)
    training.compile()
    flag = np.bool_(False)
    score_folds.lower(training.out_info, experts, test, next(matrices), draws, flag, flag, how=how).compile()


def _train(
    initial: PyTree, expert: Expert, *, train: jax.Array, valid: jax.Array, orders: jax.Array, how: Training
) -> tuple[PyTree, jax.Array]:
    """The parameters with the lowest validation loss, and float32[rounds], InfoNCE of validation pairs by round."""
    rounds, per_round, _ = orders.shape
    schedule = optax.linear_schedule(0.0, how.learning_rate, per_round)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule, weight_decay=1e-3))

    def scores(flat, rows):
        return _corrected(how)(expert, unravel(flat), rows)

    def step(carry, rows):
        params, state, average = carry
        gradient = jax.grad(lambda p: pick_loss(scores(p, rows)))(params)
        update, state = optimizer.update(gradient, state, params)
        params = optax.apply_updates(params, update)
        return (params, state, 0.98 * average + 0.02 * params), None

    def one_round(progress):
        training, _ = jax.lax.scan(step, progress.training, train[orders[progress.rounds]])
        loss = pick_loss(scores(training[2], valid))
        better = loss < progress.least
        return Progress(
            training,
            jnp.where(better, training[2], progress.best),
            jnp.minimum(loss, progress.least),
            jnp.where(better, 0, progress.waited + 1),
            progress.rounds + 1,
            progress.curve.at[progress.rounds].set(math.log(len(valid)) - loss),
        )

    params, unravel = ravel_pytree(initial)
    nothing = jnp.zeros_like(params)  # the closed form itself, which training has to beat
    begin = (params, optimizer.init(params), params)
    progress = Progress(begin, nothing, pick_loss(expert.base(valid)), 0, 0, jnp.full(rounds, jnp.nan))
    progress = jax.lax.while_loop(lambda p: (p.waited < PATIENCE) & (p.rounds < rounds), one_round, progress)
    return unravel(progress.best), progress.curve
