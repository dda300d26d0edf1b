"""`--help` of a command, at once: what it does is known before the slow imports."""

import os
import sys
from collections.abc import Sequence

HELP = {"-h", "--help"}


def names_config(argv: Sequence[str] | None = None) -> bool:
    """Whether a command line, by default that of this process, names a config, whose options are then the help.

    >>> names_config(["main", "--config=cpc", "--help"]), names_config(["main", "--config.seed=1", "--help"])
    (True, False)
    """
    return any(one.lstrip("-").partition("=")[0] == "config" for one in (sys.argv if argv is None else argv)[1:])


def answer_help(doc: str) -> None:
    """Prints what a command does and ends the process, where its command line asks for that.

    The code is 0, or 1 where nobody reads the output any more, as after `… | head`.
    """
    if HELP & set(sys.argv[1:]):
        try:
            print(doc, flush=True)
        except BrokenPipeError:
            os._exit(1)
        os._exit(0)
