"""One page about an estimate: the number, what each pair adds, how the critics learnt, and the warnings."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from mi_coding.estimate.inputs import read_tables
from mi_coding.estimate.result import MIEstimate
from mi_coding.reporting.environment import describe_environment
from mi_coding.reporting.page import Report, Section, Table
from mi_coding.reporting.plots import pointwise_scatter
from mi_coding.reporting.results import Group, Tile

if TYPE_CHECKING:
    from mi_coding.estimate.features import FeatureRanking

_LEAD = (
    "How much information two arrays share, in nats: the mean over all pairs of ln p(x, y) − ln p(x)p(y), by critics "
    "that never saw the pair they score."
)


def estimate_report(
    found: MIEstimate, arrays: Mapping[str, object], *, title: str, ranking: "FeatureRanking | None" = None
) -> Report:
    """The page of an estimate, for `mi_coding.reporting.page.write_report`.

    Args:
        found: the estimate.
        arrays: "x", "y" and perhaps "given", the arrays that it was made from.
        title: their name.
        ranking: of the columns of x, where there are several.
    """
    alone = None if ranking is None else Table("Every column alone", list(ranking.table.columns), _cells(ranking))
    sections = [
        Section("What pairs add", *_scatter(found, arrays), "pointwise", alone),
        Section("Read-outs and training", _READ_OUTS, found.plot(), "read-outs"),
    ]
    return Report(
        title=f"Mutual information: {title}",
        lead=_LEAD,
        warnings=found.warnings,
        tiles=_tiles(found),
        sections=sections,
        groups=[_bounds(found)] if found.bounds else [],
        config={"method": found.method, "pairs": found.num_pairs},
        environment=describe_environment(),
    )


def _cells(ranking: "FeatureRanking") -> list[list[str]]:
    return [[cell if isinstance(cell, str) else f"{cell:.3g}" for cell in row] for row in ranking.table.to_numpy()]


_READ_OUTS = (
    "Left: read-outs of the same critics by other formulas, beside the estimate with its interval. Right: the "
    "networks' estimate on validation pairs over rounds of training; flat at 0 where nothing was trained."
)


def _scatter(found: MIEstimate, arrays: Mapping[str, object]) -> tuple[str, Any]:
    given = {name: arrays[name] for name in ("x", "y", "given") if name in arrays}
    tables, _, _ = read_tables(given, "drop")  # the rows of the estimate, which lack no value of any array
    tables.pop("given", None)
    (a, name_a), (b, name_b) = ((table.array[:, 0].astype(np.float64), table.names[0]) for table in tables.values())
    text = "Each point is a pair; blue pairs add to the estimate, orange ones subtract from it."
    if max(table.array.shape[1] for table in tables.values()) > 1:
        text += " Of several columns the first is drawn."
    return text, pointwise_scatter(a, b, found.pointwise, name_a, name_b)


def _tiles(found: MIEstimate) -> list[Tile]:
    low, high = found.interval
    tested = "by permuting the rows of y" if found.permutations else "by the normal law of the estimate"
    tiles = [
        Tile("mutual information", f"{found.nats:.3f}", "nats", f"95 % from {low:.3f} to {high:.3f}", None),
        Tile("the same in bits", f"{found.bits:.3f}", "bits", f"{found.num_pairs:,} pairs", None),
        Tile("independent?", found.p_text, "", tested, None),
    ]
    if (share := found.normalized) is not None:
        tiles.append(Tile("of the entropy", f"{share:.0%}", "", "of the smaller discrete side", share))
    return tiles


def _bounds(found: MIEstimate) -> Group:
    rows = [
        (name.replace("_", "–"), f"{bound.value:.3f}", "—" if math.isinf(bound.ceiling) else f"{bound.ceiling:.3f}")
        for name, bound in found.bounds.items()
    ]
    return Group("read-outs of held-out pairs", ("read-out", "nats", "never above"), rows, "", frozenset())
