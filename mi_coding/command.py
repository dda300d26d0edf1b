"""What the commands share: options by name, help, and one line for every mistake."""

import logging
import os
import select
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from absl import flags

from mi_coding.errors import InputError, Setting, nearest, respelled
from mi_coding.interrupts import Interrupted, end, leave, stoppable, too_late

AS_TRAINED = -1
IMAGE_OPTIONS = {"image_size": AS_TRAINED, "channels": AS_TRAINED, "white": float(AS_TRAINED), "layout": ""}
"""What images are brought to, and what a folder of them is taken for; by default as in training."""


def run_command(
    argv: list[str] | None, doc: str, run: Callable[[list[str]], int], *, stopped: int | None = None
) -> int:
    """Runs a command; returns its exit code: 2, and one line on stderr, for a mistake of the user.

    Ctrl-C and SIGTERM end it with one line, which says what is kept, see `interrupts.keeps`. Where nobody reads the
    output any more (`… | head`) the code is 1, and nothing is said.

    >>> run_command(["embed", "--help"], "Says this.", run=None)
    Says this.
    0

    Args:
        argv: the command line, the program's name first; None for that of this process.
        doc: what `--help` prints.
        run: gets the command line and returns an exit code.
        stopped: the exit code after Ctrl-C or SIGTERM; None for 130 and 143, as a shell has them.
    """
    of_process, argv = argv is None, sys.argv if argv is None else argv
    logging.getLogger("absl").setLevel(logging.ERROR)  # orbax logs every file it touches
    with stoppable(stopped):
        try:
            code = _run(argv, doc, run)
            if of_process:  # which has only to end, with this code
                too_late()
            return code
        except KeyboardInterrupt as error:
            number = error.number if isinstance(error, Interrupted) else signal.SIGINT
            if of_process:  # whose orderly shutdown crashes beside a compilation that was left (jaxlib 0.10.2)
                leave(number)
            return end(number)


def _run(argv: list[str], doc: str, run: Callable[[list[str]], int]) -> int:
    try:
        code = 0
        if {"-h", "--help"} & set(argv):
            print(doc)
        else:
            code = run(argv)
        sys.stdout.flush()
        return code
    except InputError as error:
        if str(error):  # empty where another process has printed the line
            # What was typed may hold line breaks, and characters that no terminal shows.
            line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(error))
            print(f"mi_coding: error: {line}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        if not _reader_left():
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python tries once more when it ends
        return 1


def _reader_left() -> bool:
    """Whether nobody reads what is printed any more, as after `… | head`: no mistake, and nothing to say."""
    poll = select.poll()
    poll.register(sys.stdout, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


_DEFINE = {int: flags.DEFINE_integer, float: flags.DEFINE_float}


def options(argv: list[str], defaults: Mapping[str, str | int | float | None]) -> flags.FlagValues:
    """Reads `--NAME=VALUE …`, and nothing else; an option whose default is None must be given, or InputError is raised.

    >>> options(["embed", "--workdir=runs/a"], {"workdir": None, "layer": "codes"}).workdir
    'runs/a'
    """
    values = flags.FlagValues()
    for name, default in defaults.items():
        _DEFINE.get(type(default), flags.DEFINE_string)(name, default, "", flag_values=values)
    try:
        stray = values(argv)[1:]
    except flags.IllegalFlagValueError as error:  # of a number: text may be anything
        given = str(error).removeprefix("flag ").partition(": ")[0]
        is_whole = isinstance(defaults[given.removeprefix("--").partition("=")[0]], int)
        raise InputError(f"{given}; expected a {'whole ' if is_whole else ''}number") from None
    except flags.UnrecognizedFlagError as error:
        near = nearest(error.flagname, list(defaults))
        hint = f"did you mean --{near}?" if near else f"expected --{', --'.join(defaults)}"
        raise InputError(f"--{error.flagname} is not an option; {hint}") from None
    except flags.Error as error:
        raise InputError(" ".join(str(error).split())) from None
    if stray:
        raise InputError(f"unexpected argument {stray[0]!r}; options are written --name=value")
    missing = [f"--{name}" for name, default in defaults.items() if default is None and not values[name].value]
    if missing:
        raise InputError(f"no {' and no '.join(missing)} given; see --help")
    return values


def check_output(output: Path) -> None:
    """Raises InputError for a file that cannot be written: a folder, or a file in none."""
    if not output.absolute().parent.is_dir() or output.is_dir():
        raise InputError(f"--output={output} is not a file in an existing folder")


def image_options(given: flags.FlagValues) -> dict[str, Any]:
    """Those of `IMAGE_OPTIONS` that a person gave."""
    return {name: given[name].value for name, default in IMAGE_OPTIONS.items() if given[name].value != default}


def spelled_as_flags(given: flags.FlagValues) -> AbstractContextManager[None]:
    """Errors about the data name the flag of a command that has no config, where it has one: --source for data.source.

    Args:
        given: the flags of the command.
    """

    def as_flag(setting: Setting) -> str:
        group, _, name = setting.key.rpartition(".")
        return setting.spelled(f"--{name}") if group == "data" and name in given else str(setting)

    return respelled(as_flag)
