"""Every example in a docstring runs and shows what it says."""

import ast
import doctest
import importlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from commands import SHORT, begun, fitting
from finished_runs import SIMCLR

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "mi_coding").rglob("*.py")
)
NAMES = {"jax": jax, "jnp": jnp, "np": np}
OF_A_RUN = {"mi_coding.runs.trained_encoder", "mi_coding.runs.compare"}  # theirs need a work directory, WORKDIR
OF_PYTHON = {
    "mi_coding.learn.fit",
    "mi_coding.learn.train",
}  # theirs train, so they need a directory, and SHORT options
WHOLE_RUNS = {"mi_coding.learn.train"}  # which test_fit.py has, too
SLOW = {"mi_coding.estimate.series", "mi_coding.estimate.several"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.soak if name in WHOLE_RUNS | SLOW else ()) for name in MODULES]
)
def test_docstring_examples_show_what_they_say(name, tmp_path):
    names = NAMES
    if name == "mi_coding.benchmarks.torch_step":
        pytest.importorskip("torch", reason="PyTorch is not installed")
    if name in OF_A_RUN:
        begun(tmp_path / "run")
        names = NAMES | {"WORKDIR": tmp_path / "run"}
    if name in OF_PYTHON:
        short = (one.removeprefix("--config.").split("=") for one in fitting(SIMCLR, *SHORT))
        names = NAMES | {"WORKDIR": tmp_path / "run", "SHORT": {key: ast.literal_eval(value) for key, value in short}}
    result = doctest.testmod(importlib.import_module(name), extraglobs=names, optionflags=doctest.ELLIPSIS)
    assert result.failed == 0


def test_public_functions_have_an_example():
    import mi_coding

    homes = mi_coding._WHEN_ASKED_FOR  # for `mi_coding.compare` is the command, too, once that is imported
    functions = [getattr(__import__(homes[name], fromlist=[name]), name) for name in homes if name[0].islower()]
    without = [f.__name__ for f in functions if callable(f) and ">>>" not in (f.__doc__ or "")]
    assert without == []
