"""How much information two arrays share.

    python -m mi_coding.estimate x.npy y.npy [--given=z.npy]
    python -m mi_coding.estimate arrays.npz
    python -m mi_coding.estimate table.csv --target=COLUMN [--given=COLUMN]
    python -m mi_coding.estimate table.parquet --matrix

Two files hold one array each: a .npy, or a .csv or .tsv of numbers, with or without a line of headings, or of one
column of text with one. A single .npz holds arrays x, y and optionally given; arrays.npz:NAME selects one array of any
other .npz. For a table with headings (.csv, .tsv or .parquet), --target estimates what all other columns together, and
each alone, share with one column; --matrix estimates every pair of columns.

    --given         a file, or a column of the table: estimates I(x; y | given)
    --rows          independent (the default); series, for rows that follow one another in time; or, for a table, a
                    column of groups, such as patients, whose rows depend on each other
    --missing       error (the default), or drop, to leave out the rows that lack a value
    --seed          the same arrays and seed give the same result (default 0)
    --effort        default, or quick for a third of the time
    --permutations  how many the test of independence makes (default 199)
    --json          one JSON object instead of text
    --pointwise     with --json, also the contribution of each pair
    --plot          FILE.png: read-outs beside the estimate, or the matrix
    --report        FILE.html: one page with the estimate, the contribution of each pair, the curve and the warnings

Prints the estimate in nats with a 95 % interval and a test of independence.
"""

from mi_coding.help import answer_help

if __name__ == "__main__":
    answer_help(__doc__)

import argparse
import difflib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn
from zipfile import BadZipFile

import numpy as np

from mi_coding.command import run_command
from mi_coding.errors import InputError
from mi_coding.estimate import EFFORTS, FeatureRanking, estimate_mi, mi_matrix, rank_features
from mi_coding.estimate.features import require_pandas
from mi_coding.estimate.inputs import listed
from mi_coding.estimate.report import estimate_report
from mi_coding.estimate.rows import ROWS
from mi_coding.estimate.text_table import TABLES, read_table
from mi_coding.reporting.page import write_report

PLOTS = (".png", ".pdf", ".svg", ".jpg")
"""File types of plots."""


class _Parser(argparse.ArgumentParser):
    """Reports mistakes as an `InputError`, as all commands do."""

    def error(self, message: str) -> NoReturn:
        raise InputError(message)

    def parse_args(self, args: Sequence[str]) -> argparse.Namespace:
        found, unknown = self.parse_known_args(args)
        if not unknown:
            return found
        options = list(self._option_string_actions)
        near = difflib.get_close_matches(unknown[0].partition("=")[0], options, n=1)
        hint = f"did you mean {near[0]}?" if near else f"options are {', '.join(options)}"
        kind = "is not an option" if unknown[0].startswith("-") else "is one argument too many"
        raise InputError(f"{unknown[0]} {kind}; {hint}")


def main(argv: list[str] | None = None) -> int:
    """Runs a command line, program name first; returns the exit code: 0, or 2 for a mistake in it or in its files."""
    return run_command(argv, __doc__, _estimate)


def _estimate(argv: list[str]) -> int:
    arguments = _parse(argv[1:])
    if arguments.matrix:
        return _print_matrix(arguments)
    arrays, ranking = _arrays(arguments)
    names = "seed", "effort", "missing", "permutations"
    how = {name: getattr(arguments, name) for name in names}
    found = estimate_mi(**arrays, **how, pointwise=arguments.pointwise or bool(arguments.report))
    if arguments.plot:
        _written(arguments.plot, "--plot", found.plot().savefig)
    if arguments.report:
        page = estimate_report(found, arrays, title=f"{arguments.x}", ranking=ranking)
        _written(arguments.report, "--report", lambda path: write_report(path, page))
    features = {"features": ranking.table.to_dict("records")} if ranking else {}
    print(json.dumps(found.to_dict() | features) if arguments.json else found)
    if ranking and not arguments.json:
        assumed = "" if arguments.rows == "independent" else ", as if rows were independent"
        print(f"\neach column alone, in nats{assumed}:\n{ranking}")
    return 0


