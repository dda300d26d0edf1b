"""What the discrete codes of a run are worth, on examples that training never saw; the sections of their report."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mi_coding import data, pairs, stored_codes
from mi_coding.data import Split
from mi_coding.evaluation import discrete, suite
from mi_coding.objectives.codes import sample_codes
from mi_coding.reporting import sections
from mi_coding.reporting.metrics import MetricsWriter, read_metrics
from mi_coding.reporting.page import Section
from mi_coding.runs import Run
from mi_coding.training.step import TrainState

NUM_VALIDATED, NUM_LAG = 2048, 2048
"""Pairs of a held-out figure during training, at most `config.evaluation.num_pairs`; training examples that the lag of
the prior is taken from."""

MOST_QUERIES = 10_000
"""Test examples that codes are compared with labels on."""

GRID_ROWS, GRID_COLUMNS = 16, 12
"""Of the picture grid by code."""

Variables = tuple[Any, Any]


class Head(NamedTuple):
    """One of the R codes of a run: its number, the price β it was trained at, and what held-out pairs say of it."""

    number: int
    beta: float
    found: discrete.CodeInformation

    def worth(self, beta: float) -> float:
        """Held-out J at a price of memory."""
        return (1 - beta) * self.found.entropy - self.found.conditional_entropy


def measure(this: Run, variables: Variables) -> dict[str, Any]:
    """The entries of summary.json for the head that validation pairs like best."""
    head = best_head(this, variables)
    images = jnp.asarray(suite.fair_sample(this.dataset.test, suite.MOST_HELDOUT).examples)
    num_pairs = this.config.evaluation.num_pairs
    z_x, z_y = _pair_codes(this, variables, this.key("test"), images, num_pairs)
    found = _information(this, variables, head.number, z_x, z_y)
    lag = _lag(this, variables, head.number)
    own_x, own_y = z_x[head.number], z_y[head.number]
    summary = suite.code_summary(found, own_x, own_y, this.codes.discrete.prior.num_values)
    summary |= {
        "heldout/stored_bits_per_example": _stored_bits(this, variables, head.number, own_x),
        "heldout/prior_lag_nats": lag.nats,
        "code/head": head.number,
        "code/num_heads": this.codes.discrete.num_heads,
        "code/beta": head.beta,
    }
    _warn_of_lag(this, lag)
    return summary | _labels(this, variables, head.number) if this.num_classes else summary


def best_head(this: Run, variables: Variables, *, num_pairs: int | None = None) -> Head:
    """The head with the largest J on validation pairs, at the price `config.objective.beta`; labels have no say."""
    price = this.config.objective.beta
    return max(all_heads(this, variables, num_pairs=num_pairs), key=lambda head: head.worth(price))


def all_heads(
    this: Run, variables: Variables, *, split: str = "validation", num_pairs: int | None = None
) -> list[Head]:
    """Every head with its figures on pairs of a split, `config.evaluation.num_pairs` of them unless told."""
    images = jnp.asarray(suite.fair_sample(getattr(this.dataset, split), suite.MOST_HELDOUT).examples)
    z_x, z_y = _pair_codes(this, variables, this.key(split), images, num_pairs or this.config.evaluation.num_pairs)
    prices = this.codes.discrete.betas
    return [Head(r, beta, _information(this, variables, r, z_x, z_y)) for r, beta in enumerate(prices)]


def code_features(this: Run, variables: Variables, head: int) -> Callable[[jax.Array], jax.Array]:
    """A function from views to the one-hot symbols of a head, float32[n, M·K], which a probe reads."""

    def one_hot(x: jax.Array) -> jax.Array:
        log_q = this.codes.discrete.log_q(*variables, x)[head]
        return jax.nn.one_hot(jnp.argmax(log_q, -1), log_q.shape[-1]).reshape(len(x), -1)

    return one_hot


def hard_codes(this: Run, variables: Variables, split: Split, key: jax.Array, head: int) -> np.ndarray:
    """int[n, M]: the most likely code of one view of each example of a split, read a block at a time."""
    parts = []
    for block in data.blocks(split, _BLOCK):
        key, own = jax.random.split(key)
        parts.append(_views_log_q(this, variables, own, block.examples)[head].argmax(-1))
    return np.concatenate(parts)


def validation(this: Run, writer: MetricsWriter) -> Callable[[int, TrainState, Any], None]:
    """A hook that writes the best head's figures on validation pairs, and how far its prior lags, with a warning."""
    warned, num_pairs = [], min(NUM_VALIDATED, this.config.evaluation.num_pairs)

    def validate(step: int, state: TrainState, metrics: Any) -> None:
        del metrics
        head = best_head(this, state.variables, num_pairs=num_pairs)
        lag = _lag(this, state.variables, head.number)
        scalars = {
            "validation/entropy_nats": head.found.entropy,
            "validation/conditional_entropy_nats": head.found.conditional_entropy,
            "validation/mi_nats": head.found.mi,
            "validation/mi_standard_error_nats": head.found.standard_error,
            "validation/prior_lag_nats": lag.nats,
        }
        writer.write(step, scalars)
        settled = step >= this.num_steps // 2  # before, everything moves, running statistics of the encoder too
        if settled and not warned:
            warned.extend([step] if _warn_of_lag(this, lag) else [])

    return validate


