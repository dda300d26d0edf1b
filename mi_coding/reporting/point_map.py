"""A map of examples for a page: one point each, with its picture under the pointer and classes that can be selected.

HTML and CSS alone: the page needs no script.
"""

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from PIL import Image

# Ten colours of moderate chroma, chosen to be far apart in OKLab for normal, protanopic and deuteranopic eyes alike.
CODE_COLOURS = (
    *("#00b4ff", "#78000f", "#ffb42d", "#5a0f78", "#69e1b4"),
    *("#a53c87", "#969600", "#5a69d2", "#c387a5", "#875a1e"),
)
NUM_MARKERS = 4  # rounds of the colours that have a shape of their own
_SHEET_PIXELS = 2**20  # of the pictures of all points together, at most
_PICTURE = 32  # pixels of the longer side of one of them, at most
_ALONE = 0.6  # share of the points around the middle of a class that are its own, above which its name stands there


@dataclass(frozen=True, eq=False)
class PointMap:
    """Points of examples in two dimensions.

    Raises:
        ValueError: unless points, captions and, where they are given, classes and pictures have the same length.
    """

    points: np.ndarray  # float[n, 2]
    captions: Sequence[str]  # one short line per point
    classes: np.ndarray | None = None  # int[n], the class of each point, or None
    class_names: Mapping[int, str] | None = None  # of each class
    pictures: np.ndarray | None = None  # uint8[n, H, W, 3], one per point, or None

    def __post_init__(self):
        counts = [len(part) for part in (self.captions, self.classes, self.pictures) if part is not None]
        if self.points.shape != (len(self.captions), 2) or set(counts) != {len(self.captions)}:
            raise ValueError(f"points of shape {self.points.shape} with {counts}: expected [n, 2], and n of each")


def class_middles(points: np.ndarray, classes: np.ndarray) -> dict[int, np.ndarray]:
    """The median position float[2] of each class int[n] that forms a cluster: most of the points around are its own.

    >>> points = np.array([[0.0, 0.0], [0.0, 1.0], [9.0, 9.0], [9.0, 8.0]])
    >>> {name: place.tolist() for name, place in class_middles(points, np.array([0, 0, 1, 1])).items()}
    {0: [0.0, 0.5], 1: [9.0, 8.5]}
    """
    middles = {}
    for name in np.unique(classes).tolist():
        own = points[classes == name]
        middle = np.median(own, axis=0)
        around = np.argsort(np.linalg.norm(points - middle, axis=1))[: min(30, len(own))]
        if np.mean(classes[around] == name) > _ALONE:
            middles[name] = middle
    return middles


def point_map_html(shown: PointMap) -> str:
    """The map with its pictures inside; classes are selected by name, one or several, and with none all are shown."""
    classes = np.zeros(len(shown.captions), int) if shown.classes is None else shown.classes
    present, numbers = np.unique(classes, return_inverse=True)
    names = [(shown.class_names or {}).get(one, str(one)) for one in present.tolist()]
    low, high = shown.points.min(axis=0), shown.points.max(axis=0)
    places = 3 + 94 * (shown.points - low) / np.maximum(high - low, 1e-12)
    places[:, 1] = 100 - places[:, 1]
    parts = [f"<style>{_sheet_style(shown.pictures)}{_class_style(len(names))}</style>"]
    if len(names) > 1:
        chips = (
            f"<label><input type=checkbox class=f{number}><i class={_marker(number)}></i>{escape(name)}</label>"
            for number, name in enumerate(names)
        )
        parts.append(f"<div class=chips>{''.join(chips)}</div>")
    columns = _columns(len(shown.captions))
    points = (
        f'<b tabindex=-1 class="{_marker(number)} k{number}" style="--x:{x:.1f};top:{y:.1f}%;'
        f'--c:{row % columns};--r:{row // columns}" data-n="{escape(caption, quote=True)}"></b>'
        for row, (number, (x, y), caption) in enumerate(zip(numbers.tolist(), places, shown.captions, strict=True))
    )
    middles = class_middles(places, numbers) if 1 < len(names) <= len(CODE_COLOURS) else {}
    labels = (
        f'<span class="k{number}" style="left:{x:.1f}%;top:{y:.1f}%">{escape(names[number])}</span>'
        for number, (x, y) in middles.items()
    )
    parts.append(f"<div class=points>{''.join(points)}{''.join(labels)}</div>")
    return f"<div class=map>{''.join(parts)}</div>"


def _columns(count: int) -> int:
    return math.ceil(math.sqrt(count))


