"""report.html: one file that opens offline, with every picture inside it."""

import base64
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from matplotlib.figure import Figure

from mi_coding.reporting import results
from mi_coding.reporting.files import write_atomically

_DPI = 200


class Table(NamedTuple):
    """What stands folded under a figure.

    Attributes:
        title: what to unfold.
        columns: one heading a column.
        rows: cells as text; the first one names the row.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


class Section(NamedTuple):
    """One figure of a report with what it shows.

    Attributes:
        heading: a few words.
        text: one sentence that tells how to read the figure.
        figure: a matplotlib figure.
        name: of its PNG file, without the ending.
        table: more about what the figure shows; None for none.
    """

    heading: str
    text: str
    figure: Figure
    name: str
    table: Table | None = None


class _Tile(NamedTuple):
    """A headline number: what it is, its value, what follows it in small, a comparison, and how full its meter is."""

    label: str
    value: str
    small: str
    context: str
    share: float | None = None


def write_report(
    path: Path,
    *,
    title: str,
    lead: str,
    summary: Mapping[str, Any],
    warnings: Sequence[str],
    sections: Sequence[Section],
    config: Mapping[str, Any],
    environment: Mapping[str, Any],
) -> None:
    """Writes the report of a run as one HTML file: no script, no request, light or dark as the reader prefers.

    Args:
        path: of the file; written whole or not at all.
        title: of the page.
        lead: one or two sentences under the title.
        summary: the flat summary.json; its headline numbers become tiles, all of it a table of results.
        warnings: what a reader must know before believing the numbers.
        sections: the figures, in order.
        config: nested, of plain values.
        environment: name → value, such as versions, devices and the command.
    Raises:
        OSError: where the file cannot be written.
    """
    blocks = [
        f"<header><h1>{escape(title)}</h1><p class=lead>{escape(lead)}</p></header>",
        _tiles(_headlines(summary)),
        "".join(f"<p class=warning role=note><b>Warning</b> {escape(message)}</p>" for message in warnings),
        "".join(map(_section, sections)),
        _results(summary),
        f"<section><h2>Config</h2><details><summary>Every value</summary>{_tree(config)}</details></section>",
        f"<section class=environment><h2>Environment</h2>{_table(('', ''), environment.items())}</section>",
    ]
    head = f"{_HEAD}<title>{escape(title)}</title><style>{_STYLE}</style>"
    body = "\n".join(blocks)
    page = f"<!doctype html>\n<html lang=en><head>{head}</head>\n<body><main>\n{body}\n</main></body></html>\n"
    write_atomically(path, page)


def write_plots(folder: Path, sections: Iterable[Section]) -> None:
    """Saves the figure of each section as `<name>.png`.

    Args:
        folder: made where it is missing.
        sections: as in the report.
    Raises:
        OSError: where the folder cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for section in sections:
        write_atomically(folder / f"{section.name}.png", _png(section.figure))


def _png(figure: Figure) -> bytes:
    """A figure as it was when it was first asked for: drawing it takes most of the time of a report."""
    if figure not in _DRAWN:
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=_DPI)
        _DRAWN[figure] = buffer.getvalue()
    return _DRAWN[figure]


_DRAWN: WeakKeyDictionary[Figure, bytes] = WeakKeyDictionary()
"""Figures that stand on a page and in a file, for as long as they are used."""


def _section(section: Section) -> str:
    picture = base64.b64encode(_png(section.figure)).decode()
    alt = escape(f"{section.heading}. {section.text}", quote=True)
    return (
        f"<section><h2>{escape(section.heading)}</h2><p>{escape(section.text)}</p>"
        f'<figure><img alt="{alt}" src="data:image/png;base64,{picture}"></figure>{_folded(section.table)}</section>'
    )


def _folded(table: Table | None) -> str:
    if table is None:
        return ""
    return f"<details><summary>{escape(table.title)}</summary>{_table(table.columns, table.rows)}</details>"


def _headlines(summary: Mapping[str, Any]) -> list[_Tile]:
    """The few numbers to read first; one that is absent has no tile."""
    tiles = [
        _bound_tile(summary),
        *_code_tiles(summary),
        _probe_tile(summary, "linear probe", "probe/{}accuracy", "linear_"),
    ]
    tiles += [_probe_tile(summary, "cosine kNN", "probe/{}knn_accuracy", ""), _candidates_tile(summary)]
    return [tile for tile in tiles if tile is not None]


