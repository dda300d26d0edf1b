"""Deep co-training: one encoder, and several codes on it, each with a prior and a conditional model.

Several codes are several starts in one run: the one that does best on held-out pairs is kept, and the encoder learns
from all. Ψ, the parameters of the priors, is not updated by the optimiser of the parameters: it is the argmin of an
inner problem, kept in the stats, and is solved for anew in every step before the encoder sees it. An encoder runs away
from a prior that lags behind: codes that move together look like codes that agree, until all have become one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from mi_coding import stored_codes
from mi_coding.encoders import Backbone, Encoder, HeadOptions, build
from mi_coding.errors import InputError, Setting
from mi_coding.methods.base import Encoded, Method, OutputCodes, Variables, with_own_rate
from mi_coding.methods.chunks import check_microbatch, encode_in_chunks, jointly
from mi_coding.methods.two_halves import check_two_halves
from mi_coding.objectives import codes
from mi_coding.objectives.codes import CodeModel
from mi_coding.objectives.cotraining import Models, cotraining, prior_loss, rows_of
from mi_coding.objectives.gradient import mean_gradient
from mi_coding.options import Each, NotNegative, NotNegativeInt, OneOf, Positive, PositiveInt, Range, group, option
from mi_coding.pairs import PairSampler

KEPT = 0.98
"""Decay of the moving average of the models per step: models that are refitted to one batch are noisy."""

_LEARNT_BY_STEPS = ("autoregressive",)
"""Priors whose hidden units no closed form fits to a batch."""

_LAST_PRIOR_RATE = 0.1
"""Last learning rate of Ψ as a share of its first: the encoder's decays to zero, Ψ's only until its noise is small."""


@dataclass(frozen=True)
class CodeOptions:
    """The discrete codes and their models: R codes of M symbols, each with one of K values."""

    num_symbols: PositiveInt = option("code.num_symbols", 1, "M, symbols per code")
    num_values: PositiveInt = option("code.num_values", 10, "K, values per symbol")
    num_heads: PositiveInt = option("code.num_heads", 6, "R, codes on one encoder; held-out pairs choose one")
    spread: NotNegative = option("code.spread", 0.0, "standard deviation of every logit over a batch; 0 leaves it free")
    samples: PositiveInt = option("code.samples", 1, "autoregressive: codes drawn for each example")
    prior: str = option("code.prior", "independent", "P(z), which sets the cost of memory: a key of CODE_MODELS")
    prior_order: NotNegativeInt = option("code.prior_order", 1, "markov: preceding symbols that a symbol depends on")
    prior_hidden: NotNegativeInt = option("code.prior_hidden", 0, "autoregressive: hidden units; 0 for logistic")
    conditional: str = option("code.conditional", "independent", "P(z|z'), given the code of the other half")
    conditional_order: NotNegativeInt = option("code.conditional_order", 1, "markov: as prior_order")
    conditional_hidden: NotNegativeInt = option("code.conditional_hidden", 0, "autoregressive: as prior_hidden")

    def __post_init__(self) -> None:
        for role in ("prior", "conditional"):
            if complaint := OneOf(CODE_MODELS).complaint(getattr(self, role)):
                raise InputError(Setting(f"code.{role}", getattr(self, role)), complaint)
            try:
                self.model(role)
            except ValueError as error:
                raise InputError(Setting("code"), f", {role}: {' '.join(str(error).split())}") from None

    def model(self, role: str) -> CodeModel:
        """The "prior" or the "conditional" model of one code.

        Raises:
            ValueError: for invalid codes, orders or networks.
        """
        make = CODE_MODELS[getattr(self, role)](self, role)
        return make(self.num_symbols, self.num_values, conditional=role == "conditional")


CODE_MODELS: dict[str, Callable[[CodeOptions, str], Callable[..., CodeModel]]] = {
    "independent": lambda code, role: codes.independent,
    "markov": lambda code, role: partial(codes.markov, order=getattr(code, f"{role}_order")),
    "autoregressive": lambda code, role: partial(
        codes.autoregressive, hidden=getattr(code, f"{role}_hidden"), samples=code.samples
    ),
}
"""Names of `config.code.prior` and `config.code.conditional`."""


@dataclass(frozen=True, eq=False)
class CoTraining(Method):
    """config.objective.name = "cotraining": (1 − β) H(z_x) − H(z_x|z_y) is maximised.

    Params are {"encoder", "conditional"}; stats are {"encoder", "models"}, the latter with Ψ, the state of its
    optimiser, and the moving average of all models, which evaluations use.
    """

    head: HeadOptions = group(HeadOptions)
    code: CodeOptions = group(CodeOptions)
    beta: NotNegative = option("objective.beta", 0.0, "β, what a nat of memory costs in nats of information")
    own_betas: Annotated[tuple, Each(float, Range(least=0), "(0.0, 0.5)", empty=True)] = option(
        "objective.betas", (), "a separate β for each of the R codes, taken in turn; () for beta"
    )
    balance: NotNegative = option(
        "objective.balance", 1.0, "weight of H(z_x) beyond 1 − β at the start; falls to 0 by half of the run"
    )
    symmetric: bool = option("objective.symmetric", True, "also code y given x")
    refit: bool = option("optimizer.refit", True, "refit P(z) to each batch, and P(z|z') where that has a closed form")
    prior_steps: NotNegativeInt = option(
        "optimizer.prior_steps", 0, "Adam steps on an autoregressive prior per step of the encoder"
    )
    prior_learning_rate: Positive = option("optimizer.prior_learning_rate", 1e-2, "rate of these; decays to a tenth")
    conditional_learning_rate: Positive = option(
        "optimizer.conditional_learning_rate", 2e-2, "rate of Adam for the rest of an autoregressive P(z|z')"
    )
    microbatch_size: NotNegativeInt = option(
        "microbatch_size", 0, "pairs that a device encodes at a time; the loss stays that of all; 0 for all at once"
    )

    evaluations = ("discrete",)

    def check(self, pairs: PairSampler, encoder: Backbone, batch_size: int, num_devices: int) -> None:
        check_two_halves(self, pairs)
        check_microbatch(self.microbatch_size, batch_size, num_devices)
        if pairs.takes_given_pairs or pairs.takes_films:
            what = f" is not for objective {self.name!r}, whose halves come from one image"
            raise InputError(Setting("pairs.name", pairs.name), what, "; expected frames or augmentations")
        if self.code.prior in _LEARNT_BY_STEPS and self.code.prior_hidden and not self.prior_steps:
            hidden = Setting("code.prior_hidden", self.code.prior_hidden)
            raise InputError(hidden, " is learnt by Adam; expected more than ", Setting("optimizer.prior_steps", 0))
        if len(self.own_betas) > self.code.num_heads:
            many = f" has {len(self.own_betas)} prices for {self.code.num_heads} codes; expected one each: raise "
            raise InputError(Setting("objective.betas", self.own_betas), many, Setting("code.num_heads"))

    @property
    def codes_are_chosen(self) -> bool:
        return self.code.num_heads > 1

    @property
    def betas(self) -> tuple[float, ...]:
        """β of each of the R codes."""
        given = self.own_betas or (self.beta,)
        return tuple(float(given[head % len(given)]) for head in range(self.code.num_heads))

    @cached_property
    def prior(self) -> CodeModel:
        """P_Ψ(z) of one code."""
        return self.code.model("prior")

    @cached_property
    def conditional(self) -> CodeModel:
        """P_Φ(z|z′) of one code."""
        return self.code.model("conditional")

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder; its output is the logits of all codes, concatenated."""
        code = self.code
        code_dim = code.num_heads * code.num_symbols * code.num_values
        return build(self.parts.encoder, self.head.build(code_dim, spread=code.spread, group=code.num_values))

    @cached_property
    def inner_optimizer(self) -> optax.GradientTransformation:
        """The optimiser of Ψ, for what `refit` leaves to be learnt."""
        steps = max(1, self.parts.num_steps * self.prior_steps)
        return optax.adam(optax.cosine_decay_schedule(self.prior_learning_rate, steps, alpha=_LAST_PRIOR_RATE))

    def optimizer(self, base: optax.GradientTransformation) -> optax.GradientTransformation:
        rate = optax.cosine_decay_schedule(self.conditional_learning_rate, self.parts.num_steps)
        return with_own_rate(base, "conditional", rate)

    def init(self, key: jax.Array, x: jax.Array, y: jax.Array) -> Variables:
        del y  # the same encoder and the same shapes
        encoder_key, prior_key, conditional_key = jax.random.split(key, 3)
        params, stats = self.encoder.init(encoder_key, x)
        psi = jax.vmap(self.prior.init)(jax.random.split(prior_key, self.code.num_heads))
        phi = jax.vmap(self.conditional.init)(jax.random.split(conditional_key, self.code.num_heads))
        models = {"psi": psi, "optimizer": self.inner_optimizer.init(psi), "average": (psi, phi), "step": jnp.int32(0)}
        return {"encoder": params, "conditional": phi}, {"encoder": stats, "models": models}

    def loss(self, params: Any, stats: Any, key: jax.Array, x: jax.Array, y: jax.Array, axis_name: str | None) -> Any:
        encode = encode_in_chunks(jointly(partial(self._logits, axis_name=axis_name)), self.microbatch_size)
        z_x, z_y, encoder_stats = encode(self.encoder_shares(params, axis_name), stats["encoder"], x, y)
        log_q = self._log_probabilities(z_x), self._log_probabilities(z_y)
        inner_key, outer_key = jax.random.split(key)
        models, step = stats["models"], stats["models"]["step"]
        psi, optimizer_state = self._solve(models, inner_key, jax.lax.stop_gradient(self._coded(*log_q)), axis_name)
        phi = self._refitted_conditional(params["conditional"], log_q, axis_name)
        out = self._objectives(psi, phi, log_q, outer_key, step, axis_name)
        metrics = {
            "loss": -jnp.mean(out.objective),
            "entropy_nats": jnp.mean(out.entropy),
            "conditional_entropy_nats": jnp.mean(out.conditional_entropy),
            "mi_nats": jnp.mean(out.mi),
            "best_mi_nats": jnp.max(out.mi),
        }
        average = self._moved_average(models["average"], *jax.lax.stop_gradient((psi, phi)), step)
        models = {"psi": psi, "optimizer": optimizer_state, "average": average, "step": step + 1}
        return metrics["loss"], (metrics, {"encoder": encoder_stats, "models": models})

    def encode(self, params: Any, stats: Any, x: jax.Array, *, half: str = "x") -> Encoded:
        """Features, and as codes the probability of each value of each symbol, code by code."""
        features, logits = self.encoder.apply(params["encoder"], stats["encoder"], x, False)[0]
        probabilities = jnp.exp(jnp.moveaxis(self._log_probabilities(logits), 0, 1))
        return Encoded(features, probabilities.reshape(x.shape[0], -1))

    def encoder_variables(self, variables: Variables) -> Variables:
        params, stats = variables
        return params["encoder"], stats["encoder"]

    def with_encoder(self, variables: Variables, encoder: Variables) -> Variables:
        params, stats = variables
        return params | {"encoder": encoder[0]}, stats | {"encoder": encoder[1]}

    @cached_property
    def log_q(self) -> Callable[[Any, Any, jax.Array], jax.Array]:
        """(params, stats, x) → float32[R, b, M, K]: log-probabilities of every symbol of every code; compiled."""

        def log_q(params: Any, stats: Any, x: jax.Array) -> jax.Array:
            _, logits = self.encoder.apply(params["encoder"], stats["encoder"], x, False)[0]
            return self._log_probabilities(logits)

        return jax.jit(log_q)

    def models_of(self, stats: Any, head: int) -> tuple[Any, Any]:
        """Ψ and Φ, the averaged parameters of the prior and the conditional model of one of the R codes."""
        return jax.tree.map(lambda leaf: leaf[head], stats["models"]["average"])

    def output_codes(self, variables: Variables, summary: dict[str, Any] | None) -> OutputCodes:
        """The code that was chosen on held-out pairs, as recorded in the summary of a finished run.

        Raises:
            InputError: for an unfinished run of several codes, none of which is chosen yet.
        """
        code = self.code
        if self.codes_are_chosen and summary is None:
            raise InputError(
                f"the run is not finished, and none of its {code.num_heads} codes is chosen yet; continue it by the "
                "command that began it"
            )
        head = summary["code/head"] if self.codes_are_chosen else 0
        psi, _ = self.models_of(variables[1], head)

        def pack(probabilities: np.ndarray) -> np.ndarray:
            z = probabilities.reshape(len(probabilities), code.num_symbols, code.num_values).argmax(-1)
            return stored_codes.pack(z, code.num_values)

        return OutputCodes(
            lambda params, stats, x: jnp.exp(self.log_q(params, stats, x)[head]).reshape(x.shape[0], -1),
            pack,
            f"{code.num_symbols:,} symbol{'s' * (code.num_symbols > 1)} with {code.num_values} values, in packed bits",
            (self.prior, psi),
        )

    def forecast(self) -> str:
        code = self.code
        most = code.num_symbols * np.log(code.num_values)
        what = f"{code.num_heads} code{'s' * (code.num_heads > 1)} of {code.num_symbols} × {code.num_values} values"
        return f"{what}, at most {most:.2f} nats"

    def _logits(self, params: Any, stats: Any, x: jax.Array, axis_name: str | None = None) -> tuple[jax.Array, Any]:
        (_, z), stats = self.encoder.apply(params, stats, x, True, axis_name)
        return z, stats

    def _log_probabilities(self, logits: jax.Array) -> jax.Array:
        """float[R, b, M, K] of the encoder's codes float[b, R·M·K]."""
        shape = (self.code.num_heads, self.code.num_symbols, self.code.num_values)
        return jnp.moveaxis(jax.nn.log_softmax(logits.reshape(-1, *shape)), 0, 1)

    def _coded(self, log_q_x: jax.Array, log_q_y: jax.Array) -> list[jax.Array]:
        """The halves that are coded."""
        return [log_q_x, log_q_y][: 1 + self.symmetric]

    def _solve(self, models: Any, key: jax.Array, coded: list[jax.Array], axis_name: str | None) -> tuple[Any, Any]:
        """Ψ, after some steps towards its optimum for this batch, and the state of their optimiser."""
        psi, optimizer_state = models["psi"], models["optimizer"]
        refit_key, key = jax.random.split(key)
        if self.refit:
            own = rows_of(coded[0][0], axis_name)
            rows = jnp.concatenate([len(coded) * own + half for half in range(len(coded))])
            refit = lambda psi, code, k: self.prior.refit(psi, code, None, axis_name, k, rows)  # noqa: E731
            keys = jax.random.split(refit_key, self.code.num_heads)
            psi = jax.vmap(refit)(psi, jnp.concatenate(coded, axis=1), keys)

        def total(psi: Any, k: jax.Array) -> tuple[jax.Array, None]:
            each = jax.vmap(partial(prior_loss, self.prior, axis_name=axis_name))
            keys = jax.random.split(k, (len(coded), self.code.num_heads))
            halves = (jnp.sum(each(psi, half, key=own)) for half, own in zip(coded, keys, strict=True))
            return sum(halves) / len(coded), None

        gradient = mean_gradient(total, axis_name) if axis_name else jax.value_and_grad(total, has_aux=True)
        for k in jax.random.split(key, self.prior_steps):
            updates, optimizer_state = self.inner_optimizer.update(gradient(psi, k)[1], optimizer_state, psi)
            psi = optax.apply_updates(psi, updates)
        return psi, optimizer_state

    def _refitted_conditional(self, phi: Any, log_q: tuple[jax.Array, jax.Array], axis_name: str | None) -> Any:
        if not self.refit:
            return phi
        both = jnp.concatenate(jax.lax.stop_gradient(self._coded(*log_q)), axis=1)
        others = jnp.concatenate(self._coded(*reversed(log_q)), axis=1)
        return jax.vmap(partial(self.conditional.refit, axis_name=axis_name))(phi, both, others)

    def _objectives(
        self, psi: Any, phi: Any, log_q: tuple[jax.Array, jax.Array], key: jax.Array, step: jax.Array, axis_name: Any
    ) -> Any:
        """`CoTrainingOutput` of each code, float32[R]."""

        def one_code(psi: Any, phi: Any, code_x: jax.Array, code_y: jax.Array, k: jax.Array, beta: jax.Array) -> Any:
            how = {"beta": beta, "symmetric": self.symmetric, "key": k, "axis_name": axis_name}
            return cotraining(Models(self.prior, self.conditional), (psi, phi), (code_x, code_y), **how)

        betas = jnp.asarray(self.betas)
        balance = optax.linear_schedule(self.balance, 0.0, max(1, self.parts.num_steps // 2))(step)
        # Every value of a symbol stays in use until it has found what it stands for: one given up early is lost.
        prices = betas - balance * (betas < 1)
        return jax.vmap(one_code)(psi, phi, *log_q, jax.random.split(key, self.code.num_heads), prices)

    def _moved_average(self, average: tuple[Any, Any], psi: Any, phi: Any, step: jax.Array) -> tuple[Any, Any]:
        kept = jnp.minimum(KEPT, (1 + step) / (10 + step))  # early steps keep less of the initial models
        return self.prior.blend(average[0], psi, kept), self.conditional.blend(average[1], phi, kept)
