"""Which result stands beside which: a flat summary in groups of rows, for the terminal and the page alike."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

_HELD_OUT = {
    "heldout": "",
    "heldout_largest": "",
    "heldout_across": ", distractors of all films",
    "heldout_within": ", distractors of the same film",
}
_AHEAD_KEYS = ("mi_lower_bound_nats", "mi_standard_error_nats", "accuracy")
_BOUND_KEYS = ("num_candidates", "mi_lower_bound_nats", "mi_standard_error_nats", "mi_ceiling_nats", "accuracy")
FEATURES = {
    "trained encoder": ("probe/linear_accuracy", "probe/knn_accuracy"),
    "untrained encoder": ("probe/random_encoder_accuracy", "probe/random_encoder_knn_accuracy"),
    "raw pixels": ("probe/raw_pixels_accuracy", "probe/raw_pixels_knn_accuracy"),
}
"""Kind of features → the summary's keys for their linear and their nearest-neighbour accuracy."""
_SETTINGS = {
    "probe/regulariser": "linear probe: regulariser",
    "probe/knn_neighbours": "kNN: neighbours",
    "probe/knn_temperature": "kNN: temperature",
}
_TOP_FIVE = ("probe/linear_top5_accuracy", "probe/knn_top5_accuracy")
_PROTOCOL = (
    "Frozen features before the head, batch norm in inference mode; L-BFGS logistic regression, its L2 penalty chosen "
    "on validation images; vote of cosine neighbours."
)
_CODE = {
    "heldout/mi_nats": ("information I(z_x; z_y)", lambda v: f"{v:.3f} nats"),
    "heldout/mi_nats_standard_error": ("  its standard error", lambda v: f"{v:.3f} nats"),
    "heldout/plug_in_mi_nats": ("  at the frequencies of pairs", lambda v: f"{v:.3f} nats"),
    "heldout/entropy_nats": ("entropy H(z_x)", lambda v: f"{v:.3f} nats"),
    "heldout/plug_in_entropy_nats": ("  at the frequencies of codes", lambda v: f"{v:.3f} nats"),
    "heldout/conditional_entropy_nats": ("entropy H(z_x|z_y)", lambda v: f"{v:.3f} nats"),
    "heldout/bits_per_example": ("memory for one example", lambda v: f"{v:.2f} bits"),
    "heldout/stored_bits_per_example": ("  as the entropy coder stores it", lambda v: f"{v:.2f} bits"),
    "heldout/prior_lag_nats": ("lag of the prior: what H is too large by", lambda v: f"{v:.3f} nats"),
    "code/used": ("codes in use", lambda v: f"{v:,.0f}"),
    "code/possible": ("  of possible", lambda v: f"{v:,.0f}"),
    "code/perplexity": ("  as many equally likely ones", lambda v: f"{v:.1f}"),
    "code/clustering_accuracy": ("clustering accuracy, best matching", lambda v: f"{100 * v:.1f} %"),
    "code/precision_at_100": ("precision at 100, Hamming distance", lambda v: f"{100 * v:.1f} %"),
    "probe/code_accuracy": ("linear probe on the code's symbols", lambda v: f"{100 * v:.1f} %"),
    "code/head": ("code that held-out pairs chose", lambda v: f"{v:.0f}"),
    "code/num_heads": ("  of codes on one encoder", lambda v: f"{v:.0f}"),
    "code/beta": ("  its price of memory β", lambda v: f"{v:g}"),
}
_CODE_NOTE = (
    "Information on pairs that training never saw, of codes drawn as the encoder says; the rest of the most likely "
    "codes. Both entropies are cross-entropies, so too large; their difference estimates I and bounds it from neither "
    "side. Labels chose nothing."
)
_HEALTH = {
    "health/alignment": ("alignment of x and y: mean squared distance, 0 is best, 2 unrelated", lambda v: f"{v:.3f}"),
    "health/uniformity": ("uniformity of codes: 0 is collapse, lower is better", lambda v: f"{v:.2f}"),
    "health/effective_rank": ("effective rank of features", lambda v: f"{v:.1f}"),
    "health/feature_dim": ("number of features, the most that rank can be", lambda v: f"{v:,.0f}"),
}
_TRAINING = {
    "train/steps": ("steps", lambda v: f"{v:,.0f}"),
    "train/seconds": ("time", lambda v: f"{v:,.1f} s"),
    "train/first_step_seconds": ("until the first step", lambda v: f"{v:,.1f} s"),
    "train/examples_per_second": ("examples/s", lambda v: f"{v:,.0f}"),
    "train/step_seconds_median": ("a step, between two lines of the log: median", lambda v: f"{1e3 * v:,.1f} ms"),
    "train/step_seconds_95_percent": ("95 % of them take at most", lambda v: f"{1e3 * v:,.1f} ms"),
    "train/model_teraflops_per_second": ("model TFLOP/s on a device", lambda v: f"{v:,.3g}"),
    "train/model_flop_utilisation": ("model FLOP utilisation", lambda v: percent(v)),
    "train/seconds_of_log": ("time for logging", lambda v: f"{v:,.1f} s"),
    "train/seconds_of_validation": ("time for validation", lambda v: f"{v:,.1f} s"),
    "train/seconds_of_checkpoint": ("time for checkpoints", lambda v: f"{v:,.1f} s"),
    "train/loss": ("last loss", lambda v: f"{v:.3f} nats"),
}


