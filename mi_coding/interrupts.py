"""Ctrl-C and SIGTERM: they end a command at any moment, with one line and its documented exit code.

Python runs a signal handler only between two bytecode instructions, and one that compiles a program may take minutes.
So the handler raises `Interrupted` in the main thread, where files are removed and processes ended as after any error,
and a second thread, which the operating system wakes at once, ends the process if the main thread does not return.
"""

import math
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

STOPS = (signal.SIGTERM, signal.SIGINT)
_IN_COMPILED_CODE = 1.0  # seconds that the main thread may take to notice a signal
_CLEANING_UP = 60.0  # seconds that it may take to end from then on


class Interrupted(KeyboardInterrupt):
    """Raised in the main thread of a command by Ctrl-C or SIGTERM, or if another process of the run got one."""

    def __init__(self, number: signal.Signals):
        super().__init__(number.name)
        self.number = number


class _Command:
    """How the command of this process ends: global state, since signals, too, are for the whole process."""

    def __init__(self):
        self.leaving = threading.Lock()
        self.begin(None)

    def begin(self, code: int | None) -> None:
        self.code = code  # exit code of a stopped command; None for 128 + the signal, as in a shell
        self.kept = "interrupted"  # what the final line reports
        self.together: Callable[[signal.Signals], bool] | None = None  # called before the end; returns whether to print
        self.watched = False  # whether a thread ends this process at a second signal
        self.noticed = threading.Event()  # set once the main thread has noticed the signal
        self.stopped_by: signal.Signals | None = None
        self.finished = False
        self.swallowed = False  # whether `Interrupted` was raised where exceptions are discarded
        self.followed: Counter[signal.Signals] = Counter()  # signals that this process has sent itself
        self.deferred: list[signal.Signals] | None = None
        self.patience = math.inf  # seconds, while deferred


_command = _Command()


def end_while_importing(code: int | None = None) -> None:
    """Until `stoppable` takes over, a signal ends this process at once: imports take seconds, and need no cleaning up.

    Args:
        code: the exit code; None for 128 + the number of the signal.
    """
    _command.code, _command.kept = code, "interrupted before anything was read or written"

    def act(number: int, _: object) -> None:
        os._exit(end(signal.Signals(number)))

    for number in STOPS:
        signal.signal(number, act)


