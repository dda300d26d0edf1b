"""Deep co-training on populations whose information is known: what it must reach, and what it reaches.

    python -m mi_coding.benchmarks.cotraining [--seed=0]

Pairs that share one of 16 classes and nothing else, coded by one symbol with 16 values, at several prices β; and
correlated Gaussians that share more than CPC could ever show with as many candidates, by a difference of entropies.
"""

import argparse
import json
import math
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from rich.console import Console
from rich.table import Column, Table

from mi_coding.encoders import Backbone, HeadOptions
from mi_coding.evaluation import code_statistics
from mi_coding.methods import Parts
from mi_coding.methods.cotraining import CodeOptions, CoTraining
from mi_coding.objectives import codes
from mi_coding.pairs import PairSampler
from mi_coding.training.devices import data_parallel
from mi_coding.training.experiment import Experiment
from mi_coding.training.feed import from_device_data
from mi_coding.training.step import TrainState, init_state, make_step

BETAS = (0.0, 0.25, 0.5, 0.75, 1.2)
_HELD_OUT = 16_384  # pairs
_NOISE = 0.3
_BALANCE = 3.0
_BATCH = 256


class Reached(NamedTuple):
    """Held-out figures of a code in nats: I, Ĥ, the entropy of the codes that occur, and J = (1 − β) Ĥ − Ĥ(z_x|z_y)."""

    mi: float
    entropy: float
    exact_entropy: float
    objective: float


def shared_class_pairs(num_classes: int, dim: int) -> Callable:
    """(key, centres, rows) → x, y: both are the centre of one class plus noise, followed by noise of their own.

    Their information is ln of the number of classes, minus the little that the noise hides.
    """

    def sample_pairs(key: jax.Array, centres: jax.Array, rows: jax.Array) -> tuple[jax.Array, jax.Array]:
        def one(row: jax.Array) -> tuple[jax.Array, jax.Array]:
            class_key, x_key, y_key = jax.random.split(jax.random.fold_in(key, row), 3)
            centre = centres[jax.random.randint(class_key, (), 0, num_classes)]

            def half(k: jax.Array) -> jax.Array:
                near, apart = jax.random.normal(k, (2, dim))
                return jnp.concatenate([centre + _NOISE * near, apart])

            return half(x_key), half(y_key)

        return jax.vmap(one)(rows)

    return sample_pairs


