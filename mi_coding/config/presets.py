"""The configs that come with the package: found by their names, from a source tree or an installed wheel."""

import ast
import difflib
from pathlib import Path

from mi_coding.errors import InputError

_PACKAGE = Path(__file__).parents[1]
FOLDER = next((one for one in (_PACKAGE / "configs", _PACKAGE.parent / "configs") if (one / "cpc.py").is_file()), None)
"""Where they are: inside the package once installed, beside it in a source tree; None if there are none."""

_LISTED = 3  # configs in a message


def presets() -> dict[str, str]:
    """Name → what it is for, the first line of the file; sorted by name.

    >>> presets()["simclr"]
    'SimCLR on handwritten digits: x and y are two random augmentations of one image.'
    """
    files = sorted(FOLDER.glob("*.py")) if FOLDER else []
    return {file.stem: _first_line(file) for file in files if not file.stem.startswith("_")}


def find_config(given: str) -> Path:
    """The file of a config: a path, or the name of a preset: "simclr", or configs/simclr.py from anywhere.

    Raises:
        InputError: if the file does not exist; the message names the one that was meant, or some that exist.
    """
    path = Path(given)
    if path.is_file():
        return path
    if FOLDER and path.parent in (Path(), Path("configs")) and path.suffix in ("", ".py"):
        preset = FOLDER / f"{path.stem}.py"
        if preset.is_file() and not path.stem.startswith("_"):
            return preset
    siblings = sorted(path.parent.glob("*.py")) if path.parent != Path() else []
    known = {file.stem: str(file) for file in siblings} or {name: name for name in presets()}
    near = difflib.get_close_matches(path.stem, known, n=1)
    some = ", ".join(list(known.values())[:_LISTED]) + (", …" if len(known) > _LISTED else "")
    hint = f"did you mean --config={known[near[0]]}?" if near else f"there are {some};"
    raise InputError(f"--config={given} is not a file; {hint} --list_configs shows the configs of mi_coding")


def _first_line(file: Path) -> str:
    return (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").partition("\n")[0]