def _print_matrix(arguments: argparse.Namespace) -> int:
    effort = "fast" if arguments.effort == "default" else arguments.effort
    found = mi_matrix(_table(arguments.x), effort=effort, missing=arguments.missing, seed=arguments.seed)
    if arguments.plot:
        _written(arguments.plot, "--plot", found.plot().savefig)
    matrices = {name: getattr(found, name) for name in ("nats", "p_values")}
    plain = {name: one.astype(object).where(one.notna(), None).to_dict() for name, one in matrices.items()}
    print(json.dumps(plain) if arguments.json else found)
    return 0


def _arrays(arguments: argparse.Namespace) -> tuple[dict[str, Any], FeatureRanking | None]:
    """The arguments of `estimate_mi`; and, for a table with a target, the ranking of its columns."""
    if arguments.target is None:
        if arguments.y is None:
            arrays = _pair_of_archive(arguments.x)
            if arguments.given and "given" in arrays:
                raise InputError(f"{arguments.x} has an array given; expected no --given={arguments.given}")
            arrays |= {"given": load(Path(arguments.given))} if arguments.given else {}
        else:
            arrays = {name: load(Path(path)) for name in ("x", "y", "given") if (path := getattr(arguments, name))}
        return arrays | {"rows": arguments.rows}, None
    table = _table(arguments.x)
    target, given = (_column(table, name, "--" + name, getattr(arguments, name)) for name in ("target", "given"))
    is_kind = arguments.rows in ROWS
    rows = arguments.rows if is_kind else _column(table, "rows", "--rows", arguments.rows)
    taken = {arguments.target, arguments.given, None if is_kind else arguments.rows}
    others = table[[name for name in table.columns if name not in taken]]
    if not others.shape[1]:
        raise InputError(f"{arguments.x} has no column besides {arguments.target}; expected others to estimate from")
    arrays = {"x": others, "y": target, "rows": rows if is_kind else rows.to_numpy()}
    ranking = rank_features(others, target, missing=arguments.missing)
    return arrays | ({} if given is None else {"given": given}), ranking


def _pair_of_archive(path: str) -> dict[str, np.ndarray]:
    if Path(path).suffix.lower() != ".npz":
        alone = "a table needs --target=COLUMN or --matrix"
        raise InputError(f"the following arguments are required: y, unless {path} is an .npz of x and y; {alone}")

    def choose(names: set[str]) -> list[str]:
        if not {"x", "y"} <= names:
            there = f"{path} has {'arrays ' + ', '.join(sorted(names)) if names else 'no arrays'}"
            raise InputError(f"{there}; expected x and y, or name them: {path}:NAME")
        return [name for name in ("x", "y", "given") if name in names]

    return _from_archive(path, choose)


def _column(table: Any, name: str, option: str, column: str | None) -> Any:
    if column is None:
        return None
    if column not in table.columns:
        names = list(map(str, table.columns))
        near = difflib.get_close_matches(column, names, 1)
        hint = f"did you mean {near[0]}?" if near else f"expected one of {listed(names)}"
        raise InputError(f"{option}={column} is not a column of the table; {hint}")
    return table[column]