class Group(NamedTuple):
    """Results that are read together.

    Attributes:
        title: what they answer.
        columns: one heading a column; all empty where the rows need none.
        rows: cells as text; the first one names the row.
        note: how the numbers came about, or "".
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def group_results(summary: Mapping[str, Any]) -> list[Group]:
    """Groups a flat summary by meaning: held-out bound, probes, training, and everything else.

    >>> [group.title for group in group_results({"train/steps": 10, "heldout/entropy_nats": 2.0})]
    ['training', 'other results']

    Args:
        summary: the flat summary.json: name → number, string or None. Any key may be absent.
    Returns:
        The groups that have rows. Every key of `summary` is in exactly one of them.
    """
    bounds = [prefix for prefix in _HELD_OUT if f"{prefix}/mi_lower_bound_nats" in summary]
    probes = {name: keys for name, keys in FEATURES.items() if any(key in summary for key in keys)}
    shown = {f"{prefix}/{key}" for prefix in bounds for key in _BOUND_KEYS}
    shown |= {f"{p}/{key}_ahead_{k}" for p in bounds for key in _AHEAD_KEYS for k in steps_ahead(summary, p)}
    shown |= {key for keys in probes.values() for key in keys} | set(_TRAINING) | set(_HEALTH)
    shown |= {*_SETTINGS, *_TOP_FIVE} if probes else set()
    has_code = "heldout/mi_nats" in summary
    shown |= set(_CODE) if has_code else set()
    code = ((label, show(summary, key, form)) for key, (label, form) in _CODE.items() if has_code)
    groups = [
        _bound_group(summary, bounds),
        _ahead_group(summary, [prefix for prefix in bounds if steps_ahead(summary, prefix)]),
        _group("discrete code of held-out pairs", code, _CODE_NOTE),
        _probe_group(summary, probes),
        _group("health of the codes", ((label, show(summary, key, form)) for key, (label, form) in _HEALTH.items())),
        _group("training", ((label, show(summary, key, form)) for key, (label, form) in _TRAINING.items())),
        _group("other results", ((key, show(summary, key)) for key in summary if key not in shown)),
    ]
    return [group for group in groups if group.rows]


def show(summary: Mapping[str, Any], key: str, form: Any = None) -> str:
    """One value of a summary as text: "" where it is absent, "—" where it was not finite (null), else by `form`."""
    if key not in summary:
        return ""
    value = summary[key]
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "—"
    return str(value) if isinstance(value, (str, bool)) else (form or number)(value)


def number(value: float) -> str:
    """A number of unknown meaning: whole ones in full, others with four digits."""
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:.4g}"


def percent(fraction: float) -> str:
    """A fraction of one as a percentage with one decimal."""
    return f"{100 * fraction:.1f} %"


def nats(value: float) -> str:
    """An information quantity with three decimals, without its unit."""
    return f"{value:.3f}"


def bound_with_error(summary: Mapping[str, Any], prefix: str, form: Any = nats, suffix: str = "") -> str:
    """The bound under `prefix`, ± its standard error where there is one, without its unit."""
    error = show(summary, f"{prefix}/mi_standard_error_nats{suffix}", form)
    return show(summary, f"{prefix}/mi_lower_bound_nats{suffix}", form) + (f" ± {error}" if error else "")


def steps_ahead(summary: Mapping[str, Any], prefix: str) -> range:
    """1 … K, the steps ahead that the bound under `prefix` is the mean of; empty where it is not of sequences.

    >>> list(steps_ahead({"heldout/mi_lower_bound_nats_ahead_1": 2.0, "heldout/accuracy": 0.5}, "heldout"))
    [1]
    """
    return range(1, 1 + sum(key.startswith(f"{prefix}/mi_lower_bound_nats_ahead_") for key in summary))


def _bound_group(summary: Mapping[str, Any], prefixes: Iterable[str]) -> Group:
    columns = ("candidates", "bound", "ceiling", "true y ranked first")
    note = "Nats ± one standard error, on pairs that training never saw. No bound can pass its ceiling, ln N."
    return Group("held-out bound on mutual information", columns, tuple(_bound_row(summary, p) for p in prefixes), note)


def _ahead_group(summary: Mapping[str, Any], prefixes: Sequence[str]) -> Group:
    columns, rows = ["steps ahead"], []
    for prefix in prefixes:
        ceiling = show(summary, f"{prefix}/mi_ceiling_nats", nats)
        columns += [f"N = {show(summary, f'{prefix}/num_candidates')}, at most {ceiling}", "ranked first"]
    for k in steps_ahead(summary, prefixes[0]) if prefixes else ():
        cells = [
            (bound_with_error(summary, p, suffix=f"_ahead_{k}"), show(summary, f"{p}/accuracy_ahead_{k}", percent))
            for p in prefixes
        ]
        rows.append((str(k), *(cell for pair in cells for cell in pair)))
    note = (
        "Nats between the steps so far and one step later on; a mean over steps, the same ones for every distance. The "
        "bound above is the mean over distances."
    )
    return Group("held-out bound for each number of steps ahead", tuple(columns), tuple(rows), note)


def _bound_row(summary: Mapping[str, Any], prefix: str) -> tuple[str, ...]:
    candidates = show(summary, f"{prefix}/num_candidates")
    return (
        (f"N = {candidates}" if candidates else prefix) + _HELD_OUT[prefix],
        bound_with_error(summary, prefix),
        show(summary, f"{prefix}/mi_ceiling_nats", nats),
        show(summary, f"{prefix}/accuracy", percent),
    )


def _probe_group(summary: Mapping[str, Any], probes: Mapping[str, tuple[str, str]]) -> Group:
    rows = [(name, *(show(summary, key, percent) for key in keys)) for name, keys in probes.items()]
    if any(key in summary for key in _TOP_FIVE):
        rows.insert(1, ("  among its first five", *(show(summary, key, percent) for key in _TOP_FIVE)))
    settings = "; ".join(f"{label} {show(summary, key)}" for key, label in _SETTINGS.items() if key in summary)
    note = f"{_PROTOCOL} {settings[:1].upper()}{settings[1:]}." if settings else _PROTOCOL
    return Group("label from one example", ("features", "linear probe", "cosine kNN"), tuple(rows), note)


def _group(title: str, rows: Iterable[tuple[str, str]], note: str = "") -> Group:
    return Group(title, ("", ""), tuple(row for row in rows if row[1] != ""), note)
