"""How near `estimate_mi` comes to the truth, where the truth is known.

    python -m mi_coding.benchmarks.estimate [--parts=populations,independent,coverage,staircase,images] [--quick]
                                            [--seeds=3] [--samples=10000] [--effort=default]
                                            [--output=FILE.json] [--resume]

Prints a table for each part and, last, one line of JSON. FILE.json holds at any time what is known so far; with
--resume, what it holds of populations, independent and coverage is not estimated again. Every estimate is a function of
arrays and a seed alone: the truth is put beside it afterwards, and `fingerprint` (a hash of all estimates) is the same
whatever truth one believes.
"""

import argparse
import hashlib
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from rich.console import Console
from rich.table import Table
from scipy.special import logsumexp

from mi_coding import data
from mi_coding.critics import separable
from mi_coding.errors import InputError
from mi_coding.estimate import EFFORTS, MIEstimate, estimate_mi
from mi_coding.estimate.crossfit import pick_loss
from mi_coding.objectives import bounds
from mi_coding.pairs.populations import (
    BENDS,
    Population,
    counted,
    dense_covariance,
    gaussian,
    independent,
    labelled,
    mapped,
    mixture,
    paired_covariance,
    roll,
    rotation,
    spiral,
    staircase,
    student,
    symbols,
    together,
    uniform_noise,
)
from mi_coding.reporting.files import write_atomically

STAIRS = (2.0, 4.0, 6.0, 8.0, 10.0)
"""Nats of the staircase in 20 dimensions."""

IMAGE_NOISE = 0.7
"""Standard deviation of the noise of a view; pixels are from 0 to 1. Two views then share 1.75 nats."""

Told = Callable[[list[dict]], None]
"""Is told of all rows so far, the newest last."""

STREAMED_STEPS, STREAMED_BATCH, SCORED_BATCHES = 2000, 128, 400


def populations() -> list[Population]:
    """The laws of the table; none was used to tune anything on its true value."""
    pair = gaussian("Gaussian 1", dense_covariance(1, 1, 0.75), 1)
    dense = {d: gaussian(f"dense Gaussian {d}", dense_covariance(d, d, 0.5), d) for d in (2, 3, 5, 25)}
    sparse = {d: gaussian(f"sparse Gaussian {d}", paired_covariance(d, d, (0.8, 0.8)), d) for d in (2, 3, 5, 25)}
    cross = mixture("crossed Gaussians", [0.5, 0.5], jnp.zeros((2, 2)), [[[1, 0.9], [0.9, 1]], [[1, -0.9], [-0.9, 1]]])
    corners = mixture(
        "four corners",
        [0.3, 0.3, 0.2, 0.2],
        [[-1.5, -1.5], [1.5, 1.5], [-1.5, 1.5], [1.5, -1.5]],
        [[[0.5, 0.2], [0.2, 0.5]]] * 2 + [[[0.3, 0.0], [0.0, 0.3]]] * 2,
    )
    table = jnp.eye(6) + 0.1 * jnp.arange(1, 7)[:, None] * jnp.ones((6, 6))
    return [
        pair,
        dense[2],
        dense[5],
        dense[25],
        sparse[3],
        sparse[25],
        _bent("wiggly", pair),
        _bent("asinh", dense[3]),
        _bent("exp", dense[5]),
        _bent("half-cube", sparse[5]),
        _bent("cdf", sparse[25]),
        _turned(_bent("cdf", sparse[2]), 2),
        _turned(_bent("half-cube", sparse[3]), 3),
        _turned(_bent("exp", sparse[3]), 3),
        _turned(_bent("cdf", sparse[5]), 5),
        _turned(_bent("half-cube", sparse[25]), 25),
        _spiralled(sparse[2], 2),
        _spiralled(sparse[3], 3),
        _spiralled(sparse[5], 5),
        _spiralled(sparse[25], 25),
        _spiralled(dense[5], 5),
        _spiralled(_bent("cdf", sparse[3]), 3),
        student("Student-t(1) 1", jnp.eye(2), 1, 1),
        student("Student-t(1) 2", jnp.eye(4), 2, 1),
        student("Student-t(2) 3", jnp.eye(6), 3, 2),
        student("Student-t(2) 5", jnp.eye(10), 5, 2),
        student("dense Student-t(3) 5", dense_covariance(5, 5, 0.5), 5, 3),
        student("Student-t(3) 25", jnp.eye(50), 25, 3),
        _bent("asinh", student("Student-t(2) 3", jnp.eye(6), 3, 2)),
        uniform_noise(0.1),
        uniform_noise(0.75),
        mapped("rolled uniform noise 0.1", uniform_noise(0.1), roll, lambda y: y),
        cross,
        corners,
        _turned(together("two mixtures", cross, corners), 2),
        symbols("six symbols", table),
        labelled("three classes", [0.5, 0.3, 0.2], [-1, 1, 3], [1, 0.5, 1]),
        counted(5),
        staircase(2.0),
        staircase(4.0),
    ]


