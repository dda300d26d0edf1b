"""Every option of a config on one page: its value, type, meaning, and where the value comes from."""

import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mi_coding.config.command_line import Command
from mi_coding.config.presets import FOLDER, presets
from mi_coding.options import OptionSpec

_PLAIN_WIDTH = 400  # in a file or a pipe, which has no width of its own: one line per option


def print_presets() -> None:
    """Prints the configs that come with the package, each with what it is for."""
    _print_table(("--config=", "what it learns"), presets().items())
    print(f"in {FOLDER}; python -m mi_coding.main --config=NAME --print_config shows every option")


def print_options(values: dict[str, Any], specs: dict[str, OptionSpec], command: Command) -> None:
    """Prints a table with one row per option: its value, which may come from the command, its origin, and its spec."""
    rows = []
    for key, value in values.items():
        origin = "command line" if key in command.typed else "file" if key in command.config else "default"
        rows.append((f"config.{key}", repr(value), origin, specs[key].meaning, specs[key].type_name))
    _print_table(("option", "value", "from", "meaning", "type"), rows)  # last the column that is long for a few rows


def _print_table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Prints rows folded to the width of a terminal, elsewhere one line per row; without trailing spaces."""
    console = Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH, highlight=False)
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    with console.capture() as drawn:
        console.print(table)
    for line in drawn.get().splitlines():
        print(line.rstrip())
