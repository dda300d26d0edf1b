"""Where examples come from: one file per source, found in a table by the scheme of a string such as `folder:PATH`."""

import difflib
from pathlib import Path

from mi_coding.data.sources.base import LAYOUTS, Source
from mi_coding.data.sources.digits import Digits
from mi_coding.data.sources.folder import Folder
from mi_coding.data.sources.npz import Npz, hint_of_table
from mi_coding.data.sources.parquet import Parquet
from mi_coding.data.sources.python import FromPython
from mi_coding.data.sources.tfds import Tfds
from mi_coding.data.sources.video import Video
from mi_coding.data.sources.webdataset import Webdataset
from mi_coding.errors import InputError, Setting

SOURCES: dict[str, type[Source]] = {
    kind.scheme: kind for kind in (Digits, Tfds, Folder, Npz, Video, Parquet, Webdataset, FromPython)
}
"""Scheme of `config.data.source`, the part before the colon, to the source that takes the part after it."""


def open_source(source: str, layout: str = "auto", group: str = "") -> Source:
    """Parses a string such as `folder:PATH`; reads nothing.

    `layout` is what folders stand for, one of `LAYOUTS`, `group` what examples that stay in one split have in common.

    >>> open_source("folder:/path/to/images")  # whether it exists is found out by `load`
    Folder(argument='/path/to/images')

    Raises:
        InputError: for an unknown scheme, with the nearest one, and for an argument that is missing or not wanted.
    """
    scheme, _, argument = source.partition(":")
    if scheme not in SOURCES:
        names = ", ".join(name for name, kind in SOURCES.items() if kind.is_typed)
        near = difflib.get_close_matches(scheme, SOURCES, n=1)
        meant = _of_path(source) or (near[0] if near else "") or (f"folder:{source}" if "/" in scheme else "")
        hint = hint_of_table(Path(source)) or (f"; did you mean {meant!r}?" if meant else "")
        raise InputError(Setting("data.source", source), f" is unknown; expected one of {names}{hint}")
    opened = SOURCES[scheme](argument, layout, group)
    opened.check(source)
    if layout not in LAYOUTS:
        raise InputError(Setting("data.layout", layout), f" is unknown; expected one of {', '.join(LAYOUTS)}")
    if layout != "auto" and not opened.takes_layout:
        raise InputError(Setting("data.layout", layout), f" is for a folder, and the source is {source}; expected auto")
    if group and not opened.groups_are:
        others = ", ".join(f"{kind.scheme} ({kind.groups_are})" for kind in SOURCES.values() if kind.groups_are)
        raise InputError(Setting("data.group", group), f" is not for {source}; expected one of {others}")
    return opened


_SCHEME_OF = {".npz": "npz", ".parquet": "parquet", ".arrow": "parquet", ".tar": "webdataset"}  # of files, by suffix


def _of_path(source: str) -> str:
    """The source string for an existing path, by its kind; "" for any other text."""
    path = Path(source).expanduser()
    if path.is_dir():
        return f"folder:{source}"
    return f"{_SCHEME_OF.get(path.suffix.lower(), 'video')}:{source}" if path.is_file() else ""