def _bent(name: str, population: Population) -> Population:
    return mapped(f"{name} of {population.name}", population, BENDS[name], BENDS[name])


def _turned(population: Population, dim: int) -> Population:
    return mapped(f"rotated {population.name}", population, rotation(dim, 1), rotation(dim, 2))


def _spiralled(population: Population, dim: int) -> Population:
    plane = (1, 2) if dim > 2 else (0, 1)
    return mapped(f"spiral of {population.name}", population, spiral(1 / dim), spiral(1 / dim, plane))


QUICK = ("dense Gaussian 2", "six symbols")
"""What --quick keeps of the table."""


def measure(
    laws: Sequence[Population],
    *,
    seeds: Sequence[int],
    samples: int,
    effort: str,
    told: Told = lambda rows: None,
    known: Sequence[dict] = (),
) -> list[dict]:
    """One row for each law and seed: an estimate, its seconds, and beside them the truth, which nothing else sees.

    Rows that are known already are taken as they are.
    """
    earlier = {(row["population"], row["seed"]): row for row in known}
    rows = []
    for seed in seeds:  # the outer loop, so that a run that is cut has seen all laws
        for law in laws:
            if (law.name, seed) in earlier:
                rows.append(earlier[law.name, seed])
                continue
            x, y = law.sample(jax.random.key(1000 + seed), samples)
            began = time.perf_counter()
            found = estimate_mi(np.asarray(x), np.asarray(y), seed=seed, effort=effort)
            rows.append(_row(law, seed, found, time.perf_counter() - began))
            told(rows)
    return rows


def _row(law: Population, seed: int, found: MIEstimate, seconds: float) -> dict:
    return {
        "population": law.name,
        "seed": seed,
        "truth": law.mutual_information,
        "nats": found.nats,
        "low": found.interval[0],
        "high": found.interval[1],
        "p_value": found.p_value,
        "heldout": found.bounds["balanced"].value,
        "method": found.method,
        "seconds": seconds,
    }


def summarize(rows: Sequence[dict]) -> dict:
    """Errors, coverage and time of all rows, and the fingerprint of their estimates."""
    errors = np.array([row["nats"] - row["truth"] for row in rows])
    covered = [row["low"] <= row["truth"] <= row["high"] for row in rows]
    return {
        "runs": len(rows),
        "mean_absolute_error": float(np.abs(errors).mean()),
        "largest_error": float(np.abs(errors).max()),
        "mean_error": float(errors.mean()),
        "covered": float(np.mean(covered)),
        "median_seconds": float(np.median([row["seconds"] for row in rows])),
        "largest_seconds": max(row["seconds"] for row in rows),
        "fingerprint": fingerprint(rows),
    }


def fingerprint(rows: Sequence[dict]) -> str:
    """A hash of what was estimated, to the last bit, and of nothing else."""
    told = [[row["population"], row["seed"], *(float(row[k]).hex() for k in ("nats", "low", "high"))] for row in rows]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def stairs(*, steps: int, batches: int, told: Told = lambda rows: None) -> list[dict]:
    """Read-outs of batches of 128 fresh pairs: of the ideal critic, and of a network trained on a stream of pairs."""
    rows = []
    for nats in STAIRS:
        law, dim = staircase(nats), 20
        network = separable(width=256, depth=2, rank=32)
        params = _stream(network, law, dim, steps)
        critics = {"ideal": partial(_ideal, nats, dim), "network": _normalized(partial(network.scores, params), law)}
        for name, scores in critics.items():
            values = _readouts(scores, law, batches)
            rows += [
                {
                    "nats": nats,
                    "critic": name,
                    "readout": k,
                    "bias": float(v.mean()) - nats,
                    "deviation": float(v.std()),
                }
                for k, v in values.items()
            ]
        told(rows)
    return rows


