"""Shared by the commands: options by name, help, and one line for every mistake."""

import errno
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

from mi_coding.errors import InputError, NonFiniteLossError, SaveError, Setting, nearest, respelled
from mi_coding.interrupts import Interrupted, end, leave, stoppable, too_late

AS_TRAINED = -1
IMAGE_OPTIONS = {"image_size": AS_TRAINED, "channels": AS_TRAINED, "white": float(AS_TRAINED), "layout": ""}
"""How images are converted, and how a folder of them is interpreted; by default as in training."""

_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR, errno.ENOTDIR)


def run_command(
    argv: list[str] | None, doc: str, run: Callable[[list[str]], int], *, stopped: int | None = None
) -> int:
    """Runs a command; returns its exit code: 2, and one line on stderr, for a mistake of the user.

    The code is 1, also with one line, for a disk that is full or may not be written to, for devices out of memory, and
    for a loss that is not finite.

    Ctrl-C and SIGTERM end it with one line that states what was kept, see `interrupts.keeps`. If the reader of the
    output has closed the pipe (`… | head`), the code is 1 and nothing is printed.

    >>> run_command(["embed", "--help"], "Says this.", run=None)
    Says this.
    0

    Args:
        argv: the command line, the program's name first; None for that of this process (`sys.argv`).
        doc: what `--help` prints.
        run: gets the command line and returns an exit code.
        stopped: the exit code after Ctrl-C or SIGTERM; None for 130 and 143, as is usual in a shell.
    """
    of_process, argv = argv is None, sys.argv if argv is None else argv
    logging.getLogger("absl").setLevel(logging.ERROR)  # orbax logs every file it touches
    with stoppable(stopped):
        try:
            code = _run(argv, doc, run)
            if of_process:  # all that is left is to exit with this code
                too_late()
            return code
        except KeyboardInterrupt as error:
            number = error.number if isinstance(error, Interrupted) else signal.SIGINT
            if of_process:  # an orderly shutdown crashes beside an abandoned compilation (jaxlib 0.10.2)
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
            # What the user typed may contain line breaks and unprintable characters.
            line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(error))
            print(f"mi_coding: error: {line}", file=sys.stderr)
        return 2
    except (NonFiniteLossError, SaveError) as error:
        print(f"mi_coding: error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        if not _reader_left():
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python would flush again at exit
        return 1
    except (OSError, RuntimeError) as error:
        if not (reason := reason_of(error)):
            raise
        print(f"mi_coding: error: {reason}", file=sys.stderr)
        return 1


def reason_of(error: OSError | RuntimeError) -> str:
    """One line for a disk that is full or not writable, and for devices out of memory; "" for all else, our bugs.

    >>> reason_of(PermissionError(errno.EACCES, "Permission denied", "/shared/run"))
    "[Errno 13] Permission denied: '/shared/run'"
    """
    if isinstance(error, OSError):
        return str(error) if error.errno in _DISK_ERRORS else ""
    first = str(error).partition("\n")[0]
    if "RESOURCE_EXHAUSTED" not in first:
        return ""
    return f"{first[:200]}; lower batch_size or microbatch_size, or train on more devices"


def _reader_left() -> bool:
    """Whether the reader of stdout has closed the pipe, as in `… | head`: no error, so nothing is reported."""
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
    except flags.IllegalFlagValueError as error:  # raised for numbers only: any text is valid
        given = str(error).removeprefix("flag ").partition(": ")[0]
        is_whole = isinstance(defaults[given.removeprefix("--").partition("=")[0]], int)
        raise InputError(f"{given}; expected a {'whole ' if is_whole else ''}number") from None
    except flags.UnrecognizedFlagError as error:
        near = nearest(error.flagname, list(defaults))
        hint = f"did you mean --{near[0]}?" if near else f"expected --{', --'.join(defaults)}"
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
    """Raises InputError for a path that cannot be written to: a folder, or a file in a folder that is not there, or not
    writable."""
    parent = output.absolute().parent
    if not parent.is_dir() or output.is_dir():
        raise InputError(f"--output={output} is not a file in an existing folder")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise InputError(f"--output={output} lies in {parent}, which cannot be written to; expected another --output")


def image_options(given: flags.FlagValues) -> dict[str, Any]:
    """The entries of `IMAGE_OPTIONS` that the user gave."""
    return {name: given[name].value for name, default in IMAGE_OPTIONS.items() if given[name].value != default}


def spelled_as_flags(given: flags.FlagValues) -> AbstractContextManager[None]:
    """A context for commands without a config: errors name an option by its flag, if any: --source for data.source.

    Flags are named after options of runs, data and optimisers, whose names do not collide.

    Args:
        given: the flags of the command.
    """

    def as_flag(setting: Setting) -> str:
        group, _, name = setting.key.rpartition(".")
        has_flag = group in ("", "data", "optimizer") and name in given
        return setting.spelled(f"--{name}") if has_flag else str(setting)

    return respelled(as_flag)