class OneLayer(Backbone):
    """One hidden layer of 128 units."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool, axis_name: str | None = None) -> jax.Array:
        return nn.relu(nn.Dense(128)(x))


def train_shared_class(
    betas: tuple[float, ...] = BETAS,
    *,
    seed: int = 0,
    num_classes: int = 16,
    dim: int = 16,
    num_starts: int = 16,
    num_steps: int = 1500,
) -> dict[float, Reached]:
    """Trains one symbol with as many values as classes, several codes per price β; held-out J chooses one for each."""
    prices = tuple(np.repeat(betas, num_starts).tolist())
    sample_pairs = shared_class_pairs(num_classes, dim)
    method = CoTraining(
        parts=Parts(OneLayer(), PairSampler(), _BATCH, 1, num_steps, (), 0),
        head=HeadOptions(layers=1),
        code=CodeOptions(num_values=num_classes, num_heads=len(prices)),  # of one symbol: its models have a closed form
        own_betas=prices,
        balance=_BALANCE,
    )
    schedule = optax.warmup_cosine_decay_schedule(0.0, 3e-3, num_steps // 20, num_steps)
    experiment = Experiment(sample_pairs, method.init, method.loss, optax.adam(schedule), _BATCH)
    keys = jax.random.split(jax.random.key(seed), 5)
    centres, way = jax.random.normal(keys[0], (num_classes, dim)), data_parallel("shard_map", jax.local_devices()[:1])
    state = init_state(experiment, keys[1], centres)
    feed = from_device_data(make_step(experiment, keys[2], 1), state, centres, way, steps_per_call=num_steps)
    state = way.fetch(feed.advance(way.replicate(state), num_steps)[0])
    validation, test = (sample_pairs(key, centres, jnp.arange(_HELD_OUT)) for key in keys[3:])
    chosen = {}
    for head, reached in enumerate(_heldout_figures(method, state, *validation)):
        best = chosen.setdefault(prices[head], (reached, head))
        chosen[prices[head]] = max(best, (reached, head), key=lambda found: found[0].objective)
    figures = _heldout_figures(method, state, *test)
    return {beta: figures[head] for beta, (_, head) in chosen.items()}


def _heldout_figures(method: CoTraining, state: TrainState, x: jax.Array, y: jax.Array) -> list[Reached]:
    """Information, entropy and objective of every head, of the most likely codes of held-out pairs."""
    z_x, z_y = (np.asarray(jnp.argmax(method.log_q(*state.variables, half), axis=-1)) for half in (x, y))
    figures = []
    for head, beta in enumerate(method.betas):
        psi, phi = method.models_of(state.stats, head)
        found = code_statistics.information(method.prior, method.conditional, psi, phi, z_x[head], z_y[head])
        objective = (1 - beta) * found.entropy - found.conditional_entropy
        figures.append(Reached(found.mi, found.entropy, code_statistics.plug_in_entropy(z_x[head]), objective))
    return figures


def gaussian_information(rho: float, dim: int, *, seed: int = 0, num_steps: int = 1500, batch_size: int = 512) -> float:
    """I(x; y) in nats of correlated Gaussians, as Ĥ(x) − Ĥ(x|y) of Gaussian models, on pairs they never saw."""
    prior = codes.gaussian_mixture(dim, components=1)
    conditional = codes.gaussian_mixture(dim, components=1, conditional=True)
    keys = jax.random.split(jax.random.key(seed), 4)
    params = (prior.init(keys[0]), conditional.init(keys[1]))
    optimizer = optax.adam(optax.cosine_decay_schedule(1e-2, num_steps))

    def draw(key: jax.Array, count: int) -> tuple[jax.Array, jax.Array]:
        x, noise = jax.random.normal(key, (2, count, dim))
        return x, rho * x + math.sqrt(1 - rho**2) * noise

    def entropies(params: Any, x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
        return prior.cross_entropy(params[0], x), conditional.cross_entropy(params[1], x, y)

    def improve(step: jax.Array, carry: Any) -> Any:
        params, state = carry
        pair = draw(jax.random.fold_in(keys[2], step), batch_size)
        updates, state = optimizer.update(jax.grad(lambda p: sum(entropies(p, *pair)))(params), state)
        return optax.apply_updates(params, updates), state

    train = jax.jit(lambda carry: jax.lax.fori_loop(0, num_steps, improve, carry))
    params, _ = train((params, optimizer.init(params)))
    own, told = entropies(params, *draw(keys[3], _HELD_OUT))
    return float(own - told)


def measure(seed: int) -> dict[str, float]:
    """Every number of the table."""
    found = {}
    for beta, reached in train_shared_class(seed=seed).items():
        found |= {f"beta_{beta:g}/{name}": value for name, value in reached._asdict().items()}
    return found | {"gaussian/mi": gaussian_information(0.5, 128, seed=seed)}


def main(argv: list[str] | None = None) -> int:
    """Prints the table and one line of JSON; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    found = measure(parser.parse_args(argv).seed)
    numbers = (Column(heading, justify="right") for heading in ("truth", "reached"))
    table = Table("population", "figure", *numbers, box=None, padding=(0, 2))
    truth = math.log(16)
    for beta in BETAS:
        name, best = f"one of 16 classes, β = {beta:g}", max(0.0, (1 - beta) * truth)
        table.add_row(name, "J", f"{best:.4f}", f"{found[f'beta_{beta:g}/objective']:.4f}")
        if beta in (0, 1.2):
            table.add_row("", "I", f"{truth if beta < 1 else 0:.4f}", f"{found[f'beta_{beta:g}/mi']:.4f}")
            exact = found[f"beta_{beta:g}/exact_entropy"]
            table.add_row("", "H", f"{exact:.4f}", f"{found[f'beta_{beta:g}/entropy']:.4f}")
    information = -64 * math.log(1 - 0.5**2)
    table.add_row("128 Gaussians, ρ = 0.5", "I", f"{information:.3f}", f"{found['gaussian/mi']:.3f}")
    Console().print(table)
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
