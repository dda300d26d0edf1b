"""What the benchmarks of a run read from the command line: their own options, and those of the main command."""

import argparse
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from sys import stderr
from typing import Any

from mi_coding.errors import InputError, Setting
from mi_coding.runs.run import Run, prepare

CONFIG = Path(__file__).parents[2] / "configs" / "cpc.py"
"""The config that is measured where none is named."""


def split_arguments(argv: list[str], **defaults: Any) -> tuple[argparse.Namespace, list[str]]:
    """The options of a benchmark, typed as their defaults, and a command line for `parse_command` that has a config.

    >>> split_arguments(["step", "--steps=3", "--config=mine.py", "--config.seed=1"], steps=10)
    (Namespace(steps=3), ['step', '--config=mine.py', '--config.seed=1'])
    >>> split_arguments(["step"], steps=10)[1] == ["step", f"--config={CONFIG}"]
    True
    """
    own = argparse.ArgumentParser(add_help=False)
    for name, default in defaults.items():
        own.add_argument(f"--{name}", type=type(default), default=default)
    given, rest = own.parse_known_args(argv)
    named = any(argument.lstrip("-").partition("=")[0] == "config" for argument in rest[1:])
    return given, rest if named else [rest[0], f"--config={CONFIG}", *rest[1:]]


def prepare_in_memory(config: Mapping[str, Any], workdir: Path) -> Run:
    """A run whose data lives on the devices; warnings go to stderr.

    Raises:
        InputError: for data that is streamed, and as `prepare` does.
    """
    run = prepare(config, workdir, partial(print, file=stderr))
    if run.streamed:
        source = Setting("data.source", run.plan.data.source)
        raise InputError(source, " is streamed; expected data that fits in memory")
    return run
