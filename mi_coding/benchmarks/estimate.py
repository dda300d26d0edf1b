"""How close `estimate_mi` comes to the truth, where the truth is known.

    python -m mi_coding.benchmarks.estimate [--parts=populations,independent,coverage,staircase,images,develop,report,
                                            autoregressive,invariance] [--quick] [--seeds=3] [--samples=10000]
                                            [--effort=default] [--output=FILE.json] [--resume]

develop and report are the halves of `estimate_families`; autoregressive measures how often independence is rejected for
independent series; invariance, how far estimates move that should not move, see `estimate_invariance`.

Prints a table for each part and, last, one line of JSON. FILE.json always holds the results so far; with --resume,
those of populations, independent and coverage are not estimated again. Every estimate is a function of arrays and a
seed alone: the truth is put beside it afterwards, and `fingerprint` (a hash of all estimates) is the same whatever the
truth is believed to be.
"""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import jax
import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.signal import lfilter

from mi_coding.benchmarks import estimate_families as families
from mi_coding.benchmarks import estimate_images, estimate_invariance
from mi_coding.benchmarks.estimate_laws import QUICK, populations
from mi_coding.benchmarks.estimate_staircase import SCORED_BATCHES, STAIRS, STREAMED_STEPS, stairs
from mi_coding.errors import InputError
from mi_coding.estimate import EFFORTS, MIEstimate, estimate_mi
from mi_coding.pairs.populations import Population, independent, staircase
from mi_coding.reporting.files import write_atomically

Report = Callable[[list[dict]], None]
"""Called with all rows so far, the newest last, after each estimate."""


def measure(
    laws: Sequence[Population],
    *,
    seeds: Sequence[int],
    samples: int,
    effort: str,
    report: Report = lambda rows: None,
    known: Sequence[dict] = (),
) -> list[dict]:
    """One row for each law and seed: an estimate, its seconds, and beside them the truth, which nothing else sees.

    Rows that are known already are reused.
    """
    earlier = {(row["population"], row["seed"]): row for row in known}
    rows = []
    for seed in seeds:  # the outer loop, so that a run that is cut short has covered all laws
        for law in laws:
            if (law.name, seed) in earlier:
                rows.append(earlier[law.name, seed])
                continue
            x, y = law.sample(jax.random.key(1000 + seed), samples)
            began = time.perf_counter()
            found = estimate_mi(np.asarray(x), np.asarray(y), seed=seed, effort=effort)
            rows.append(_row(law, seed, found, time.perf_counter() - began))
            report(rows)
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


def main(argv: list[str] | None = None) -> int:
    """Prints the tables and one line of JSON; returns the exit code."""
    try:
        arguments = _parse(sys.argv[1:] if argv is None else argv)
    except InputError as error:
        print(f"mi_coding: error: {error}", file=sys.stderr)
        return 2
    console = Console(width=None if sys.stdout.isatty() else 200)  # in a file the columns need not wrap
    result = arguments.known | arguments.how | {"seeds": arguments.seeds}

    def keep(part, found):
        result[part] = found
        if arguments.output:
            write_atomically(arguments.output, json.dumps(result, indent=1))

    def report(part, rows):
        print(*(f"{v:.3f}" if isinstance(v, float) else v for v in rows[-1].values()), file=sys.stderr, flush=True)
        keep(part, {"rows": rows})

    for part in arguments.parts:
        keep(part, PARTS[part](arguments, partial(report, part)))
        _show(console, part, result[part])
    print(json.dumps({part: {k: v for k, v in result[part].items() if k != "rows"} for part in arguments.parts}))
    return 0


def _populations(arguments: argparse.Namespace, report: Report) -> dict:
    laws = populations(QUICK if arguments.quick else None)
    return _measured("populations", laws, range(arguments.seeds), arguments, report)


def _independent(arguments: argparse.Namespace, report: Report) -> dict:
    laws = [independent(*dims) for dims in ((1, 1), (3, 3), (10, 10), (50, 50))[: 1 if arguments.quick else 4]]
    return _measured("independent", laws, range(arguments.seeds), arguments, report)


def _coverage(arguments: argparse.Namespace, report: Report) -> dict:
    """Sixty runs over six laws that have little in common."""
    names = ("dense Gaussian 2", "Student-t(2) 5", "rotated cdf of sparse Gaussian 2", "uniform noise 0.75")
    names += ("exp of dense Gaussian 5", "three classes")
    laws = populations(names[:1] if arguments.quick else names)
    return _measured("coverage", laws, range(100, 102 if arguments.quick else 110), arguments, report)