def _ideal(nats: float, dim: int, x: jax.Array, y: jax.Array) -> jax.Array:
    """ln p(y|x)/p(y) of the staircase."""
    square = -math.expm1(-2 * nats / dim)
    rho = math.sqrt(square)
    cross = 2 * rho * x @ y.T - square * (jnp.sum(x**2, 1)[:, None] + jnp.sum(y**2, 1))
    return 0.5 * cross / (1 - square) + nats


def _stream(network, law: Population, dim: int, steps: int):
    """A network that met every pair once. Picking x for y and y for x, it learns ln p(y|x)/p(y) up to one constant."""
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
    """The critic less its constant, which picking cannot learn and all read-outs but InfoNCE and DV need: the one that
    brings the mean of exp(score) over independent pairs to 1, of pairs of the stream that are not read."""

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


def main(argv: list[str] | None = None) -> int:
    """Prints the tables and one line of JSON; returns the exit code."""
    try:
        arguments = _parse(sys.argv[1:] if argv is None else argv)
    except InputError as error:
        print(f"mi_coding: error: {error}", file=sys.stderr)
        return 2
    console = Console(width=None if sys.stdout.isatty() else 200)  # in a file the columns need not wrap
    result: dict = arguments.known | {
        "samples": arguments.samples,
        "effort": arguments.effort,
        "seeds": arguments.seeds,
    }

    def keep(part, found):
        result[part] = found
        if arguments.output:
            write_atomically(arguments.output, json.dumps(result, indent=1))

    def told(part, rows):
        print(*(f"{v:.3f}" if isinstance(v, float) else v for v in rows[-1].values()), file=sys.stderr, flush=True)
        keep(part, {"rows": rows})

    for part in arguments.parts:
        keep(part, PARTS[part](arguments, partial(told, part)))
        _show(console, part, result[part])
    print(json.dumps({part: {k: v for k, v in result[part].items() if k != "rows"} for part in arguments.parts}))
    return 0


def _populations(arguments: argparse.Namespace, told: Told) -> dict:
    laws = [p for p in populations() if p.name in QUICK] if arguments.quick else populations()
    return _measured("populations", laws, range(arguments.seeds), arguments, told)


def _independent(arguments: argparse.Namespace, told: Told) -> dict:
    laws = [independent(*dims) for dims in ((1, 1), (3, 3), (10, 10), (50, 50))[: 1 if arguments.quick else 4]]
    return _measured("independent", laws, range(arguments.seeds), arguments, told)


def _coverage(arguments: argparse.Namespace, told: Told) -> dict:
    """Sixty runs over six laws that have little in common."""
    names = ("dense Gaussian 2", "Student-t(2) 5", "rotated cdf of sparse Gaussian 2", "uniform noise 0.75")
    names += ("exp of dense Gaussian 5", "three classes")
    laws = [p for p in populations() if p.name in (names[:1] if arguments.quick else names)]
    return _measured("coverage", laws, range(100, 102 if arguments.quick else 110), arguments, told)


def _measured(
    part: str, laws: Sequence[Population], seeds: Sequence[int], arguments: argparse.Namespace, told: Told
) -> dict:
    how = {"samples": arguments.samples, "effort": arguments.effort}
    rows = measure(laws, seeds=seeds, told=told, known=arguments.known.get(part, {}).get("rows", ()), **how)
    return summarize(rows) | {"rows": rows}


def _staircase(arguments: argparse.Namespace, told: Told) -> dict:
    steps, batches = (20, 10) if arguments.quick else (STREAMED_STEPS, SCORED_BATCHES)
    how = {"seeds": [0], "samples": arguments.samples, "effort": arguments.effort, "told": told}
    combined = measure([staircase(nats) for nats in STAIRS], **how)
    return {"rows": stairs(steps=steps, batches=batches, told=told), "combined": combined}


