"""The rooms keep their order, and nobody but a kind itself and the tables asks which kind something is."""

import ast
import sys
from pathlib import Path

import pytest

from mi_coding.critics import CRITICS
from mi_coding.data.sources import SOURCES
from mi_coding.encoders import ENCODERS
from mi_coding.evaluation import EVALUATORS
from mi_coding.methods import METHODS
from mi_coding.methods.cotraining import CODE_MODELS
from mi_coding.pairs import PAIRS
from mi_coding.pairs.augmentations import AUGMENTATIONS, PRESETS
from mi_coding.training.devices import SPMD
from mi_coding.training.optimizers import OPTIMIZERS

SOURCE = Path(__file__).parents[1] / "mi_coding"
# Room → rooms of mi_coding it may import, and packages beside the standard library; in the order of the data.
MAY = {
    "errors": (set(), set()),
    "interrupts": (set(), set()),
    "help": (set(), set()),
    "options": ({"errors"}, set()),
    "data": (
        {"errors"},
        {"numpy", "scipy", "sklearn", "PIL", "tensorflow_datasets", "grain", "absl", "av", "pyarrow", "soundfile"},
    ),
    "pairs": ({"errors", "options"}, {"jax", "numpy"}),
    "varying": (set(), {"jax"}),
    "encoders": ({"errors", "options", "varying"}, {"jax", "flax"}),
    "critics": (set(), {"jax", "flax", "numpy"}),
    "contrast": ({"varying"}, {"jax"}),
    "objectives": ({"contrast", "varying"}, {"jax"}),
    "stored_codes": ({"objectives"}, {"jax", "numpy", "constriction"}),
    "methods": (
        {"errors", "options", "pairs", "encoders", "critics", "contrast", "objectives", "stored_codes", "varying"},
        {"jax", "numpy", "optax"},
    ),
    "training": ({"errors", "interrupts", "options", "objectives"}, {"jax", "numpy", "optax", "orbax"}),
    "reporting": (set(), {"numpy", "matplotlib", "rich", "tensorboardX", "PIL", "pyarrow"}),
    "evaluation": (
        {"options", "data", "pairs", "methods", "objectives", "stored_codes", "reporting"},
        {"jax", "numpy", "optax", "scipy", "sklearn", "threadpoolctl", "matplotlib"},
    ),
    "config": ({"errors", "options", "data", "training"}, {"absl", "ml_collections", "rich"}),
    "runs": (
        {"errors", "interrupts", "options", "config", "data", "pairs", "encoders", "methods", "training", "evaluation"}
        | {"reporting"},
        {"jax", "numpy", "flax", "PIL", "pyarrow", "jax2onnx", "onnxruntime", "safetensors"},
    ),
    "learn": (
        {"errors", "interrupts", "config", "data", "pairs", "evaluation", "reporting", "runs"},
        {"numpy", "PIL", "ml_collections", "sklearn"},
    ),
    "command": ({"errors", "interrupts"}, {"absl"}),
    "main": ({"errors", "help", "interrupts", "command", "config", "runs", "training"}, {"jax"}),
    "embed": ({"errors", "help", "interrupts", "command", "data", "evaluation", "reporting", "runs"}, {"numpy"}),
    "evaluate": ({"errors", "help", "interrupts", "command", "data", "reporting", "runs"}, set()),
    "compare": ({"errors", "help", "interrupts", "command", "reporting", "runs"}, set()),
    "finetune": ({"errors", "help", "interrupts", "command", "data", "reporting", "runs"}, set()),
    "export": ({"errors", "help", "interrupts", "command", "reporting", "runs"}, set()),
    "search": ({"errors", "help", "interrupts", "command", "runs"}, {"numpy"}),
    "inspect": (
        {"errors", "help", "interrupts", "command", "data", "pairs", "evaluation", "reporting", "runs"},
        {"jax", "numpy"},
    ),
    "estimate": (
        {"errors", "help", "command", "critics", "objectives", "reporting"},
        {"jax", "numpy", "optax", "scipy", "sklearn", "threadpoolctl", "pandas", "joblib"},
    ),
    "benchmarks": (
        {"errors", "options", "data", "pairs", "encoders", "critics", "contrast", "objectives", "methods", "training"}
        | {"reporting", "evaluation", "config", "command", "runs", "estimate"},
        {"jax", "numpy", "scipy", "optax", "flax", "rich", "av", "torch", "lightly", "PIL", "pyarrow"},
    ),
    "__init__": ({"objectives", "learn"}, set()),
}

TABLES = {
    "SOURCES": SOURCES,
    "PAIRS": PAIRS,
    "ENCODERS": ENCODERS,
    "METHODS": METHODS,
    "EVALUATORS": EVALUATORS,
    "CRITICS": CRITICS,
    "CODE_MODELS": CODE_MODELS,
    "PRESETS": PRESETS,
    "AUGMENTATIONS": AUGMENTATIONS,
    "OPTIMIZERS": OPTIMIZERS,
    "SPMD": SPMD,
}
NAMES = {name for table in TABLES.values() for name in table}
CLASSES = {kind.__name__ for table in TABLES.values() for kind in table.values() if isinstance(kind, type)}
ATTRIBUTES = {"name", "scheme", "kind", "objective_name", "source"}
# Files that have a table, and the kinds beside it; they may look a name up, and a kind may know its own name.
BESIDE_A_TABLE = {"data/sources", "pairs", "encoders", "methods", "evaluation"}
LOOK_UP = {"runs/build.py", "critics.py", "contrast/__init__.py", "training/devices.py", "training/optimizers.py"}