@contextmanager
def stoppable(code: int | None = None) -> Iterator[None]:
    """A context in which Ctrl-C and SIGTERM raise `Interrupted`, and end the process if the main thread does not react.

    A second signal of the same kind ends it without any delay. Outside the main thread, which alone receives signals,
    the context does nothing.

    Args:
        code: the exit code; None for 128 + the number of the signal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _command.begin(code)
    _command.watched = True
    before = {number: signal.signal(number, _interrupt) for number in STOPS}
    read, write = os.pipe()
    os.set_blocking(write, False)
    wakeup = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    watcher = threading.Thread(target=_watch, args=(read,), daemon=True, name="mi_coding-signals")
    watcher.start()
    before_hook, sys.unraisablehook = sys.unraisablehook, _raise_again(sys.unraisablehook)
    try:
        yield
    finally:
        sys.unraisablehook = before_hook
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if _command.finished else handler)
        os.close(write)  # which ends the watcher
        watcher.join()
        os.close(read)
        _command.begin(None)


@contextmanager
def deferred(at_most: float = math.inf) -> Iterator[list[signal.Signals]]:
    """Records SIGTERM and SIGINT instead of acting on them; a second one of the same kind is not caught.

    Nested contexts yield the same list. The caller acts on what was recorded, see `stop`.

    Args:
        at_most: seconds that compiled code may occupy the main thread after a signal before the process is ended.
    """
    if _command.deferred is not None:
        yield _command.deferred
        return
    if threading.current_thread() is not threading.main_thread():  # which receives no signals
        yield []
        return
    received: list[signal.Signals] = []

    def note(number: int, _: object) -> None:
        _command.noticed.set()
        received.append(signal.Signals(number))
        if not _command.watched:
            signal.signal(number, before[number])

    before = {number: signal.signal(number, note) for number in STOPS}
    _command.deferred, _command.patience = received, at_most
    try:
        yield received
    finally:
        _command.deferred = None
        for number, handler in before.items():
            signal.signal(number, handler)


def too_late() -> None:
    """Signals after the command are ignored: its exit code is settled, and the shutdown, a second long, keeps it."""
    _command.finished = True


def keeps(text: str) -> None:
    """Sets what the final line of a stopped command reports from now on, such as "codes.npz was not written"."""
    _command.kept = text


def stop_together(act: Callable[[signal.Signals], bool] | None) -> None:
    """From now on, `act` is called before a stopped process ends; it returns whether this process prints the line."""
    _command.together = act


def stop(number: signal.Signals) -> NoReturn:
    """Acts on a signal that was deferred."""
    _command.stopped_by = number
    raise Interrupted(number)


def stopped_by() -> signal.Signals | None:
    """The signal by which this command, or another process of its run, is being stopped."""
    return _command.stopped_by or next(iter(_command.followed), None)


def follow(number: signal.Signals) -> None:
    """Stops this process as if it had received the signal of another process, unless it is being stopped already."""
    if _command.stopped_by is None and not _command.followed:
        _signal_main_thread(number)


def describe(number: signal.Signals) -> str:
    """The line of a stopped command."""
    return f"{number.name}: {_command.kept}"


def end(number: signal.Signals) -> int:
    """Prints the final line, to stdout if the exit code is 0 and else to stderr, and returns the exit code."""
    code = _exit_code(number)
    print(describe(number), file=sys.stderr if code else sys.stdout, flush=True)
    return code


def leave(number: signal.Signals) -> NoReturn:
    """Ends the process without Python's shutdown, which might wait forever, after telling the others of the run."""
    with _command.leaving:  # never released: a second caller waits for the process to end
        speaks = _command.together(number) if _command.together else True
        with suppress(OSError, ValueError, RuntimeError):  # nobody reads any more
            if speaks:
                end(number)
            sys.stderr.flush()
        os._exit(_exit_code(number))


def _exit_code(number: signal.Signals) -> int:
    return 128 + number if _command.code is None else _command.code


def _signal_main_thread(number: signal.Signals) -> None:
    _command.followed[number] += 1
    signal.pthread_kill(threading.main_thread().ident, number)


def _interrupt(number: int, _: object) -> None:
    _command.noticed.set()
    if _command.stopped_by is None or _command.swallowed:
        _command.swallowed = False
        stop(_command.stopped_by or signal.Signals(number))


def _raise_again(otherwise: Callable[[Any], None]) -> Callable[[Any], None]:
    """A hook for exceptions that cannot propagate, as in `__del__`: an `Interrupted` is raised again a moment later."""

    def again(number: signal.Signals) -> None:
        if _command.swallowed:  # else the command has ended meanwhile
            _signal_main_thread(number)

    def hook(unraisable: Any) -> None:
        if isinstance(unraisable.exc_value, Interrupted):
            _command.swallowed = True
            threading.Timer(0.1, again, (unraisable.exc_value.number,)).start()
        else:
            otherwise(unraisable)

    return hook


def _watch(read: int) -> None:
    """Runs in a thread of its own: each signal of the process arrives here as a byte, whatever the main thread does."""
    seen: Counter[int] = Counter()
    while arrived := os.read(read, 1):
        number = arrived[0]
        if number not in STOPS:
            continue
        seen[number] += 1
        if seen[number] > 1 + _command.followed[number]:
            os._exit(128 + number)
        if seen.total() == 1:
            threading.Thread(target=_end_unless_noticed, args=(signal.Signals(number),), daemon=True).start()


def _end_unless_noticed(number: signal.Signals) -> None:
    noticed, began = _command.noticed, time.monotonic()
    while not noticed.wait(_IN_COMPILED_CODE):
        if _command.noticed is not noticed:  # that command has ended, and the process goes on
            return
        if _command.deferred is None or time.monotonic() - began > _command.patience:
            _command.stopped_by = number
            leave(number)
    if _command.stopped_by:
        time.sleep(_CLEANING_UP)
        if _command.noticed is noticed:
            leave(number)