def report_sections(this: Run, variables: Variables, summary: dict[str, Any]) -> list[Section]:
    """Information over training, the information plane of all heads, and examples by code."""
    heads = all_heads(this, variables, split="test")
    chosen = int(summary["code/head"])
    sample = suite.fair_sample(this.dataset.test, _BLOCK)
    z = hard_codes(this, variables, sample, this.key("report"), chosen)
    return [
        sections.information(read_metrics(this.workdir), data.num_examples(this.dataset.validation)),
        sections.information_plane(
            np.array([head.found.entropy for head in heads]),
            np.array([head.found.mi for head in heads]),
            np.array([head.beta for head in heads]),
            chosen,
        ),
        sections.examples_by_code(sample.examples, z, rows=GRID_ROWS, columns=GRID_COLUMNS),
    ]


def _pair_codes(
    this: Run, variables: Variables, key: jax.Array, images: jax.Array, num_pairs: int
) -> tuple[np.ndarray, np.ndarray]:
    """int[R, n, M] each: codes of independent pairs, drawn as the encoder says."""
    pair_key, *draw_keys = jax.random.split(key, 3)

    def block(rows: jax.Array) -> list[np.ndarray]:
        halves = _pairs(pair_key, images, rows, kind=this.kind)
        return [np.asarray(this.codes.discrete.log_q(*variables, half)) for half in halves]

    both = _in_blocks(block, jnp.arange(num_pairs))
    return tuple(np.stack([_draw(k, own) for own in log_q]) for k, log_q in zip(draw_keys, both, strict=True))


def _views_log_q(this: Run, variables: Variables, key: jax.Array, examples: np.ndarray) -> np.ndarray:
    """float32[R, n, M, K] of one view of each example."""
    keys = jax.random.split(key, len(examples))

    def block(rows: jax.Array) -> list[np.ndarray]:
        shown = _views(keys[rows], jnp.asarray(examples[np.asarray(rows)]), this.kind)
        return [np.asarray(this.codes.discrete.log_q(*variables, shown))]

    (log_q,) = _in_blocks(block, jnp.arange(len(examples)))
    return log_q


def _in_blocks(block: Callable[[jax.Array], list[np.ndarray]], rows: jax.Array) -> list[np.ndarray]:
    """What `block` makes of some rows at a time, always as many, joined along its second axis."""
    count, size = len(rows), min(len(rows), _AT_ONCE)
    padded = jnp.pad(rows, (0, -count % size), mode="edge").reshape(-1, size)
    parts = zip(*(block(some) for some in padded), strict=True)
    return [np.concatenate(part, axis=1)[:, :count] for part in parts]


_pairs = jax.jit(pairs.sample_pairs, static_argnames="kind")
_views = jax.jit(lambda keys, images, kind: jax.vmap(kind.view)(keys, images), static_argnums=2)
_draw = jax.jit(sample_codes)
_BLOCK, _AT_ONCE = 4096, 512


def _stored_bits(this: Run, variables: Variables, head: int, z: np.ndarray) -> float:
    """What the entropy coder takes for codes like these, whatever the prior believes."""
    psi, _ = this.codes.discrete.models_of(variables[1], head)
    return 8 * stored_codes.compress(this.codes.discrete.prior, psi, z).nbytes / len(z)


def _information(
    this: Run, variables: Variables, head: int, z_x: np.ndarray, z_y: np.ndarray
) -> discrete.CodeInformation:
    parts = this.codes.discrete
    psi, phi = parts.models_of(variables[1], head)
    return discrete.information(parts.prior, parts.conditional, psi, phi, z_x[head], z_y[head])


def _lag(this: Run, variables: Variables, head: int) -> discrete.Lag:
    parts = this.codes.discrete
    view_key, draw_key = jax.random.split(this.key("validation"))
    images = suite.fair_sample(this.dataset.train, NUM_LAG).examples
    log_q = _views_log_q(this, variables, view_key, images)[head]
    psi, _ = parts.models_of(variables[1], head)
    return discrete.prior_lag(parts.prior, psi, jnp.asarray(log_q), draw_key)


def _warn_of_lag(this: Run, lag: discrete.Lag) -> bool:
    if lag.too_far:
        this.warn(
            f"the prior lags by {lag.nats:.3f} of {lag.entropy:.3f} nats, more than {discrete.TOO_FAR:.0%}: Ĥ(z) is "
            "inflated by as much; set config.optimizer.refit, or raise prior_steps or prior_learning_rate there"
        )
    return lag.too_far


def _labels(this: Run, variables: Variables, head: int) -> dict[str, float]:
    """How codes agree with labels that training never saw."""
    test_key, train_key = jax.random.split(this.key("probe"))
    test = suite.fair_sample(this.dataset.test, MOST_QUERIES)
    z = hard_codes(this, variables, test, test_key, head)
    prior = this.codes.discrete.prior
    if prior.num_symbols == 1:
        return {"code/clustering_accuracy": discrete.clustering_accuracy(z[:, 0], test.labels)}
    if prior.num_values > 2:
        return {}
    train = this.dataset.train
    known = hard_codes(this, variables, train, train_key, head)
    count = min(discrete.NUM_NEAREST, len(known))
    precision = discrete.hamming_precision(z, test.labels, known, np.asarray(train.labels), count=count)
    return {f"code/precision_at_{count}": precision}