def _marker(number: int) -> str:
    return f"m{number // len(CODE_COLOURS) % NUM_MARKERS}"


def _class_style(count: int) -> str:
    """The colour of each class, and the rules that show only the selected classes where some are."""
    rules = []
    for number in range(count):
        colour = CODE_COLOURS[number % len(CODE_COLOURS)]
        rules.append(f".k{number},.f{number}+i{{--k:{colour}}}")
        rules.append(f".map:has(.f{number}:checked) .k{number}{{opacity:1;visibility:visible}}")
    return "".join(rules)


def _sheet_style(pictures: np.ndarray | None) -> str:
    """One image (a sprite sheet) of all pictures side by side, the background of the picture of a point."""
    if pictures is None:
        return ""
    columns = _columns(len(pictures))
    rows = -(-len(pictures) // columns)
    height, width = pictures.shape[1:3]
    side = min(_PICTURE, max(height, width), math.isqrt(_SHEET_PIXELS // len(pictures)))
    cell = max(1, side * width // max(height, width)), max(1, side * height // max(height, width))
    sheet = Image.new("RGB", (columns * cell[0], rows * cell[1]))
    for number, picture in enumerate(pictures):
        small = Image.fromarray(picture).resize(cell, Image.Resampling.BOX)
        sheet.paste(small, (number % columns * cell[0], number // columns * cell[1]))
    buffer = io.BytesIO()
    is_grey = np.array_equal(pictures[..., 0], pictures[..., 1]) and np.array_equal(pictures[..., 0], pictures[..., 2])
    (sheet.convert("L") if is_grey else sheet).save(buffer, format="jpeg", quality=80)
    source = base64.b64encode(buffer.getvalue()).decode()
    high = cell[1] / cell[0]
    return (
        f'.points b:hover::before,.points b:focus::before{{content:"";background:url(data:image/jpeg;base64,{source});'
        f"height:{6 * high:.3f}rem;background-size:{6 * columns}rem {6 * high * rows:.3f}rem;"
        f"background-position:calc(-6rem*var(--c)) calc({-6 * high:.3f}rem*var(--r))}}"
    )


STYLE = """
.map { margin: .875rem 0 0; padding: 1rem; background: var(--card); border: 1px solid var(--line); border-radius: 10px }
.chips { display: flex; flex-wrap: wrap; gap: .25rem .875rem; margin-bottom: .5rem; font-size: .875rem }
.chips label { cursor: pointer; display: flex; align-items: center; gap: .25rem; color: var(--muted) }
.chips input { position: absolute; opacity: 0 }
.chips label:has(:checked) { color: var(--ink); font-weight: 600; text-decoration: underline }
.chips label:has(:focus-visible) { outline: 2px solid var(--accent) }
.chips i { width: .625rem; height: .625rem }
.points { position: relative; height: min(34rem, 100vw); isolation: isolate }
.points b, .points span { position: absolute; font-weight: 600 }
.points b { left: calc(1% * var(--x)); width: .5rem; height: .5rem; margin: -.25rem; opacity: .85 }
.m0, .m1, .m2, .m3 { background: var(--k); border: 2px solid var(--k) }
.m0, .m2 { border-radius: 50% }
.m2, .m3 { background: none }
.points span { transform: translate(-50%, -50%); pointer-events: none;
  text-shadow: 0 0 3px var(--card), 0 0 3px var(--card), 0 0 5px var(--card) }
.map:has(:checked) :is(.points b, .points span) { opacity: .07; visibility: hidden }
.points b:hover, .points b:focus { z-index: 2; opacity: 1; outline: 2px solid var(--ink) }
.points b::before, .points b::after { position: absolute; top: 1rem; left: 0; width: 6rem; pointer-events: none;
  transform: translateX(calc(-1% * var(--x))); image-rendering: pixelated }
.points b:hover::after, .points b:focus::after { content: attr(data-n); top: auto; bottom: .875rem; padding: .125rem
  .375rem; width: max-content; max-width: 14rem; background: var(--ink); color: var(--paper); border-radius: 4px;
  font: .8125rem/1.35 system-ui, sans-serif; overflow-wrap: anywhere }
@media (prefers-color-scheme: dark) { :is(.m0, .m1, .m2, .m3) { background: color-mix(in oklab, var(--k) 62%, white);
  border-color: color-mix(in oklab, var(--k) 62%, white) } :is(.m2, .m3) { background: none } }
"""
"""What a page with maps adds to its style."""
