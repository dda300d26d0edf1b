"""`video:GLOB`: video files, by a pattern of their paths."""

import glob
import os
from pathlib import Path

from mi_coding.data.films.encoded import EncodedFilms
from mi_coding.data.films.video_file import VideoFile, pyav
from mi_coding.data.images import ImageSpec
from mi_coding.data.sources.base import Source
from mi_coding.errors import InputError


class Video(Source):
    """The films whose paths match a pattern such as `clips/**/*.mp4`, in the order of their paths.

    The argument is a pattern with `*`, `?`, `[…]` and `**`, or the path of one file.
    """

    scheme = "video"
    example = "video:clips/*.mp4"

    def load(self, spec: ImageSpec) -> EncodedFilms:
        """All films, still encoded."""
        pyav()
        matches = sorted(glob.glob(os.path.expanduser(self.argument), recursive=True))
        paths = [Path(match) for match in matches if os.path.isfile(match)]
        if not paths:
            found = f" matches {'only folders' if matches else 'nothing'} in {Path.cwd()}"
            such = "such as 'video:clips/**/*.mp4', in quotes so that the shell leaves it alone"
            raise InputError(self.setting, f"{found}; expected a pattern that matches files, {such}")
        return EncodedFilms(self.argument, [VideoFile(path, spec) for path in paths])