def _measured(
    part: str, laws: Sequence[Population], seeds: Sequence[int], arguments: argparse.Namespace, report: Report
) -> dict:
    known = arguments.known.get(part, {}).get("rows", ())
    rows = measure(laws, seeds=seeds, report=report, known=known, **arguments.how)
    return summarize(rows) | {"rows": rows}


def _families(half: int, arguments: argparse.Namespace, report: Report) -> dict:
    """One estimate of each population of one half, 0 to develop on and 1 to report."""
    rows = []
    for number in range(half, 2 * (1 if arguments.quick else families.PER_HALF), 2):
        for family in families.FAMILIES:
            law = families.drawn(family, number)
            x, y = law.sample(arguments.how["samples"], np.random.default_rng([2, number]))
            began = time.perf_counter()
            found = estimate_mi(x, y, rows=law.rows, effort=arguments.how["effort"])
            seconds = time.perf_counter() - began
            of_law = Population(f"{family} {number}", lambda key, n: (), law.nats)
            rows.append(_row(of_law, 0, found, seconds) | {"warned": bool(found.warnings)})
            report(rows)
    return summarize(rows) | {"silent_misses": sum(map(_is_silent_miss, rows)), "rows": rows}


def _is_silent_miss(row: dict) -> bool:
    """Whether an estimate is wrong by more than 0.05 nats and 5 %, outside its interval, without a warning."""
    error = abs(row["nats"] - row["truth"])
    return (
        not row["warned"] and error > max(0.05, 0.05 * row["truth"]) and not row["low"] <= row["truth"] <= row["high"]
    )


def _autoregressive(arguments: argparse.Namespace, report: Report) -> dict:
    """How often p ≤ 0.05 for independent series of 1,000 rows."""
    rows = []
    for memory in (0.9, 0.99):
        for seed in range(2 if arguments.quick else 100):
            noise = np.random.default_rng([3, seed]).normal(size=(2, 2000))
            x, y = lfilter([1], [1, -memory], noise, axis=1)[:, 1000:]
            found = estimate_mi(x, y, rows="series", effort=arguments.how["effort"], seed=seed)
            rows.append(
                {"memory": memory, "seed": seed, "nats": found.nats, "low": found.interval[0], "p": found.p_value}
            )
            report(rows)
    shares = {
        f"rejected at {m}": float(np.mean([r["p"] <= 0.05 for r in rows if r["memory"] == m])) for m in (0.9, 0.99)
    }
    return shares | {"intervals_above_0": float(np.mean([row["low"] > 0 for row in rows])), "rows": rows}


def _staircase(arguments: argparse.Namespace, report: Report) -> dict:
    steps, batches = (20, 10) if arguments.quick else (STREAMED_STEPS, SCORED_BATCHES)
    combined = measure([staircase(nats) for nats in STAIRS], seeds=[0], report=report, **arguments.how)
    return {"rows": stairs(steps=steps, batches=batches, report=report), "combined": combined}


def _images(arguments: argparse.Namespace, report: Report) -> dict:
    shown = (2, 8) if arguments.quick else (0, 2, 4, 6, 8)
    return {"rows": estimate_images.measure(shown=shown, report=report, **arguments.how)}


def _invariance(arguments: argparse.Namespace, report: Report) -> dict:
    names = ("rotated cdf of sparse Gaussian 5", "dense Student-t(3) 5", "spiral of sparse Gaussian 3")
    laws = populations(names[:1] if arguments.quick else names)
    seeds = 2 if arguments.quick else 10
    return estimate_invariance.measure(laws, seeds=seeds, report=report, **arguments.how)


PARTS = {
    "populations": _populations,
    "independent": _independent,
    "coverage": _coverage,
    "staircase": _staircase,
    "images": _images,
    "develop": partial(_families, 0),
    "report": partial(_families, 1),
    "autoregressive": _autoregressive,
    "invariance": _invariance,
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
    for name, value in rows[0].items():
        table.add_column(name, justify="left" if isinstance(value, str) else "right")
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
    arguments.how = {"samples": arguments.samples, "effort": arguments.effort}
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
        made_with = {name: known[name] for name in arguments.how}
    except (ValueError, KeyError, TypeError, OSError):
        raise InputError(f"--resume: {arguments.output} was not written by an earlier run; name another") from None
    for name, value in made_with.items():
        if value != arguments.how[name]:
            raise InputError(f"--resume: {arguments.output} was made with --{name}={value}")
    return known


if __name__ == "__main__":
    sys.exit(main())