def _bound_tile(summary: Mapping[str, Any]) -> _Tile | None:
    if "heldout/mi_lower_bound_nats" not in summary:
        return None
    bound, ceiling = _finite(summary, "heldout/mi_lower_bound_nats"), _finite(summary, "heldout/mi_ceiling_nats")
    value, *error = results.bound_with_error(summary, "heldout", "{:.2f}".format).split(" ", 1)
    context = f"of at most {ceiling:.2f} nats, the ceiling ln N" if ceiling else ""
    share = bound / ceiling if bound is not None and ceiling else None
    return _Tile("held-out bound", value, " ".join([*error, "nats"]), context, share)


def _code_tiles(summary: Mapping[str, Any]) -> list[_Tile | None]:
    mi, entropy = _finite(summary, "heldout/mi_nats"), _finite(summary, "heldout/entropy_nats")
    if mi is None or entropy is None:
        return []
    bits = _finite(summary, "heldout/bits_per_example") or 0.0
    used = f", {summary['code/used']:,} of {summary['code/possible']:,} codes in use" if "code/used" in summary else ""
    tiles = [
        _Tile("held-out information", f"{mi:.2f}", "nats", f"of the {entropy:.2f} nats that a code costs", mi / entropy)
        if entropy > 0
        else None,
        _Tile("memory", f"{bits:.2f}", "bits", f"an example{used}"),
    ]
    for key, label in (("clustering_accuracy", "clustering accuracy"), ("precision_at_100", "precision at 100")):
        value = _finite(summary, f"code/{key}")
        tiles.append(None if value is None else _Tile(label, f"{100 * value:.1f}", "%", "labels chose nothing", value))
    return tiles


def _probe_tile(summary: Mapping[str, Any], label: str, pattern: str, trained: str) -> _Tile | None:
    key = pattern.format(trained)
    if key not in summary:
        return None
    baselines = {"untrained encoder": pattern.format("random_encoder_"), "raw pixels": pattern.format("raw_pixels_")}
    shown = [f"{name} {results.show(summary, k, results.percent)}" for name, k in baselines.items() if k in summary]
    value = results.show(summary, key, lambda fraction: f"{100 * fraction:.1f}")
    return _Tile(label, value, "%", ", ".join(shown), _finite(summary, key))


def _candidates_tile(summary: Mapping[str, Any]) -> _Tile | None:
    if "heldout/num_candidates" not in summary:
        return None
    accuracy = results.show(summary, "heldout/accuracy", results.percent)
    context = f"the true y ranked first for {accuracy} of x" if accuracy else ""
    value = results.show(summary, "heldout/num_candidates")
    return _Tile("candidates N", value, "", context, _finite(summary, "heldout/accuracy"))


def _finite(summary: Mapping[str, Any], key: str) -> float | None:
    value = summary.get(key)
    return value if isinstance(value, (int, float)) and math.isfinite(value) else None


def _tiles(tiles: Iterable[_Tile]) -> str:
    return f"<div class=tiles>{''.join(map(_tile, tiles))}</div>"


def _tile(tile: _Tile) -> str:
    small = f" <small>{escape(tile.small)}</small>" if tile.small else ""
    meter = ""
    if tile.share is not None:
        meter = f'<div class=meter><i style="width:{100 * min(max(tile.share, 0), 1):.1f}%"></i></div>'
    return (
        f"<div class=tile><h3>{escape(tile.label)}</h3><p class=value>{escape(tile.value)}{small}</p>"
        f"{meter}<p class=context>{escape(tile.context)}</p></div>"
    )


def _results(summary: Mapping[str, Any]) -> str:
    groups = results.group_results(summary)
    blocks = "".join(map(_result_group, groups))
    return f"<section><h2>Results</h2><div class=results>{blocks}</div></section>" if groups else ""


def _result_group(group: results.Group) -> str:
    note = f"<p class=note>{escape(group.note)}</p>" if group.note else ""
    return f"<div><h3>{escape(group.title)}</h3>{_table(group.columns, group.rows)}{note}</div>"


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    head = "".join(f"<th scope=col>{escape(column)}</th>" for column in columns)
    head = f"<thead><tr>{head}</tr></thead>" if any(columns) else ""
    return f"<div class=scroll><table>{head}<tbody>{''.join(map(_row, rows))}</tbody></table></div>"


