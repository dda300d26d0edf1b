"""`--help` of a command, at once: what it does is known before the slow imports."""

import os
import sys
from contextlib import suppress


def answer_help(doc: str) -> None:
    """Prints what a command does and ends the process, where its command line asks for that."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        with suppress(BrokenPipeError):  # nobody reads any more, as after `… | head`
            print(doc, flush=True)
        os._exit(0)