# Names that other things have, too: of arrays in a file, of features of a data set, of bounds, and of kinds of rows.
NO_KINDS = {
    ("data/sources/arrays.py", "'sequences'"),
    ("data/sources/npz.py", "'sequences'"),
    ("data/sources/tfds.py", "'video'"),
    ("estimate/estimator.py", "'smile'"),
    ("estimate/__main__.py", "'given'"),
    ("estimate/__main__.py", "'independent'"),
}


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


def strings(node):
    """The text constants of an expression, those inside a tuple, list or set included."""
    inner = node.elts if isinstance(node, (ast.Tuple, ast.List, ast.Set)) else [node]
    return {one.value for one in inner if isinstance(one, ast.Constant) and isinstance(one.value, str)}


def is_name_of_kind(node):
    """Whether an expression is the name of a kind: `x.name`, or `config["objective.name"]`."""
    if isinstance(node, ast.Attribute):
        of = node.value
        own = isinstance(of, ast.Name) and of.id == "self"  # a kind knows its own name
        of_numpy = isinstance(of, ast.Attribute) and of.attr == "dtype"
        return node.attr in ATTRIBUTES and not own and not of_numpy
    return isinstance(node, ast.Subscript) and any(text.endswith("name") for text in strings(node.slice))


def decisions(source, *, may_look_up=False):
    """Places in Python source that decide by a kind: where, and what is written there.

    1. a comparison with a text that is the name of a kind in any table, such as `== "cpc"` or `in ("mlp", "convnet")`;
    2. a comparison of an attribute or key that is called a name, a scheme or a kind with a text;
    3. a `match` on such an attribute;
    4. `isinstance` or `type(x) is` with the class of a kind;
    5. a look-up in a table of kinds, `METHODS[…]` or `METHODS.get(…)`, but by those who may.
    """
    for node in ast.walk(ast.parse(source)):
        found = False
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            texts = set().union(*map(strings, sides))
            own = any(isinstance(side, ast.Attribute) and ast.unparse(side.value) == "self" for side in sides)
            found = (bool(texts & NAMES) and not own) or (bool(texts) and any(map(is_name_of_kind, sides)))
            found |= any(isinstance(side, ast.Name) and side.id in CLASSES for side in sides)
        elif isinstance(node, ast.Match):
            found = is_name_of_kind(node.subject)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
            found = bool({n.id for n in ast.walk(node.args[1]) if isinstance(n, ast.Name)} & CLASSES)
        elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            found = node.value.id in TABLES and isinstance(node.ctx, ast.Load) and not may_look_up
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            of = node.func.value
            found = node.func.attr == "get" and isinstance(of, ast.Name) and of.id in TABLES and not may_look_up
        if found:
            yield node.lineno, ast.unparse(node)[:100]


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_room_imports_only_the_rooms_before_it(path):
    assert list(foreign(path, MAY[room_of(path)])) == []


def test_a_wrong_import_would_be_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(f"{__name__}.SOURCE", tmp_path)
    wrong = tmp_path / "contrast" / "gather.py"
    wrong.parent.mkdir()
    wrong.write_text("import jax\nimport torch\nfrom mi_coding import data\nfrom mi_coding.contrast import contract\n")
    assert list(foreign(wrong, MAY["contrast"])) == ["torch", "mi_coding.data"]


def test_nobody_but_the_kinds_and_their_tables_decides_by_a_kind():
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        name = str(path.relative_to(SOURCE))
        beside = str(Path(name).parent) in BESIDE_A_TABLE
        for line, text in decisions(path.read_text(encoding="utf-8"), may_look_up=beside or name in LOOK_UP):
            if not any(file == name and word in text for file, word in NO_KINDS):
                found.append(f"{name}:{line}: {text}")
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        'if config.objective.name == "cpc_ahead": pass',
        'x = method.name != "anything"',
        'if config["objective.name"] in names + ["a"] or config["encoder.name"] in ("convnet", "mlp"): pass',
        'if scheme == "folder": pass',
        "if isinstance(method, (int, CoTraining)): pass",
        "if type(pairs) is Film: pass",
        'f = METHODS["toy"]',
        "f = METHODS.get(name)",
        'match pairs.name:\n    case "film": pass',
    ],
)
def test_a_decision_by_kind_would_be_seen(source):
    assert list(decisions(source))


def test_only_the_command_line_and_config_files_know_config_dicts():
    users = {room_of(path) for path in SOURCE.rglob("*.py") if "ml_collections" in path.read_text(encoding="utf-8")}
    assert users <= {"config"}


def test_there_is_no_utils():
    assert [path for path in SOURCE.rglob("*.py") if "util" in path.stem or "helper" in path.stem] == []
