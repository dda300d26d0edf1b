"""Compares runs: the config keys in which they differ, their results, and all their curves in one plot.

    python -m mi_coding.compare runs/* [--output=FILE.csv | FILE.html | FILE.png]

    --output       the table as .csv, the table with the curves as .html, or the curves as .png

Unfinished runs are marked as such.
"""

from mi_coding.help import answer_help
from mi_coding.interrupts import end_while_importing

if __name__ == "__main__":
    answer_help(__doc__)
    end_while_importing()

import csv
import io
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from mi_coding.command import check_output, options, run_command
from mi_coding.errors import InputError
from mi_coding.reporting import terminal
from mi_coding.reporting.environment import describe_environment
from mi_coding.reporting.files import write_atomically
from mi_coding.reporting.page import Report, Section, write_report
from mi_coding.runs.compare import Comparison, compare


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit code: 0 done, 2 a mistake in the command."""
    return run_command(argv, __doc__, _compare)


def _compare(argv: list[str]) -> int:
    given = options([argv[0], *(one for one in argv[1:] if one.startswith("-"))], {"output": ""})
    workdirs = [one for one in argv[1:] if not one.startswith("-")]
    output = Path(given.output)
    if given.output:
        if output.suffix not in _WRITERS:
            raise InputError(f"--output={output}; expected a file that ends in {', '.join(_WRITERS)}")
        check_output(output)
    comparison = compare(workdirs)
    terminal.closing_table([comparison.group])
    if given.output:
        _WRITERS[output.suffix](comparison, output)
        print(f"\ncomparison: {output}")
    return 0


def _write_csv(comparison: Comparison, output: Path) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(comparison.rows[0]))
    writer.writeheader()
    writer.writerows(comparison.rows)
    write_atomically(output, text.getvalue())


def _section(comparison: Comparison) -> Section:
    text = "The bound of training batches, a running mean; the loss of runs that have no bound."
    return Section("Curves", text, comparison.figure(), "curves")


def _write_html(comparison: Comparison, output: Path) -> None:
    lead = "The keys of their configs that differ, and the results."
    title = f"mi_coding: {len(comparison.runs):,} runs"
    groups, environment = [comparison.group], describe_environment()
    write_report(output, Report(title, lead, [], [], [_section(comparison)], groups, {}, environment))


def _write_png(comparison: Comparison, output: Path) -> None:
    write_atomically(output, _section(comparison).png)


class _Command(ModuleType):
    """The class of this module, so that `mi_coding.compare`, once imported, can also be called like the function."""

    def __call__(self, workdirs: Iterable[str | Path]) -> Comparison:
        return compare(workdirs)


sys.modules[__name__].__class__ = _Command

_WRITERS = {".csv": _write_csv, ".html": _write_html, ".png": _write_png}

if __name__ == "__main__":
    sys.exit(main())