def _table(path: str) -> Any:
    """A pandas DataFrame of a table with headings."""
    read = {".csv": "read_csv", ".tsv": "read_csv", ".parquet": "read_parquet"}.get(Path(path).suffix.lower())
    if read is None:
        raise InputError(f"{path} is not a table; expected a file that ends in .csv, .tsv or .parquet")
    if "://" not in path and not Path(path).exists():  # pandas also reads addresses
        raise InputError(f"{path} cannot be read: No such file or directory")
    pandas = require_pandas("a table with headings")
    how = {"sep": TABLES[Path(path).suffix.lower()]} if Path(path).suffix.lower() in TABLES else {}
    try:
        return getattr(pandas, read)(path, **how)
    except (OSError, ValueError, ImportError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise InputError(f"{path} cannot be read: {reason}") from None


def _written(path: Path, option: str, write: Callable[[Path], None]) -> None:
    try:
        write(path)
    except OSError as error:
        raise InputError(f"{option}={path} cannot be written: {error.strerror or error}") from error


@contextmanager
def _reading(path: str | Path, expected: str) -> Iterator[None]:
    """Reports what NumPy raises for a file that cannot be read as an `InputError`."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except MemoryError as error:
        raise InputError(f"{path} does not fit in memory") from error
    except (ValueError, EOFError, BadZipFile) as error:
        raise InputError(f"{path} is not {expected}: {str(error).splitlines()[0]}") from error


def _from_archive(path: str | Path, choose: Callable[[set[str]], Sequence[str]]) -> dict[str, np.ndarray]:
    """The arrays of a .npz file that `choose` selects by name.

    Raises:
        InputError: for a file that cannot be read; and what `choose` raises.
    """
    expected = "an .npz file of arrays"
    with ExitStack() as stack:
        with _reading(path, expected):  # numpy.load itself leaves a damaged archive open
            file = np.load(stack.enter_context(Path(path).open("rb")), allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise InputError(f"{path} is not {expected}")
        names = choose(set(file.files))
        with _reading(path, expected):
            return {name: file[name] for name in names}


def load(path: Path) -> np.ndarray:
    """The array of a .npy file, or of a table, see `read_table`.

    Raises:
        InputError: for a file that is missing, has another format, or holds objects.
    """
    if path.suffix.lower() in TABLES:
        return read_table(path)
    whole, _, key = str(path).rpartition(":")
    if whole.lower().endswith(".npz"):

        def choose(names: set[str]) -> list[str]:
            if key not in names:
                raise InputError(f"{whole} has no array {key}; expected one of {', '.join(sorted(names))}")
            return [key]

        return _from_archive(whole, choose)[key]
    with _reading(path, "a .npy file of numbers or strings"), path.open("rb") as file:
        array = np.load(file, allow_pickle=False)  # which itself leaves a damaged archive open
    if not isinstance(array, np.ndarray):
        raise InputError(f"{path} holds several arrays; name one: {path}:NAME")
    return array


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = _Parser(prog="python -m mi_coding.estimate", add_help=False, allow_abbrev=False)
    parser.add_argument("x")
    parser.add_argument("y", nargs="?")
    parser.add_argument("--given")
    parser.add_argument("--target")
    parser.add_argument("--matrix", action="store_true")
    parser.add_argument("--rows", default="independent")
    parser.add_argument("--missing", default="error")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--effort", choices=list(EFFORTS), default="default")
    parser.add_argument("--permutations", type=int)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--pointwise", action="store_true")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--report", type=Path)
    arguments = parser.parse_args(argv)
    if not 0 <= arguments.seed < 2**32:
        raise InputError(f"--seed={arguments.seed}: expected a whole number from 0 to 4294967295")
    for option, path, endings in (("plot", arguments.plot, PLOTS), ("report", arguments.report, (".html",))):
        if path and not path.parent.is_dir():
            raise InputError(f"--{option}={path}: there is no folder {path.parent}")
        if path and path.suffix.lower() not in endings:
            raise InputError(f"--{option}={path}: expected a name that ends in {', '.join(endings)}")
    if (arguments.matrix or arguments.target) and arguments.y:
        raise InputError(f"{arguments.y} is given with a table; expected one file with --target or --matrix")
    if arguments.matrix and (arguments.target or arguments.given or arguments.report):
        raise InputError("--matrix covers every pair of columns; expected no --target, --given or --report")
    of_rows = arguments.rows != "independent" or arguments.pointwise or arguments.permutations is not None
    if arguments.matrix and of_rows:
        raise InputError("--matrix counts independent rows; expected no --rows, --pointwise or --permutations")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
