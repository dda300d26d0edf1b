"""What the parameters of a run are worth: bounds, health and probes on examples that training never saw; a report."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mi_coding import data, heldout, measure_codes, pairs
from mi_coding.evaluation import suite
from mi_coding.evaluation.codes import encode, map_codes, nearest
from mi_coding.reporting import page, sections
from mi_coding.reporting.environment import describe_environment
from mi_coding.reporting.metrics import MetricsWriter, read_metrics
from mi_coding.reporting.page import Section
from mi_coding.reporting.pictures import as_pictures
from mi_coding.runs import Run, film_data, initial_state
from mi_coding.training import build
from mi_coding.training.step import TrainState

VALIDATION_BATCHES = 4
"""Batches of a held-out bound during training: enough to draw a curve with."""

NUM_STRIP, NUM_QUERIES, NUM_NEIGHBOURS, NUM_MAPPED = 10, 10, 6, 1000
"""How many pairs, test images, their neighbours and codes on the map the report shows."""

BOUND = "validation/mi_lower_bound_nats"
"""In metrics.jsonl, the bound on pairs that are not trained on."""

FALL, LEAST_FALL = 0.1, 0.1
"""Share of the best validation bound, and nats, by which a fall is more than the noise of so few batches."""

NUM_HEALTH = 4096
"""Pairs that health figures are taken from, where `config.evaluation.num_pairs` does not allow fewer."""


def measure(this: Run, variables: tuple[Any, Any]) -> dict[str, float]:
    """The entries of summary.json that tell what (params, stats) are worth on examples that training never saw."""
    population = heldout.population(this, this.dataset.test)
    if this.codes.discrete:
        summary = measure_codes.measure(this, variables)
        others = {suite.CODE: measure_codes.code_features(this, variables, summary["code/head"])}
    else:
        summary, others = _bounds(this, variables, population), {}
    summary |= _health(this, variables, population)
    return summary | _probe(this, variables, others) if this.num_classes else summary


def validation(this: Run, writer: MetricsWriter) -> Callable:
    """A hook that writes the bound on validation pairs, and how often the online probe is right about their images."""
    if this.codes.discrete:
        return measure_codes.validation(this, writer)
    split = this.dataset.validation
    population, question = heldout.population(this, split), heldout.as_trained(this)
    heldout_bound = heldout.heldout_bound(this, question)
    online = None
    if this.codes.online_logits:
        online = suite.make_accuracy(this.codes.online_logits, this.kind, split, this.key("validation"))

    def validate(step: int, state: TrainState, metrics: Any) -> None:
        del metrics
        num_pairs = VALIDATION_BATCHES * this.config.batch_size
        bound = heldout_bound(state.variables, this.key("validation"), population, num_pairs=num_pairs)
        scalars = suite.bound_summary(bound, "validation")
        if online:
            scalars["validation/online_probe_accuracy"] = online(state.variables)
        writer.write(step, scalars)

    return validate


def learnt_by_heart(curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> str | None:
    """What to tell a person whose codes once told more about pairs they never saw than they do now; None for others.

    >>> learnt_by_heart({BOUND: (np.array([100, 200, 300]), np.array([1.6, 1.7, 1.1]))})[:72]
    'the bound on validation pairs was 1.70 nats at step 200 and ends at 1.10'

    Args:
        curves: of metrics.jsonl, see `read_metrics`.
    """
    if BOUND not in curves:
        return None
    steps, bounds = curves[BOUND]
    best = bounds.argmax()
    if bounds[best] - bounds[-1] <= LEAST_FALL + FALL * bounds[best]:
        return None
    return (
        f"the bound on validation pairs was {bounds[best]:.2f} nats at step {steps[best]:,} and ends at "
        f"{bounds[-1]:.2f}: the pairs of training are learnt by heart; raise config.optimizer.weight_decay, lower "
        "config.num_steps, or bring more pairs"
    )


def write_report(this: Run, variables: tuple[Any, Any], summary: dict[str, float], warnings: list[str]) -> Path:
    """Writes report.html, one page that opens offline, and its plots; returns its path."""
    test = suite.fair_sample(this.dataset.test, NUM_MAPPED)
    known_split = suite.fair_sample(this.dataset.train, suite.MOST_HELDOUT)
    codes = partial(jax.jit(this.codes.codes), *variables)
    pair_key, test_key, train_key = jax.random.split(this.key("report"), 3)
    show = jax.jit(partial(pairs.views, kind=this.kind))
    seen, known = (show(k, heldout.on_device(split)) for k, split in ((test_key, test), (train_key, known_split)))
    test_codes, train_codes = encode(codes, seen), encode(codes, known)
    asked = np.linspace(0, len(test_codes) - 1, min(NUM_QUERIES, len(test_codes))).astype(int)  # of films: of all films
    positions, cosines = nearest(test_codes[asked], train_codes, count=NUM_NEIGHBOURS)
    if build.of_films(this.config):
        pair_sections = _film_sections(this, variables, pair_key)
    else:
        pair_sections = _strip(this, pair_key, test)
    shown: list[Section] = [
        *_information(this, variables, summary),
        *sections.probes(summary, num_classes=this.num_classes),
        *pair_sections,
        sections.code_map(map_codes(test_codes), test.labels),
        *sections.neighbours(
            *_shown(this, np.asarray(seen)[asked], np.asarray(known)[positions]),
            cosines,
            None if test.labels is None else (test.labels[asked], known_split.labels[positions]),
            None if test.names is None else _names([test.names[i] for i in asked], known_split.names, positions),
        ),
    ]
    page.write_plots(this.workdir / "plots", shown)
    path = this.workdir / "report.html"
    page.write_report(
        path,
        title=f"mi_coding: {this.config.objective.name} on {this.dataset.name}",
        lead=sections.LEAD,
        summary=summary,
        warnings=warnings,
        sections=shown,
        config=this.config.to_dict(),
        environment=describe_environment() | {"devices": f"{this.num_devices} × {jax.devices()[0].device_kind}"},
    )
    return path


def _information(this: Run, variables: tuple[Any, Any], summary: dict[str, float]) -> list[Section]:
    """How much the codes of a pair share, in the terms of the objective."""
    if this.codes.discrete:
        return measure_codes.report_sections(this, variables, summary)
    num_validation = data.num_examples(this.dataset.validation)
    bound = sections.bound(read_metrics(this.workdir), this.num_candidates, num_validation)
    return [bound, *sections.bounds_ahead(summary)]


def _names(queries: list[str], known: list[str], positions: np.ndarray) -> tuple[list[str], list[list[str]]]:
    """What the queries and, for each, its neighbours are called."""
    return queries, [[known[position] for position in row] for row in positions.tolist()]


def _strip(this: Run, key: jax.Array, test: data.Split) -> list[Section]:
    """Some pairs as the encoder sees them."""
    originals = jax.tree.map(lambda half: jnp.asarray(half[:NUM_STRIP]), test.examples)
    rows = jnp.arange(min(NUM_STRIP, data.num_examples(test)))
    x, y = jax.jit(partial(pairs.pairs_of_batch, kind=this.kind))(key, originals, rows)
    how = build.describe_pairs(this.config)
    if this.config.objective.name == build.AHEAD:
        return [sections.sequence_strip(np.asarray(x), this.config.objective.num_ahead, how)]
    return sections.pair_strip(originals, np.asarray(x), np.asarray(y), how)


def _shown(this: Run, queries: np.ndarray, near: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Views [q, …] and their neighbours [q, k, …] as images, also where they are sequences."""
    if this.config.objective.name != build.AHEAD:
        return queries, near
    together = as_pictures(np.concatenate([queries[:, None], near], axis=1).reshape(-1, *queries.shape[1:]))
    together = together.reshape(*near.shape[:1], -1, *together.shape[1:])
    return together[:, 0], together[:, 1:]


