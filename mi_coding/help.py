"""`--help` of a command, answered at once, before the slow imports."""

import os
import sys
from collections.abc import Sequence

HELP = {"-h", "--help"}


def names_config(argv: Sequence[str] | None = None) -> bool:
    """Whether a command line, by default that of this process, names a config; its help then lists those options.

    >>> names_config(["main", "--config=cpc", "--help"]), names_config(["main", "--config.seed=1", "--help"])
    (True, False)
    """
    return any(one.lstrip("-").partition("=")[0] == "config" for one in (sys.argv if argv is None else argv)[1:])


def answer_help(doc: str) -> None:
    """Prints the help of a command and ends the process, if its command line asks for help.

    The exit code is 0, or 1 if the reader of the output has closed the pipe, as in `… | head`.
    """
    if HELP & set(sys.argv[1:]):
        try:
            print(doc, flush=True)
        except BrokenPipeError:
            os._exit(1)
        os._exit(0)
