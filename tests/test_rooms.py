"""The rooms keep their order: what each may import is read from its source."""

import ast
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "mi_coding"
# Room → rooms of mi_coding it may import, and packages beside the standard library.
MAY = {
    "errors": (set(), set()),
    "data": ({"errors"}, {"numpy", "sklearn", "PIL", "tensorflow_datasets", "grain", "absl", "av"}),
    "pairs": (set(), {"jax"}),
    "encoders": (set(), {"jax", "flax"}),
    "critics": (set(), {"jax", "flax"}),
    "contrast": (set(), {"jax"}),
    "objectives": ({"contrast"}, {"jax"}),
    "training": (
        {"errors", "data", "pairs", "encoders", "critics", "contrast", "objectives"},
        {"jax", "numpy", "optax", "orbax", "ml_collections"},
    ),
    "evaluation": (
        {"data", "pairs", "encoders", "critics", "contrast", "objectives"},
        {"jax", "numpy", "optax", "scipy", "sklearn", "threadpoolctl"},
    ),
    "estimate": (
        {"errors", "command", "critics", "objectives", "reporting"},
        {"jax", "numpy", "optax", "scipy", "sklearn", "threadpoolctl"},
    ),
    "stored_codes": ({"objectives"}, {"jax", "numpy", "constriction"}),
    "reporting": (set(), {"numpy", "matplotlib", "rich", "tensorboardX", "PIL", "pyarrow"}),
    "config": (
        {"errors", "data", "pairs", "encoders", "critics", "contrast", "objectives", "training"},
        {"absl", "ml_collections", "numpy"},
    ),
    "workdir": ({"errors", "config", "reporting"}, set()),
    "command": ({"errors"}, {"absl"}),
}
JOINS_ALL = {"main", "runs", "heldout", "measure", "measure_codes", "restore", "embed", "evaluate", "benchmarks"}
JOINS_ALL |= {"__init__"}


def room_of(path):
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(path):
    """Full names of the modules a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module == "mi_coding":
                yield from (f"mi_coding.{alias.name}" for alias in node.names)
            else:
                yield node.module


def foreign(path, may):
    """What a file imports that its room may not."""
    rooms, packages = may
    for name in imported(path):
        top, *rest = name.split(".")
        if top == "mi_coding":
            if rest and rest[0] not in rooms | {room_of(path)}:
                yield name
        elif top not in packages and top not in sys.stdlib_module_names:
            yield name


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_room_imports_only_the_rooms_before_it(path):
    room = room_of(path)
    if room not in JOINS_ALL:
        assert list(foreign(path, MAY[room])) == []


def test_a_wrong_import_would_be_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(f"{__name__}.SOURCE", tmp_path)
    wrong = tmp_path / "contrast" / "gather.py"
    wrong.parent.mkdir()
    wrong.write_text("import jax\nimport torch\nfrom mi_coding import data\nfrom mi_coding.contrast import contract\n")
    assert list(foreign(wrong, MAY["contrast"])) == ["torch", "mi_coding.data"]


def test_only_main_and_training_read_a_config():
    users = {room_of(path) for path in SOURCE.rglob("*.py") if "ml_collections" in path.read_text(encoding="utf-8")}
    assert users <= {"main", "runs", "restore", "training", "config", "benchmarks"}


def test_there_is_no_utils():
    assert [path for path in SOURCE.rglob("*.py") if "util" in path.stem or "helper" in path.stem] == []
