"""What the held-out pairs of a run are drawn from, how, and how many at a time."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mi_coding import data, pairs
from mi_coding.evaluation import suite
from mi_coding.evaluation.bound import ENCODE_AT_ONCE, HeldoutBound, make_heldout_bound, make_pair_codes
from mi_coding.runs import Run, film_data
from mi_coding.training import build

NUM_GAPS = 8
"""Gaps at which the bound is measured, from one frame to the longest."""

GAP_BATCHES = 4
"""Batches of a bound at one gap: enough to draw a curve with."""


class Question(NamedTuple):
    """One held-out bound: so many pairs in a batch, so many of them side by side from one film (1: each by itself)."""

    batch_size: int
    group_size: int = 1


def population(this: Run, split: data.Split) -> Any:
    """What held-out pairs are drawn from, on the device: a fair sample of images, or of films."""
    if build.of_films(this.config):
        gap = this.config.pairs.gap
        sample = data.sample_films(split, suite.MOST_HELDOUT, gap)
        return jax.tree.map(jnp.asarray, film_data(sample, gap))
    return on_device(suite.fair_sample(split, suite.MOST_HELDOUT))


def on_device(split: data.Split) -> Any:
    """Examples in memory as arrays on the device: one, or x and y of given pairs."""
    return jax.tree.map(jnp.asarray, split.examples)


def examples_of(population: Any, most: int) -> Any:
    """So many examples of a population: images, frames of its films, or rows of x and of y."""
    examples = population.frames if isinstance(population, pairs.Films) else population
    return jax.tree.map(lambda half: half[:most], examples)


def pair_codes(this: Run, group_size: int = 1) -> Callable[..., tuple[jax.Array, jax.Array]]:
    """Codes of independent pairs, also where training keeps twins out: see `make_pair_codes`."""
    at_once = min(ENCODE_AT_ONCE, this.config.batch_size)  # what one question has compiled serves the others
    return _pair_codes(this.kind, this.codes.pairs, build.of_films(this.config), group_size, at_once)


@lru_cache(maxsize=8)
def _pair_codes(kind: pairs.PairKind, encode: Callable, of_films: bool, group_size: int, at_once: int) -> Callable:
    if of_films:
        sample = partial(pairs.sample_film_pairs, kind=kind, group_size=group_size)
    else:
        sample = partial(pairs.sample_pairs, kind=kind)
    return make_pair_codes(sample, encode, at_once=at_once)


def heldout_bound(this: Run, question: Question) -> Callable[..., HeldoutBound]:
    """(variables, key, population, num_pairs=…) → the bound of one question, compiled once."""
    measured = make_heldout_bound(pair_codes(this, question.group_size), this.codes.contrast)
    return partial(measured, batch_size=question.batch_size)


def as_trained(this: Run) -> Question:
    """The question whose N is that of training: N pairs for cpc, B for NT-Xent's pool of 2B − 1."""
    config = this.config
    if build.within_films(config):
        return Question(config.pairs.group_size, config.pairs.group_size)
    return Question(build.heldout_batch(config, this.num_candidates))


def questions(this: Run, num_examples: int) -> dict[str, Question]:
    """Prefix of the entries in summary.json → question: at the N of training, at the largest N, and of films the other.

    Args:
        this: the run.
        num_examples: images or frames that pairs are drawn from.
    """
    config, asked = this.config, {"heldout": as_trained(this)}
    if not build.of_films(config):
        return asked | {"heldout_largest": Question(num_examples)}
    if build.within_films(config):
        return asked | {"heldout_across": Question(config.batch_size)}
    return asked | {"heldout_within": Question(config.pairs.group_size, config.pairs.group_size)}


def bounds_by_gap(this: Run, variables: tuple[Any, Any], films: pairs.Films) -> dict[str, list[HeldoutBound]]:
    """Name of distractors → held-out bounds at each of `gaps(films)`."""
    size, num_pairs = this.config.pairs.group_size, GAP_BATCHES * this.config.batch_size
    asked = {build.ACROSS: Question(this.config.batch_size), build.WITHIN: Question(size, size)}
    curves = {}
    for name, question in asked.items():
        bound = partial(heldout_bound(this, question), variables, this.key("test"), num_pairs=num_pairs)
        curves[name] = [bound(films._replace(gap=jnp.float32(gap))) for gap in gaps(films)]
    return curves


def gaps(films: pairs.Films) -> list[float]:
    """Seconds from x to y, from one frame to the longest that leaves moments to draw."""
    frame = float(np.median(films.seconds / films.count))
    return np.geomspace(frame, max(0.9 * float(films.seconds.max()), frame), NUM_GAPS).tolist()
