"""Files that are written atomically."""

import os
from pathlib import Path


def write_atomically(path: Path, content: str | bytes) -> None:
    """Writes a file so that it has either the old content or all of the new, for any reader and even after a kill.

    Its folder must exist; a file of the same name is replaced. Text is written as UTF-8; bytes of file names that are
    not valid UTF-8 are escaped, as \\udcff.

    Raises:
        OSError: where the folder is missing or cannot be written; nothing is left behind.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")  # the same folder: a rename cannot cross disks
    try:
        temporary.write_bytes(content.encode(errors="backslashreplace") if isinstance(content, str) else content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