def _row(cells: Sequence[Any]) -> str:
    first, *others = (escape(str(cell)) for cell in cells)
    return f"<tr><th scope=row>{first}</th>{''.join(f'<td>{cell}</td>' for cell in others)}</tr>"


def _tree(values: Mapping[str, Any]) -> str:
    """A nested list; every mapping inside can be folded."""
    return f"<ul class=tree>{''.join(_leaf(str(name), value) for name, value in values.items())}</ul>"


def _leaf(name: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return f"<li><details open><summary>{escape(name)}</summary>{_tree(value)}</details></li>"
    return f"<li><span>{escape(name)}</span> <code>{escape(str(value))}</code></li>"


# The policy makes a browser refuse whatever is not in this file; the empty icon keeps it from asking for one.
_HEAD = (
    '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
    '<meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">"
)

_STYLE = """
:root { --paper: #fbfbfa; --card: #fff; --ink: #1d2433; --muted: #5d6779; --line: #e2e5ea; --accent: #2456a6;
  --track: #e6e9ef; --warn: #fff5e6; --warn-line: #e39a3b; --warn-ink: #6b4206 }
@media (prefers-color-scheme: dark) { :root { --paper: #14171d; --card: #1c2028; --ink: #e6e9ef; --muted: #9aa4b5;
  --line: #2e3440; --accent: #7fa8ee; --track: #2b313c; --warn: #2d2415; --warn-line: #c5862f; --warn-ink: #f1d7ad } }
* { box-sizing: border-box }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif }
main { max-width: 60rem; margin: 0 auto; padding: 3.5rem 1.5rem 5rem }
h1 { font-size: 2rem; line-height: 1.2; letter-spacing: -.02em; margin: 0 0 .5rem }
h2 { font-size: 1.25rem; letter-spacing: -.01em; margin: 3rem 0 .25rem }
h3 { font-size: .8125rem; font-weight: 600; color: var(--muted); margin: 1.5rem 0 .4rem }
p { margin: 0; max-width: 48rem; text-wrap: pretty }
section > p { color: var(--muted) }
.lead { font-size: 1.0625rem; color: var(--muted) }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(12.5rem, 1fr)); gap: .875rem;
  margin: 2rem 0 1rem }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1rem 1.125rem }
.tile h3 { margin: 0 }
.value { font-size: 1.75rem; line-height: 1.3; letter-spacing: -.02em; font-weight: 650; white-space: nowrap;
  font-variant-numeric: tabular-nums }
.value small { font-size: .9375rem; font-weight: 500; letter-spacing: 0; color: var(--muted) }
.context, .note { font-size: .8125rem; line-height: 1.45; color: var(--muted) }
.meter { height: 4px; border-radius: 2px; background: var(--track); margin: .375rem 0 .5rem; overflow: hidden }
.meter i { display: block; height: 100%; background: var(--accent) }
.warning { max-width: none; margin: .625rem 0; padding: .625rem 1rem; border-left: 3px solid var(--warn-line);
  border-radius: 4px; background: var(--warn); color: var(--warn-ink) }
.warning b { margin-right: .375rem }
figure { margin: .875rem 0 0; padding: 1.125rem; background: #fff; border: 1px solid var(--line); border-radius: 10px }
figure img { display: block; width: 100%; height: auto }
@media (prefers-color-scheme: dark) { figure { background: #fff; border-color: transparent; filter: brightness(.93) } }
.results { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); column-gap: 3rem }
.results table { width: 100% }
.scroll { overflow-x: auto }
table { border-collapse: collapse; font-size: .9375rem; font-variant-numeric: tabular-nums }
th, td { padding: .375rem 0 .375rem 1.5rem; text-align: right; border-bottom: 1px solid var(--line); font-weight: 400 }
th:first-child { text-align: left; padding-left: 0 }
.environment td { text-align: left; overflow-wrap: anywhere }
thead th { color: var(--muted); font-size: .8125rem }
.note { margin-top: .5rem }
details > summary { cursor: pointer; color: var(--accent) }
.tree { list-style: none; margin: .25rem 0; padding-left: 1.125rem; font-size: .875rem }
.tree span { color: var(--muted) }
.tree summary { color: var(--ink); font-weight: 600 }
code { font: .8125rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace;
  overflow-wrap: anywhere }
"""
