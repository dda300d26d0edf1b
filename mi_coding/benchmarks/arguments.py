"""What the benchmarks of a run read from the command line: their own options, and those of the main command."""

import argparse
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from sys import stderr
from typing import Any

from mi_coding.command import check_output
from mi_coding.errors import InputError, Setting
from mi_coding.runs.run import Run, prepare

CONFIG = Path(__file__).parents[2] / "configs" / "cpc.py"
"""The config that is measured where none is named."""


IS_STREAMED = " is streamed; expected data that fits in memory"
"""What is said of a source whose examples are not on the devices."""


def split_arguments(argv: list[str], **defaults: Any) -> tuple[argparse.Namespace, list[str]]:
    """The options of a benchmark, typed as their defaults, and a command line for `parse_command` that has a config.

    >>> split_arguments(["step", "--steps=3", "--config=mine.py", "--config.seed=1"], steps=10)
    (Namespace(steps=3), ['step', '--config=mine.py', '--config.seed=1'])
    >>> split_arguments(["step"], steps=10)[1] == ["step", f"--config={CONFIG}"]
    True
    >>> split_arguments(["compiled", "--config", "mine.py"])[1]
    ['compiled', '--config=mine.py']

    Raises:
        InputError: for an option without a value or of another type, and for an `output` that cannot be written to.
    """
    own = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for name, default in defaults.items():
        own.add_argument(f"--{name}", type=type(default), default=default)
    try:
        given, rest = own.parse_known_args(argv)
    except argparse.ArgumentError as error:
        raise InputError(f"{error.argument_name}: {error.message}") from None
    if output := getattr(given, "output", ""):
        check_output(Path(output))
    rest = _with_joined_config(rest)
    return given, rest if any(map(is_config, rest)) else [rest[0], f"--config={CONFIG}", *rest[1:]]


def is_config(argument: str) -> bool:
    """Whether an argument names a config, in one word."""
    return re.match(r"--?config=", argument) is not None


def _with_joined_config(argv: list[str]) -> list[str]:
    """The arguments with each --config FILE as one, --config=FILE."""
    joined, following = [], iter(argv)
    for argument in following:
        if argument.lstrip("-") == "config" and argument != "config":
            if (value := next(following, None)) is None:
                raise InputError(f"{argument} names nothing; expected a config, such as --config=simclr")
            argument = f"{argument}={value}"
        joined.append(argument)
    return joined


def prepare_in_memory(config: Mapping[str, Any], workdir: Path) -> Run:
    """A run whose data lives on the devices; warnings go to stderr.

    Raises:
        InputError: for data that is streamed, and as `prepare` does.
    """
    run = prepare(config, workdir, partial(print, file=stderr))
    if run.streamed:
        source = Setting("data.source", run.plan.data.source)
        raise InputError(source, IS_STREAMED)
    return run