def _images(arguments: argparse.Namespace, told: Told) -> dict:
    """Three ratios that must come out whatever the truth: arXiv:1910.06222 section 6.2, on noisy views of digits.

    x and y are two views of one image, each with noise of its own, and of y only the first rows are shown; of none, y
    is noise. As the images are finitely many, what two views share is known.
    """
    images = data.load("digits").train.examples
    images = np.asarray(images, np.float64).reshape(len(images), -1) / images.max()

    def views(seed, rows=8):
        rng = np.random.default_rng(seed)
        chosen = images[rng.integers(len(images), size=arguments.samples)]
        x, y = (IMAGE_NOISE * rng.normal(size=chosen.shape) for _ in range(2))
        return x + chosen, (y + chosen)[:, : 8 * rows] if rows else y

    (x, y), (other_x, other_y) = views(0), views(1)
    shown = (2, 8) if arguments.quick else (0, 2, 4, 6, 8)
    exact = {rows: _shared_by_views(images, x, y[:, : 8 * rows]) if rows else 0.0 for rows in shown}
    cases = {f"{rows} of 8 rows": (views(0, rows), exact[rows]) for rows in shown}
    twice = np.concatenate([x, x], 1), np.concatenate([y, y[:, :32]], 1)
    both = np.concatenate([x, other_x], 1), np.concatenate([y, other_y], 1)
    cases |= {"data processing": (twice, exact[8]), "additivity": (both, 2 * exact[8])}
    rows = []
    for name, (pair, truth) in cases.items():
        found = estimate_mi(*pair, effort=arguments.effort)
        rows.append({"test": name, "nats": found.nats, "truth": truth, "method": found.method})
        told(rows)
    (whole,) = (row for row in rows if row["test"] == "8 of 8 rows")
    ratios = [{"ratio": row["nats"] / whole["nats"], "true ratio": row["truth"] / whole["truth"]} for row in rows]
    return {"rows": [row | ratio for row, ratio in zip(rows, ratios, strict=True)]}


def _shared_by_views(images: np.ndarray, x: np.ndarray, y: np.ndarray) -> float:
    """I(x; y) in nats, the mean of the exact log density ratio over the pairs, where the first pixels are shown."""

    def log_likelihood(views):
        pixels = images[:, : views.shape[1]]
        return (views @ pixels.T - 0.5 * np.sum(pixels**2, axis=1)) / IMAGE_NOISE**2

    a, b = log_likelihood(x), log_likelihood(y)
    ratio = logsumexp(a + b, axis=1) - logsumexp(a, axis=1) - logsumexp(b, axis=1)
    return float(np.mean(ratio)) + math.log(len(images))


PARTS = {
    "populations": _populations,
    "independent": _independent,
    "coverage": _coverage,
    "staircase": _staircase,
    "images": _images,
}
"""Parts of the benchmark, by the name that --parts takes."""


def _show(console: Console, part: str, result: dict) -> None:
    """A table for every list of rows, and a line for every other value."""
    for name, value in sorted(result.items(), key=lambda item: item[0] != "rows"):
        if isinstance(value, list):
            _show_table(console, part if name == "rows" else f"{part}, {name}", value)
        else:
            console.print(f"{name}: {value}", highlight=False)


def _show_table(console: Console, title: str, rows: list[dict]) -> None:
    table = Table(title=title, box=None, padding=(0, 2))
    for name in rows[0]:
        table.add_column(name, justify="left" if isinstance(rows[0][name], str) else "right")
    for row in rows:
        table.add_row(*(f"{v:.3f}" if isinstance(v, float) else str(v) for v in row.values()))
    console.print(table)


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--effort", choices=list(EFFORTS), default="default")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--resume", action="store_true")
    arguments = parser.parse_args(argv)
    arguments.parts = arguments.parts.split(",")
    unknown = [part for part in arguments.parts if part not in PARTS]
    if unknown:
        raise InputError(f"--parts={','.join(unknown)}: unknown; choose from {','.join(PARTS)}")
    arguments.known = _known(arguments) if arguments.resume else {}
    return arguments


def _known(arguments: argparse.Namespace) -> dict:
    """What the file of an earlier run holds, if it exists."""
    if not arguments.output:
        raise InputError("--resume needs the --output of the earlier run")
    if not arguments.output.exists():
        return {}
    try:
        known = json.loads(arguments.output.read_text())
        made_with = {name: known[name] for name in ("samples", "effort")}
    except (ValueError, KeyError, TypeError, OSError):
        raise InputError(f"--resume: {arguments.output} was not written by an earlier run; name another") from None
    for name, value in made_with.items():
        if value != getattr(arguments, name):
            raise InputError(f"--resume: {arguments.output} was made with --{name}={value}")
    return known


if __name__ == "__main__":
    sys.exit(main())
