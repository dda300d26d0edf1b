"""How much do discrete codes tell, at what memory, and how do they agree with labels that training never saw?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mi_coding import stored_codes
from mi_coding.data import num_examples
from mi_coding.evaluation import code_statistics, heads
from mi_coding.evaluation.base import (
    NO_CURVE,
    Curves,
    LabelledViews,
    PairEvaluator,
    Trained,
    labelled_sample,
    subsample,
    unlabelled_splits,
)
from mi_coding.evaluation.classifiers import linear_probe
from mi_coding.methods import Variables
from mi_coding.options import group
from mi_coding.reporting.figure import BLUE, INK, MUTED, ORANGE, SMALL, TITLE, Chart
from mi_coding.reporting.page import Section
from mi_coding.reporting.results import Group, Rows, Summary, Tile, finite, group_rows, percent, show
from mi_coding.reporting.strips import are_images, as_images, aspect, draw_tile, tile_canvas

NUM_VALIDATED = 2048  # pairs of a held-out figure during training, at most `config.evaluation.num_pairs`
NUM_LAG = 2048  # training examples from which the lag of the prior is computed
MOST_QUERIES = 10_000  # test examples on which codes are compared with labels
GRID_ROWS, GRID_COLUMNS = 16, 12  # of the pictures by code

_nats = "{:.3f} nats".format
_ROWS: Rows = {
    "heldout/mi_nats": ("information I(z_x; z_y)", _nats),
    "heldout/mi_nats_standard_error": ("  its standard error", _nats),
    "heldout/plug_in_mi_nats": ("  at the frequencies of pairs", _nats),
    "heldout/entropy_nats": ("entropy H(z_x)", _nats),
    "heldout/plug_in_entropy_nats": ("  at the frequencies of codes", _nats),
    "heldout/conditional_entropy_nats": ("entropy H(z_x|z_y)", _nats),
    "heldout/bits_per_example": ("memory per example", lambda v: f"{v:.2f} bits"),
    "heldout/stored_bits_per_example": ("  as the entropy coder stores it", lambda v: f"{v:.2f} bits"),
    "heldout/prior_lag_nats": ("lag of the prior: by how much H is too large", _nats),
    "code/used": ("codes in use", lambda v: f"{v:,.0f}"),
    "code/possible": ("  of possible", lambda v: f"{v:,.0f}"),
    "code/perplexity": ("  as many equally likely ones", lambda v: f"{v:.1f}"),
    "code/clustering_accuracy": ("clustering accuracy, best matching", percent),
    "code/precision_at_100": ("precision at 100, Hamming distance", percent),
    "probe/code_accuracy": ("linear probe on the code's symbols", percent),
    "code/head": ("code chosen on held-out pairs", lambda v: f"{v:.0f}"),
    "code/num_heads": ("  of codes on one encoder", lambda v: f"{v:.0f}"),
    "code/beta": ("  its price of memory β", lambda v: f"{v:g}"),
}
_NOTE = (
    "Information is that of codes drawn from the encoder's distribution, on pairs that training never saw; scores "
    "against labels are of the most likely codes. Both entropies are cross-entropies, so too large; their difference "
    "estimates I and is neither a lower nor an upper bound. No label influenced any choice."
)


@dataclass(frozen=True)
class DiscreteCodes(PairEvaluator):
    """Entropies, information, memory and agreement with labels of the code that validation chooses among R of a run."""

    labelled: LabelledViews = group(LabelledViews)
    for_every_method = False

    def evaluate(self, trained: Trained) -> dict[str, Any]:
        variables, method = trained.variables, trained.method
        head = heads.best_head(trained, variables, self.num_pairs)
        z_x, z_y = heads.pair_codes(trained, variables, "test", self.num_pairs)
        found = heads.head_information(trained, variables, head.number, z_x, z_y)
        lag = _lag(trained, variables, head.number)
        own_x, own_y = z_x[head.number], z_y[head.number]
        psi, _ = method.models_of(variables[1], head.number)
        stored_bytes = stored_codes.compress(method.prior, psi, own_x).nbytes  # whatever the prior believes
        summary = code_statistics.code_summary(found, own_x, own_y, method.prior.num_values) | {
            "heldout/stored_bits_per_example": 8 * stored_bytes / len(own_x),
            "heldout/prior_lag_nats": lag.nats,
            "code/head": head.number,
            "code/num_heads": method.code.num_heads,
            "code/beta": head.beta,
        }
        _warn_of_lag(trained, lag)
        labelled = trained.num_classes and not unlabelled_splits(trained.dataset)
        return summary | self._labels(trained, head.number) if labelled else summary

    def validation(self, trained: Trained) -> Callable[[int, Variables], dict[str, float]]:
        warned, num_pairs = [], min(NUM_VALIDATED, self.num_pairs)

        def validate(step: int, variables: Variables) -> dict[str, float]:
            head = heads.best_head(trained, variables, num_pairs)
            lag = _lag(trained, variables, head.number)
            settled = step >= trained.num_steps // 2  # before, everything moves, running statistics of the encoder too
            if settled and not warned and _warn_of_lag(trained, lag):
                warned.append(step)
            return {
                "validation/entropy_nats": head.found.entropy,
                "validation/conditional_entropy_nats": head.found.conditional_entropy,
                "validation/mi_nats": head.found.mi,
                "validation/mi_standard_error_nats": head.found.standard_error,
                "validation/prior_lag_nats": lag.nats,
            }

        return validate

    def groups(self, summary: Summary) -> list[Group]:
        found = group_rows("discrete code of held-out pairs", summary, _ROWS, _NOTE)
        return [found] if "heldout/mi_nats" in summary else []

    def tiles(self, summary: Summary) -> list[Tile]:
        mi, entropy = finite(summary, "heldout/mi_nats"), finite(summary, "heldout/entropy_nats")
        if mi is None or entropy is None:
            return []
        bits, used = finite(summary, "heldout/bits_per_example") or 0.0, ""
        if finite(summary, "code/used") is not None:
            used = f", {show(summary, 'code/used')} of {show(summary, 'code/possible')} codes in use"
        costs = f"of the {entropy:.2f} nats that a code costs"
        tiles = [Tile("held-out information", f"{mi:.2f}", "nats", costs, mi / entropy)] if entropy > 0 else []
        tiles.append(Tile("memory", f"{bits:.2f}", "bits", f"per example{used}"))
        for key, label in (("clustering_accuracy", "clustering accuracy"), ("precision_at_100", "precision at 100")):
            if (value := finite(summary, f"code/{key}")) is not None:
                tiles.append(Tile(label, f"{100 * value:.1f}", "%", "chosen without labels", value))
        return tiles

    def sections(self, trained: Trained, summary: Summary) -> list[Section]:
        chosen = int(summary["code/head"])
        test_heads = heads.all_heads(trained, trained.variables, "test", self.num_pairs)
        sample = subsample(trained.dataset.test, heads.BLOCK)
        z = heads.most_likely_codes(trained, trained.variables, sample, trained.key("report"), chosen)
        shown = [
            training_section(trained.curves, num_examples(trained.heldout_split("validation"))),
            plane_section(test_heads, chosen),
        ]
        if are_images(sample.examples):
            shown.append(examples_section(sample.examples, z, rows=GRID_ROWS, columns=GRID_COLUMNS))
        return shown

    def _labels(self, trained: Trained, head: int) -> dict[str, float]:
        one_hot = heads.one_hot_symbols(trained, trained.variables, head)
        (splits,) = self.labelled.encoded({"code": one_hot}, trained).values()
        return _agreement(trained, head) | {"probe/code_accuracy": linear_probe(*splits).accuracy}


def training_section(curves: Curves, num_validation: int) -> Section:
    """Entropy and information over training: a line for training batches, dots for held-out pairs."""
    chart = Chart(3.7, (0.05, 0.14, 0.71, 0.765), "nats", "step")  # its labels are the longest
    for name, key, colour in (("memory H", "entropy_nats", MUTED), ("information I", "mi_nats", BLUE)):
        smooth = chart.smooth(*curves.get(f"train/{key}", NO_CURVE), colour)
        if heldout := curves.get(f"validation/{key}"):
            chart.dots(*heldout, f"{name}, held-out", colour, linewidth=0.8)
        else:
            chart.label(smooth, name, colour)
    chart.axes.set_ylim(bottom=min(0, chart.axes.get_ylim()[0]))
    text = (
        "What the code remembers of x, H(z_x), and what it tells about y, I(z_x; z_y): the mean over all codes on "
        f"training batches as they are drawn, and the best code on pairs of the {num_validation:,} validation examples."
    )
    return Section("Information over training", text, chart.finished(), "information")


def plane_section(found: Sequence[heads.Head], chosen: int) -> Section:
    """Every code of a run as a point under the line I = H; the chosen one stands out.

    Where prices differ, the price of memory is written beside the most informative code at each.
    """
    from matplotlib.ticker import MaxNLocator

    entropies, information, betas = np.array([(head.found.entropy, head.found.mi, head.beta) for head in found]).T
    prices_differ = len(set(betas.tolist())) > 1
    text = (
        "Each point is one code: horizontally its memory cost, vertically what it tells about the other half, both on "
        "pairs of test examples. No code lies above the line, where every stored nat carries one nat of information."
    )
    if prices_differ:
        best = _best_at_each_price(betas, information - betas * entropies)
        pairs = ", ".join(f"{information[i]:.2f} of {entropies[i]:.2f} (β = {betas[i]:g})" for i in best)
        text += (
            " The number beside a point is the price β of a nat of memory at which it was trained. "
            f"Information of the best code at each price, in nats: {pairs}."
        )
    chart = Chart(4.4, (0.05, 0.12, 0.745, 0.8), "information I(z_x; z_y), nats", "memory H(z_x), nats")
    axes = chart.axes
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
    axes.xaxis.set_major_formatter("{x:g}")
    most = 1.08 * max(float(np.max(entropies, initial=0)), float(np.max(information, initial=0)), 1e-3)
    axes.plot([0, most], [0, most], color=MUTED, linewidth=1, dashes=(5, 4))
    others = np.arange(len(entropies)) != chosen
    axes.scatter(entropies[others], information[others], s=34, color=BLUE, alpha=0.5, linewidths=0)
    axes.scatter(entropies[chosen], information[chosen], s=70, color=ORANGE, linewidths=0, zorder=3)
    for i in _best_at_each_price(betas, information) if prices_differ else ():
        place = {"xytext": (7, -4), "textcoords": "offset points"}
        axes.annotate(f"{betas[i]:g}", (entropies[i], information[i]), fontsize=SMALL, color=MUTED, va="top", **place)
    axes.set(xlim=(-0.02 * most, most), ylim=(min(-0.06 * most, float(np.min(information, initial=0))), most))
    return Section("Information plane", text, chart.finished(), "plane")


def examples_section(images: np.ndarray, codes: np.ndarray, *, rows: int, columns: int) -> Section:
    """Test examples, one row for each value of the symbol; of several symbols, of the first few.

    The value stands at the left of its row, and how common it is at the right.
    """
    num_symbols, shown = codes.shape[1], []
    for symbol in range(num_symbols):
        for value in np.unique(codes[:, symbol]).tolist():
            name = f"{value}" if num_symbols == 1 else f"{symbol + 1}: {value}"
            own = codes[:, symbol] == value
            shown.append((name, as_images(images[own][:columns]), float(np.mean(own))))
    del shown[rows:]
    text = "Test examples by the value of the code's symbol, and the share of all examples that has it."
    if num_symbols > 1:
        text = "Test examples by the value of one symbol of the code, the first few symbols; and the share that has it."
    height = max(aspect(pictures) for _, pictures, _ in shown) + 0.06
    figure, axes = tile_canvas(columns=columns + 2.1, rows=len(shown) * height, header=0.1)
    for row, (name, pictures, share) in enumerate(shown):
        middle = (row + 0.5) * height
        axes.text(0.85, middle, name, fontsize=TITLE, color=INK, ha="right", va="center")
        axes.text(columns + 1.1, middle, f"{100 * share:.1f} %", fontsize=SMALL, color=MUTED, va="center")
        for column, image in enumerate(pictures):
            draw_tile(axes, image, 1 + column, row * height)
    return Section("Examples by code", text, figure, "by_code", pictures=True)


def _best_at_each_price(betas: np.ndarray, values: np.ndarray) -> list[int]:
    """The code with the largest value at each price β, prices ascending."""
    return [max(np.flatnonzero(betas == beta), key=values.__getitem__) for beta in np.unique(betas)]


def _lag(trained: Trained, variables: Variables, head: int) -> code_statistics.Lag:
    view_key, draw_key = jax.random.split(trained.key("validation"))
    images = subsample(trained.dataset.train, NUM_LAG).examples
    log_q = heads.log_q_of_views(trained, variables, view_key, images)[head]
    psi, _ = trained.method.models_of(variables[1], head)
    return code_statistics.prior_lag(trained.method.prior, psi, jnp.asarray(log_q), draw_key)


def _warn_of_lag(trained: Trained, lag: code_statistics.Lag) -> bool:
    if lag.too_far:
        trained.warn(
            f"the prior lags by {lag.nats:.3f} of {lag.entropy:.3f} nats, more than {code_statistics.TOO_FAR:.0%}: "
            "Ĥ(z) is inflated by as much; set config.optimizer.refit, or raise prior_steps or prior_learning_rate there"
        )
    return lag.too_far


def _agreement(trained: Trained, head: int) -> dict[str, float]:
    """Of one symbol the clustering accuracy; of several bits the precision of the nearest codes; else nothing."""
    test_key, train_key = jax.random.split(trained.key("probe"))
    test = labelled_sample(trained.dataset.test, MOST_QUERIES)
    z = heads.most_likely_codes(trained, trained.variables, test, test_key, head)
    prior = trained.method.prior
    if prior.num_symbols == 1:
        return {"code/clustering_accuracy": code_statistics.clustering_accuracy(z[:, 0], test.labels)}
    if prior.num_values > 2:
        return {}
    train = trained.dataset.train
    codes = heads.most_likely_codes(trained, trained.variables, train, train_key, head)
    is_known = np.asarray(train.labels) >= 0
    count = min(code_statistics.NEAREST, int(is_known.sum()))
    known, labels = codes[is_known], train.labels[is_known]
    precision = code_statistics.hamming_precision(z, test.labels, known, labels, count=count)
    return {f"code/precision_at_{count}": precision}
