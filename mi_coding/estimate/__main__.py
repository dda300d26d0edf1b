"""How much information two arrays share.

    python -m mi_coding.estimate x.npy y.npy [--given=z.npy] [--seed=0] [--effort=quick] [--json] [--plot=FILE.png]

The arrays may also be tables, x.csv or x.tsv: numbers, or one column of text, with or without a line of headings.

Prints the estimate in nats with a 95 % interval and a test of independence; with --json, one JSON object.
"""

from mi_coding.help import answer_help

if __name__ == "__main__":
    answer_help(__doc__)

import argparse
import json
import sys
from pathlib import Path
from typing import NoReturn
from zipfile import BadZipFile

import numpy as np

from mi_coding.command import run_command
from mi_coding.errors import InputError
from mi_coding.estimate import EFFORTS, estimate_mi
from mi_coding.estimate.text_table import TABLES, read_table

PLOTS = (".png", ".pdf", ".svg", ".jpg")
"""File types of plots."""


class _Parser(argparse.ArgumentParser):
    """Reports mistakes as an `InputError`, as all commands do."""

    def error(self, message: str) -> NoReturn:
        raise InputError(message)


def main(argv: list[str] | None = None) -> int:
    """The command line, the program's name first; returns the exit code: 0, or 2 for a mistake in it or its files."""
    return run_command(argv, __doc__, _estimate)


def _estimate(argv: list[str]) -> int:
    arguments = _parse(argv[1:])
    arrays = {name: load(getattr(arguments, name)) for name in ("x", "y", "given") if getattr(arguments, name)}
    found = estimate_mi(**arrays, seed=arguments.seed, effort=arguments.effort)
    if arguments.plot:
        try:
            found.plot().savefig(arguments.plot)
        except OSError as error:
            raise InputError(f"--plot={arguments.plot} cannot be written: {error.strerror or error}") from error
    print(json.dumps(found.to_dict()) if arguments.json else found)
    return 0


def load(path: Path) -> np.ndarray:
    """The array of a .npy file, or of a table, see `read_table`.

    Raises:
        InputError: for a file that is missing, is no such file, or holds objects.
    """
    if path.suffix.lower() in TABLES:
        return read_table(path)
    try:
        with path.open("rb") as file:  # numpy.load itself leaves a damaged archive open
            array = np.load(file, allow_pickle=False)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except MemoryError as error:
        raise InputError(f"{path} does not fit in memory") from error
    except (ValueError, EOFError, BadZipFile) as error:
        raise InputError(f"{path} is not a .npy file of numbers or strings: {str(error).splitlines()[0]}") from error
    if not isinstance(array, np.ndarray):
        raise InputError(f"{path} holds several arrays; save one with numpy.save")
    return array


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = _Parser(prog="python -m mi_coding.estimate", add_help=False, allow_abbrev=False)
    parser.add_argument("x", type=Path)
    parser.add_argument("y", type=Path)
    parser.add_argument("--given", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--effort", choices=list(EFFORTS), default="default")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args(argv)
    if not 0 <= arguments.seed < 2**32:
        raise InputError(f"--seed={arguments.seed}: expected a whole number from 0 to 4294967295")
    if arguments.plot and not arguments.plot.parent.is_dir():
        raise InputError(f"--plot={arguments.plot}: there is no folder {arguments.plot.parent}")
    if arguments.plot and arguments.plot.suffix.lower() not in PLOTS:
        raise InputError(f"--plot={arguments.plot}: expected a name that ends in {', '.join(PLOTS)}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
