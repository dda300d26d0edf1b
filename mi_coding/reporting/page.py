"""report.html: one file that opens offline, with every picture inside it."""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from mi_coding.reporting.figure import Figure
from mi_coding.reporting.files import write_atomically
from mi_coding.reporting.point_map import STYLE as MAP_STYLE
from mi_coding.reporting.point_map import PointMap, point_map_html
from mi_coding.reporting.results import Group, Tile


class Table(NamedTuple):
    """A table under a figure, folded until it is clicked."""

    title: str
    columns: Sequence[str]  # one heading per column
    rows: Sequence[Sequence[str]]  # cells as text; the first one names the row


_THUMBNAIL = 48  # pixels of the longer side of a picture of a gallery, at most


class Thumbnail(NamedTuple):
    """A picture, uint8[H, W, 3], that is shown small, with its caption, and the row that it links to."""

    picture: np.ndarray
    caption: str
    row: str  # its key in the gallery


class Gallery(NamedTuple):
    """Rows of small pictures under a figure, folded; each picture links to the row that begins with it, if any."""

    title: str
    rows: Sequence[tuple[Thumbnail, Sequence[Thumbnail]]]  # the first picture of a row, and the others


@dataclass(frozen=True, eq=False)
class Section:
    """One figure of a report with what it shows."""

    heading: str  # a few words
    text: str  # one sentence that explains how to read the figure
    figure: Figure | None  # None where it could not be drawn, as the text then says
    name: str  # of its PNG file, without the ending
    table: Table | None = None  # more about what the figure shows
    gallery: Gallery | None = None  # more of its pictures
    pictures: bool = False  # whether the figure shows examples, whose colours are not inverted in dark mode
    point_map: PointMap | None = None  # what the page shows in place of the figure, which stays the PNG file

    @cached_property
    def png(self) -> bytes:
        """The figure as PNG; cached, as drawing takes most of a report's time and a file has the same figure."""
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=200)
        return buffer.getvalue()


class Report(NamedTuple):
    """What a report shows, in the order of the page."""

    title: str
    lead: str  # one or two sentences under the title
    warnings: Sequence[str]  # what a reader must know before believing the numbers
    tiles: Sequence[Tile]  # headline numbers, the few to read first
    sections: Sequence[Section]  # the figures
    groups: Sequence[Group]  # all results
    config: Mapping[str, Any]  # nested, of plain values
    environment: Mapping[str, Any]  # such as versions, devices and the command


def write_report(path: Path, report: Report) -> None:
    """Writes a report as one HTML file, atomically: no script, no request, light or dark as the reader prefers.

    Raises:
        OSError: where the file cannot be written.
    """
    results = "".join(map(_result_group, report.groups))
    blocks = [
        f"<header><h1>{escape(report.title)}</h1><p class=lead>{escape(report.lead)}</p></header>",
        f"<div class=tiles>{''.join(map(_tile, report.tiles))}</div>",
        "".join(f"<p class=warning role=note><b>Warning</b> {escape(message)}</p>" for message in report.warnings),
        "".join(map(_section, report.sections)),
        f"<section><h2>Results</h2><div class=results>{results}</div></section>" if results else "",
        f"<section><h2>Config</h2><details><summary>Every value</summary>{_tree(report.config)}</details></section>",
        f"<section class=environment><h2>Environment</h2>{_table(('', ''), report.environment.items())}</section>",
    ]
    head = f"{_HEAD}<title>{escape(report.title)}</title><style>{_STYLE}{MAP_STYLE}</style>"
    body = "\n".join(blocks)
    page = f"<!doctype html>\n<html lang=en><head>{head}</head>\n<body><main>\n{body}\n</main></body></html>\n"
    write_atomically(path, page)


def results_as_html(groups: Iterable[Group]) -> str:
    """Tables of results for a notebook."""
    return "".join(map(_result_group, groups))


