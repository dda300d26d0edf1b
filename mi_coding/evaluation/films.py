"""Which moments of films are pairs, and how does their information fall with the time between them?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from mi_coding.evaluation.base import Evaluator, Trained
from mi_coding.evaluation.heldout import HeldoutBound
from mi_coding.pairs import BoundSpec, Films, draw_moments, shown_at
from mi_coding.reporting.figure import BLUE, FAINT, ORANGE, Chart
from mi_coding.reporting.page import Section
from mi_coding.reporting.results import Summary
from mi_coding.reporting.strips import pair_strip

NUM_PAIRS = 10  # pairs that a report shows
NUM_GAPS = 8  # gaps at which the bound is measured, from one frame to the longest
GAP_BATCHES = 4  # batches of a bound at one gap: enough to draw a curve with
_LONGEST_NAME = 12  # letters under an image


@dataclass(frozen=True)
class FilmPairs(Evaluator):
    """Pairs of frames with their times, and the bound as a function of the gap."""

    for_every_method = False

    def sections(self, trained: Trained, summary: Summary) -> list[Section]:
        films, size = trained.population("test"), trained.pairs.pairs_of_one_film
        seconds, bounds, num_pairs = gaps(films), {}, GAP_BATCHES * trained.batch_size
        for name, spec in {"across": BoundSpec(trained.batch_size), "within": BoundSpec(size, size)}.items():
            bound = partial(trained.heldout_bound(spec), trained.variables, trained.key("test"), num_pairs=num_pairs)
            bounds[name] = [bound(films._replace(gap=jnp.float32(gap))) for gap in seconds]
        return [_strip(trained, films), gap_section(seconds, bounds, trained.pairs.film_gap)]


def film_strip(x: np.ndarray, y: np.ndarray, names: Sequence[str], times: np.ndarray, description: str) -> Section:
    """Pairs of frames with the names of their films, and float[n, 2], the times in seconds at which x and y appear."""
    captions = [
        f"{_shortened(name)}\nx {first:.2f} s\ny {second:.2f} s"
        for name, (first, second) in zip(names, times, strict=True)
    ]
    figure = pair_strip(x, y, captions=captions, title="x and its y, from films held out")
    text = (
        f"Each column is one pair: {description}. Under it the film, and when each of the two frames begins to be "
        "shown; a frame stays until the next one, so the two times differ by the gap to within one frame."
    )
    return Section("Pairs as the encoder sees them", text, figure, "pairs", pictures=True)


def gap_section(gaps: Sequence[float], bounds: Mapping[str, Sequence[HeldoutBound]], trained_at: float) -> Section:
    """The held-out bound at several gaps in seconds: name of distractors → bounds, one per gap."""
    text = (
        f"The same encoder, trained at a gap of {trained_at:g} s, on held-out pairs at other gaps, from one frame to "
        "the longest. Across: distractors are moments of all films. Within: moments of the same film, so that only "
        "what changes within it counts. The longer the gap, the fewer moments have a frame that much later."
    )
    title = "held-out bound on mutual information, nats"
    x_title = "gap from x to y, seconds; the vertical line is the gap of training"
    chart, drawn = Chart(3.2, (0.05, 0.15, 0.745, 0.74), title, x_title), []
    axes = chart.axes
    for (name, some), colour in zip(bounds.items(), (BLUE, ORANGE), strict=False):
        values, ceiling = [bound.mi_lower_bound for bound in some], some[0].ceiling
        chart.ceiling(ceiling, name, colour, linewidth=0.8, alpha=0.6)
        chart.dots(gaps, values, name, colour)
        drawn += values
    axes.axvline(trained_at, color=FAINT, linewidth=1)
    axes.set_xscale("log")
    axes.set_xticks(gaps, [f"{gap:.2g}" for gap in gaps])
    axes.minorticks_off()
    axes.set_xlim(gaps[0] / 1.3, gaps[-1] * 1.1)
    chart.limit(np.array(drawn), max(some[0].ceiling for some in bounds.values()))
    return Section("Bound by gap", text, chart.finished(), "gaps")


def gaps(films: Films) -> list[float]:
    """Seconds from x to y, from one frame to the longest that leaves moments to draw."""
    frame = float(np.median(films.seconds / films.count))
    return np.geomspace(frame, max(0.9 * float(films.seconds.max()), frame), NUM_GAPS).tolist()


def _strip(trained: Trained, films: Films) -> Section:
    split, gap = trained.heldout_split("test"), trained.pairs.film_gap
    stretch, time = draw_moments(trained.report_key("pairs"), films, jnp.arange(NUM_PAIRS))
    numbers = np.asarray(shown_at(films, stretch, jnp.stack([time, time + gap], axis=-1)))
    return film_strip(
        split.examples[numbers[:, 0]],
        split.examples[numbers[:, 1]],
        [Path(split.films.names[k]).name for k in stretch.tolist()],
        split.films.times[numbers],
        f"{trained.pairs.describe()}; {trained.dataset.test.films.how}",
    )


def _shortened(name: str) -> str:
    """A name that fits under an image: its beginning and its end."""
    return name if len(name) <= _LONGEST_NAME else f"{name[:5]}…{name[6 - _LONGEST_NAME :]}"
