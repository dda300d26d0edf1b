"""The configs that come with the package: found by their names, from a source tree or an installed wheel."""

import ast
import difflib
from pathlib import Path

from mi_coding.errors import InputError

_PACKAGE = Path(__file__).parents[1]
FOLDER = next((one for one in (_PACKAGE / "configs", _PACKAGE.parent / "configs") if (one / "cpc.py").is_file()), None)
"""Where they are: inside the package once installed, beside it in a source tree; None if there are none."""


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
        InputError: if the file does not exist; the message lists the available configs.
    """
    path = Path(given)
    if path.is_file():
        return path
    if FOLDER and path.parent in (Path(), Path("configs")) and path.suffix in ("", ".py"):
        preset = FOLDER / f"{path.stem}.py"
        if preset.is_file() and not path.stem.startswith("_"):
            return preset
    siblings = sorted(path.parent.glob("*.py")) if path.parent.is_dir() and path.parent != Path() else []
    near = difflib.get_close_matches(path.stem, presets(), n=1) if path.suffix in ("", ".py") else []
    if near and not siblings:
        raise InputError(f"--config={given} is not a file; did you mean --config={near[0]}? --list_configs shows all")
    there = ", ".join(map(str, siblings)) or ", ".join(presets())
    hint = f"there are {there}" if there else "expected one such as configs/cpc.py"
    raise InputError(f"--config={given} is not a file; {hint}")


def _first_line(file: Path) -> str:
    return (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").partition("\n")[0]
