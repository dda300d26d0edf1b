"""Deep co-training as an `Experiment`: one encoder, and several codes on it, each with a prior and a conditional model.

Several codes are several starts in one run: the one that held-out pairs like best is kept, and the encoder learns from
all. Ψ, the parameters of the priors, is not what the optimiser of the parameters moves: it is the argmin of an inner
problem, kept in the stats, and is solved anew in every step before the encoder sees it. An encoder runs away from a
prior that follows too slowly: codes that move together look like codes that agree, until all are one.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from mi_coding.encoders import Encoder
from mi_coding.objectives.codes import CodeModel
from mi_coding.objectives.cotraining import check_beta, cotraining, prior_loss, rows_of
from mi_coding.training.contrastive import encode_in_chunks, jointly
from mi_coding.training.devices import mean_gradient
from mi_coding.training.experiment import Codes, DiscreteCodes, Experiment

KEPT = 0.98
"""Share of the models that are taken away which a step keeps: what is refitted to one batch is noisy."""


class Inner(NamedTuple):
    """The inner minimisation over Ψ in each step of the encoder.

    Attributes:
        refit: whether what is soon found is first set to its best for the batch, see `CodeModel.refit`; of P_Φ too.
        optimizer: of the rest of Ψ; that of Φ moves with the encoder.
        steps: that it takes. A table has no rest; with neither refit nor steps Ψ is frozen.
    """

    refit: bool
    optimizer: optax.GradientTransformation
    steps: int


def cotraining_experiment(
    encoder: Encoder,
    prior: CodeModel,
    conditional: CodeModel,
    inner: Inner,
    *,
    betas: Sequence[float],
    balance: optax.Schedule,
    symmetric: bool,
    sample_pairs: Callable,
    optimizer: optax.GradientTransformation,
    batch_size: int,
    microbatch_size: int | None = None,
    average_decay: float = 0.0,
) -> tuple[Experiment, Codes]:
    """Joins the parts of a co-training experiment.

    Args:
        encoder: its code float[b, R·M·K] is taken for the logits of R codes of M symbols with K values.
        prior, conditional: the models of one code; each of the R codes has parameters of its own.
        inner: how Ψ keeps up.
        betas: β of each of the R codes, what a nat of memory costs.
        balance: step → by how much more than 1 − β a nat of Ĥ(z_x) counts, to begin with, where β < 1: it keeps every
            value of a symbol in use until it has found what it stands for. One that is given up early is lost for good.
        symmetric: also code y given x.
        sample_pairs, optimizer, batch_size, average_decay: see `Experiment`.
        microbatch_size: see `contrastive`.
    Returns:
        What the loop trains, and what evaluation reads from the parameters it leaves.
    Raises:
        ValueError: for a β that is none.
    """
    for beta in betas:
        check_beta(beta)
    num_heads = len(betas)
    shape = (num_heads, prior.num_symbols, prior.num_values)

    def init(key: jax.Array, x: jax.Array, y: jax.Array) -> tuple[Any, Any]:
        del y  # the same encoder and the same shapes
        encoder_key, prior_key, conditional_key = jax.random.split(key, 3)
        params, stats = encoder.init(encoder_key, x)
        psi = jax.vmap(prior.init)(jax.random.split(prior_key, num_heads))
        phi = jax.vmap(conditional.init)(jax.random.split(conditional_key, num_heads))
        models = {"psi": psi, "optimizer": inner.optimizer.init(psi), "average": (psi, phi), "step": jnp.int32(0)}
        return {"encoder": params, "conditional": phi}, {"encoder": stats, "models": models}

    def loss(params: Any, stats: Any, key: jax.Array, x: jax.Array, y: jax.Array, axis_name: str | None):
        encode = encode_in_chunks(jointly(partial(logits, axis_name=axis_name)), microbatch_size)
        z_x, z_y, encoder_stats = encode(params["encoder"], stats["encoder"], x, y)
        log_q_x, log_q_y = (_log_q(z, shape) for z in (z_x, z_y))
        coded = jax.lax.stop_gradient([log_q_x, log_q_y][: 1 + symmetric])
        inner_key, outer_key = jax.random.split(key)
        psi, optimizer_state = solve(stats["models"], inner_key, coded, axis_name)
        phi = params["conditional"]
        if inner.refit:
            both, others = jnp.concatenate(coded, axis=1), jnp.concatenate([log_q_y, log_q_x][: 1 + symmetric], axis=1)
            phi = jax.vmap(partial(conditional.refit, axis_name=axis_name))(phi, both, others)

        def one_code(psi: Any, phi: Any, code_x: jax.Array, code_y: jax.Array, k: jax.Array, beta: jax.Array):
            how = {"beta": beta, "symmetric": symmetric, "key": k, "axis_name": axis_name}
            return cotraining(prior, conditional, psi, phi, code_x, code_y, **how)

        keys = jax.random.split(outer_key, num_heads)
        step = stats["models"]["step"]
        prices = jnp.asarray(betas) - balance(step) * (jnp.asarray(betas) < 1)
        out = jax.vmap(one_code)(psi, phi, log_q_x, log_q_y, keys, prices)
        metrics = {
            "loss": -jnp.mean(out.objective),
            "entropy_nats": jnp.mean(out.entropy),
            "conditional_entropy_nats": jnp.mean(out.conditional_entropy),
            "mi_nats": jnp.mean(out.mi),
            "best_mi_nats": jnp.max(out.mi),
        }
        average = taken_away(stats["models"]["average"], *jax.lax.stop_gradient((psi, phi)), step)
        models = {"psi": psi, "optimizer": optimizer_state, "average": average, "step": step + 1}
        return metrics["loss"], (metrics, {"encoder": encoder_stats, "models": models})

    def logits(params: Any, stats: Any, x: jax.Array, axis_name: str | None = None) -> tuple[jax.Array, Any]:
        (_, z), stats = encoder.apply(params, stats, x, True, axis_name)
        return z, stats

    def solve(models: Any, key: jax.Array, coded: list[jax.Array], axis_name: str | None) -> tuple[Any, Any]:
        """Ψ, after some steps towards the one that codes this batch best, and the state of their optimiser."""
        psi, optimizer_state = models["psi"], models["optimizer"]
        refit_key, key = jax.random.split(key)
        if inner.refit:
            own = rows_of(coded[0][0], axis_name)
            rows = jnp.concatenate([len(coded) * own + half for half in range(len(coded))])
            refit = lambda psi, code, k: prior.refit(psi, code, None, axis_name, k, rows)  # noqa: E731
            keys = jax.random.split(refit_key, num_heads)
            psi = jax.vmap(refit)(psi, jnp.concatenate(coded, axis=1), keys)

        def total(psi: Any, k: jax.Array) -> tuple[jax.Array, None]:
            one = lambda psi, code, k: prior_loss(prior, psi, code, key=k, axis_name=axis_name)  # noqa: E731
            keys = jax.random.split(k, (len(coded), num_heads))
            halves = (jnp.sum(jax.vmap(one)(psi, *half)) for half in zip(coded, keys, strict=True))
            return sum(halves) / len(coded), None

        gradient = mean_gradient(total, axis_name) if axis_name else jax.value_and_grad(total, has_aux=True)
        for k in jax.random.split(key, inner.steps):
            updates, optimizer_state = inner.optimizer.update(gradient(psi, k)[1], optimizer_state, psi)
            psi = optax.apply_updates(psi, updates)
        return psi, optimizer_state

    def taken_away(average: tuple[Any, Any], psi: Any, phi: Any, step: jax.Array) -> tuple[Any, Any]:
        kept = jnp.minimum(KEPT, (1 + step) / (10 + step))  # less of where they began
        return prior.blend(average[0], psi, kept), conditional.blend(average[1], phi, kept)

    def apply(params: Any, stats: Any, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        return encoder.apply(params["encoder"], stats["encoder"], x, False)[0]

    def log_q(params: Any, stats: Any, x: jax.Array) -> jax.Array:
        return _log_q(apply(params, stats, x)[1], shape)

    def probabilities(params: Any, stats: Any, x: jax.Array) -> jax.Array:
        return jnp.exp(jnp.moveaxis(log_q(params, stats, x), 0, 1)).reshape(len(x), -1)

    return Experiment(sample_pairs, init, loss, optimizer, batch_size, lambda spmd: None, average_decay), Codes(
        features=lambda params, stats, x: apply(params, stats, x)[0],
        codes=probabilities,
        train_codes=lambda params, stats, x: logits(params["encoder"], stats["encoder"], x)[0],
        pairs=lambda params, stats, x, y: (probabilities(params, stats, x), probabilities(params, stats, y)),
        contrast=None,
        discrete=DiscreteCodes(
            prior,
            conditional,
            tuple(betas),
            jax.jit(log_q),
            models=lambda stats: stats["models"]["average"],
        ),
    )


def _log_q(logits: jax.Array, shape: tuple[int, int, int]) -> jax.Array:
    """float[R, b, M, K]: log-probabilities of every symbol of every code."""
    return jnp.moveaxis(jax.nn.log_softmax(logits.reshape(-1, *shape)), 0, 1)
