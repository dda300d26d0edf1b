"""`video:GLOB`: video files, by a pattern of their paths."""

import glob
import os
from pathlib import Path

from mi_coding.data.films.container import pyav
from mi_coding.data.films.encoded import EncodedFilms
from mi_coding.data.films.video_file import VideoFile
from mi_coding.data.images import ImageSpec
from mi_coding.data.sources.base import Source
from mi_coding.errors import InputError


class Video(Source):
    """The films whose paths match a pattern such as `clips/**/*.mp4`, in the order of their paths.

    The argument is the path of one file, or a pattern with `*`, `?`, `[…]` and `**`. What exists is taken
    literally, whatever characters it contains: a file, and the folders in front of a pattern. Elsewhere `[[]` stands
    for `[`.
    """

    scheme = "video"
    example = "video:clips/*.mp4"
    groups_are = "a pattern of paths"

    def load(self, spec: ImageSpec) -> EncodedFilms:
        """All films, still encoded."""
        pyav()
        matches = _matches(os.path.expanduser(self.argument))
        paths = [Path(match) for match in matches if os.path.isfile(match)]
        if not paths:
            found = f" matches {'only folders' if matches else 'nothing'} in {Path.cwd()}"
            such = "such as 'video:clips/**/*.mp4', in quotes so that the shell leaves it alone"
            such += "; [[] stands for [" if "[" in self.argument else ""
            raise InputError(self.setting, f"{found}; expected a pattern that matches files, {such}")
        return EncodedFilms(self.argument, [VideoFile(path, spec) for path in paths], group=self.group)


def _matches(pattern: str) -> list[str]:
    """Paths that match a pattern, sorted; an existing path, or folders in front, are taken literally.

    >>> _matches("no such [file].mp4")
    []
    """
    if os.path.isfile(pattern):
        return [pattern]
    head, rest = "", pattern
    for end in (i + 1 for i, character in enumerate(pattern) if character == os.sep):
        if os.path.isdir(pattern[:end]):
            head, rest = pattern[:end], pattern[end:]
    return sorted(glob.glob(glob.escape(head) + rest, recursive=True))