def write_plots(folder: Path, sections: Iterable[Section]) -> None:
    """Saves the figure of each section as `<name>.png` in a folder, which is made where it is missing.

    Raises:
        OSError: where the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for section in sections:
        if section.figure is not None:
            write_atomically(folder / f"{section.name}.png", section.png)


def _section(section: Section) -> str:
    alt, figure, folded = escape(f"{section.heading}. {section.text}", quote=True), "", ""
    if section.point_map is not None:
        figure = point_map_html(section.point_map)
    elif section.figure is not None:
        picture = base64.b64encode(section.png).decode()
        kind = "" if section.pictures else " class=chart"
        figure = f'<figure{kind}><img alt="{alt}" src="data:image/png;base64,{picture}"></figure>'
    if table := section.table:
        folded = f"<details><summary>{escape(table.title)}</summary>{_table(table.columns, table.rows)}</details>"
    if section.gallery:
        folded += _gallery(section.gallery)
    return f"<section><h2>{escape(section.heading)}</h2><p>{escape(section.text)}</p>{figure}{folded}</section>"


def _gallery(gallery: Gallery) -> str:
    sources: dict[str, str] = {}
    targets = {first.row for first, _ in gallery.rows}

    def thumbnail(one: Thumbnail) -> str:
        if one.row not in sources:
            buffer, picture = io.BytesIO(), Image.fromarray(one.picture)
            picture.thumbnail((_THUMBNAIL, _THUMBNAIL))
            picture.save(buffer, format="png")
            sources[one.row] = base64.b64encode(buffer.getvalue()).decode()
        caption = escape(one.caption, quote=True)
        picture = f'<img alt="{caption}" src="data:image/png;base64,{sources[one.row]}"><span>{caption}</span>'
        return f'<a href="#{escape(one.row, quote=True)}">{picture}</a>' if one.row in targets else f"<i>{picture}</i>"

    rows = (
        f'<div class=row id="{escape(first.row, quote=True)}">{thumbnail(first)}{"".join(map(thumbnail, others))}</div>'
        for first, others in gallery.rows
    )
    return f"<details class=gallery><summary>{escape(gallery.title)}</summary>{''.join(rows)}</details>"


def _tile(tile: Tile) -> str:
    small = f" <small>{escape(tile.small)}</small>" if tile.small else ""
    meter = ""
    if tile.share is not None:
        meter = f'<div class=meter><i style="width:{100 * min(max(tile.share, 0), 1):.1f}%"></i></div>'
    return (
        f"<div class=tile><h3>{escape(tile.label)}</h3><p class=value>{escape(tile.value)}{small}</p>"
        f"{meter}<p class=context>{escape(tile.context)}</p></div>"
    )


def _result_group(group: Group) -> str:
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
    """A nested list whose mappings can be folded."""
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
h1 { font-size: 2rem; line-height: 1.2; letter-spacing: -.02em; margin: 0 0 .5rem; overflow-wrap: anywhere }
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
.value + .context { margin-top: .625rem }
.meter { height: 4px; border-radius: 2px; background: var(--track); margin: .375rem 0 .5rem; overflow: hidden }
.meter i { display: block; height: 100%; background: var(--accent) }
.warning { max-width: none; margin: .625rem 0; padding: .625rem 1rem; border-left: 3px solid var(--warn-line);
  border-radius: 4px; background: var(--warn); color: var(--warn-ink) }
.warning b { margin-right: .375rem }
figure { margin: .875rem 0 0; padding: 1.125rem; background: #fff; border: 1px solid var(--line); border-radius: 10px }
figure img { display: block; width: 100%; height: auto }
@media (max-width: 54rem) { figure { overflow-x: auto } figure img { width: 50.4rem; max-width: none } }
@media (prefers-color-scheme: dark) { figure { background: #fff; border-color: transparent; filter: brightness(.93) }
  figure.chart { filter: invert(.89) hue-rotate(180deg) } }
.results { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); column-gap: 3rem }
.results table { width: 100% }
.scroll { overflow-x: auto }
table { border-collapse: collapse; font-size: .9375rem; font-variant-numeric: tabular-nums }
th, td { padding: .375rem 0 .375rem 1.5rem; text-align: right; border-bottom: 1px solid var(--line); font-weight: 400 }
th:first-child { text-align: left; padding-left: 0 }
.environment td { text-align: left; overflow-wrap: anywhere }
thead th { color: var(--muted); font-size: .8125rem }
.note { margin-top: .5rem }
.row { display: flex; flex-wrap: wrap; gap: .5rem; padding: .5rem; border-bottom: 1px solid var(--line) }
.row:target { background: var(--track) }
.row a, .row i { width: 4.5rem; font-size: .75rem; font-weight: 400; line-height: 1.3; color: var(--muted);
  font-style: normal; text-decoration: none; overflow-wrap: anywhere }
.row > :first-child { margin-right: 1rem; color: var(--ink) }
.row img { display: block; width: 4.5rem; height: auto; image-rendering: pixelated }
details > summary { cursor: pointer; color: var(--accent) }
.tree { list-style: none; margin: .25rem 0; padding-left: 1.125rem; font-size: .875rem }
.tree span { color: var(--muted) }
.tree summary { color: var(--ink); font-weight: 600 }
code { font: .8125rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace;
  overflow-wrap: anywhere }
"""