def _film_sections(this: Run, variables: tuple[Any, Any], key: jax.Array) -> list[Section]:
    """Pairs of frames with their times, and the bound as a function of the gap."""
    gap = this.config.pairs.gap
    sample = data.sample_films(this.dataset.test, suite.MOST_HELDOUT, gap)
    films = jax.tree.map(jnp.asarray, film_data(sample, gap))
    stretch, time = pairs.draw_moments(key, films, jnp.arange(NUM_STRIP))
    numbers = np.asarray(pairs.shown_at(films, stretch, jnp.stack([time, time + gap], axis=-1)))
    names = [sample.films.names[k] for k in stretch.tolist()]
    strip = sections.film_strip(
        sample.examples[numbers[:, 0]],
        sample.examples[numbers[:, 1]],
        [Path(name).name for name in names],
        sample.films.times[numbers],
        f"{build.describe_pairs(this.config)}; {this.dataset.test.films.how}",
    )
    curves = heldout.bounds_by_gap(this, variables, films)
    return [strip, sections.bounds_by_gap(heldout.gaps(films), curves, trained_at=gap)]


def _bounds(this: Run, variables: tuple[Any, Any], population: Any) -> dict[str, float]:
    """Held-out bounds, see `heldout.questions`."""
    summary = {}
    for prefix, question in heldout.questions(this, len(jax.tree.leaves(population)[0])).items():
        measured = heldout.heldout_bound(this, question)
        bound = measured(variables, this.key("test"), population, num_pairs=this.config.evaluation.num_pairs)
        summary |= suite.bound_summary(bound, prefix)
        for one in filter(lambda one: one.near_ceiling, bound.ahead or (bound,)):
            this.warn(
                f"the held-out bound {one.mi_lower_bound:.3f} is within 5 % of its ceiling ln {one.num_candidates} "
                f"= {one.ceiling:.3f} nats: the information is at least this much; raise batch_size"
            )
    return summary


def _health(this: Run, variables: tuple[Any, Any], population: Any) -> dict[str, float]:
    count = min(NUM_HEALTH, this.config.evaluation.num_pairs)
    some = heldout.examples_of(population, count)
    shown = jax.jit(partial(pairs.views, kind=this.kind))(this.key("test"), some)
    features = encode(partial(jax.jit(this.codes.features), *variables), shown)
    if this.config.objective.name == build.AHEAD:  # a context and a step have codes of different kinds
        return suite.health(encode(partial(jax.jit(this.codes.codes), *variables), shown), None, features)
    z_x, z_y = heldout.pair_codes(this)(variables, this.key("test"), population, jnp.arange(count))
    return suite.health(np.asarray(z_x), np.asarray(z_y), features)


def _probe(this: Run, variables: tuple[Any, Any], others: dict[str, Callable]) -> dict[str, float]:
    settings = this.config.evaluation
    chosen = suite.ProbeSettings(
        settings.views, settings.knn_neighbours, settings.knn_temperature, settings.most_images
    )
    untrained = initial_state(this)
    encoded = jax.jit(this.codes.features)
    features = {
        suite.TRAINED: partial(encoded, *variables),
        suite.UNTRAINED: partial(encoded, untrained.params, untrained.stats),
        suite.RAW: jax.jit(suite.raw_pixels),
    } | others
    return suite.probe_summary(suite.probe(features, this.dataset, this.kind, this.key("probe"), chosen), chosen)
