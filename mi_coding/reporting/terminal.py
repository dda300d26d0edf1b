"""What the user sees during a run: progress, warnings, and a closing table."""

import math
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from mi_coding.reporting import results

_PLAIN_WIDTH = 100  # of a table in a file or a pipe, which has no width of its own
_REDRAW = 0.25  # seconds between two drawings on a terminal
_LONGEST_SILENCE = 60.0  # seconds between two lines that only say that a wait goes on


class _Display:
    """Text that changes in place on a terminal or in a notebook, elsewhere a plain line every few seconds."""

    def __init__(self, stream: TextIO | None, interval: float):
        self._stream = sys.stdout if stream is None else stream
        console, errors = Console(file=self._stream), sys.stderr.isatty()  # a file keeps its errors
        redraws = self._stream.isatty() and not console.is_dumb_terminal  # FORCE_COLOR alone makes no terminal
        self._live = Live(console=console, auto_refresh=False, redirect_stderr=errors) if redraws else None
        self._returns = in_notebook(self._stream)
        self._drawn = 0  # length of the line that the next one overwrites
        self._silent_after = interval
        self._interval = _REDRAW if self._live or self._returns else interval

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()
        if self._drawn:
            print(file=self._stream, flush=True)

    def _write(self, line: str, drawn: RenderableType) -> None:
        if self._live:
            self._live.update(drawn, refresh=True)
        elif self._returns:
            print(f"\r{line:<{self._drawn}}", end="", file=self._stream, flush=True)
            self._drawn = len(line)
        else:
            print(line, file=self._stream, flush=True)


def in_notebook(stream: TextIO) -> bool:
    """Whether a stream is the output of a cell in a notebook, which takes a carriage return as a terminal does."""
    return type(stream).__module__.startswith("ipykernel")


class Progress(_Display):
    """Progress of training: a bar on a terminal, elsewhere a plain line every few seconds and one for the last step.

    Loss and bound are those of a training batch, and are labelled so; they are not results. Where steps are slow, lines
    after ever longer intervals, a minute at most, report how long ago the last numbers came.

    >>> with Progress(200, first_step=0, ceiling=math.log(256)) as progress:
    ...     progress.update(200, 1.64, 3.91, 5120.0)
    step 200/200, train loss 1.640, train bound 3.91 of at most 5.55 nats, 5,120 examples/s, 0:00 left
    """

    def __init__(
        self,
        total_steps: int,
        *,
        first_step: int,
        ceiling: float | None,
        stream: TextIO | None = None,
        interval: float = 5.0,
    ):
        """Shows nothing before the first update.

        Args:
            total_steps, first_step: of the whole run, and finished before this session.
            ceiling: ln N in nats, which the bound can never exceed; None for an objective that has none.
            stream: where to write; None is sys.stdout.
            interval: seconds between plain lines; a terminal is redrawn four times a second at most.
        """
        super().__init__(stream, interval)
        self._total_steps, self._first_step, self._ceiling = total_steps, first_step, ceiling
        self._counted_from: tuple[int, float] | None = None
        self._shown_at = -math.inf
        self._waiting: tuple[int, str, str] | None = None
        self._step = first_step
        self._backoff = _Backoff(interval)
        self._silence = ExitStack()

    def __enter__(self) -> Self:
        if not self._live:  # a live bar stays in sight
            self._silence.enter_context(_every(self._silent_after, self._tell_of_silence))
        return super().__enter__()

    def __exit__(self, *_: object) -> None:
        self._silence.close()
        self._show()
        super().__exit__()

    def update(
        self, step: int, loss: float, bound: float | None, speed: float, *, information: float | None = None
    ) -> None:
        """Reports how far training is; cheap enough for every step.

        Args:
            step: finished steps, those before this session included.
            loss, bound: of the training batch, in nats; None where it is no bound, as with twins kept out.
            speed: pairs per second of training, on all devices together.
            information: I(z_x; z_y) of a discrete code on the training batch, in nats; None where there is none.
        """
        now = time.monotonic()
        ceiling = "" if self._ceiling is None else f" of at most {self._ceiling:.2f}"
        bound_text = "" if bound is None else f"train bound {bound:.2f}{ceiling} nats, "
        shared = "" if information is None else f"train information {information:.2f} nats, "
        shown = f"{loss:.3f}" if abs(loss) >= 0.1 else f"{loss:.3g}"
        figures = f"train loss {shown}, {bound_text}{shared}{speed:,.0f} examples/s"
        self._waiting, self._step = (step, figures, self._time_left(step, now)), step
        if step >= self._total_steps or now - self._shown_at >= self._interval:
            self._show()

    def _tell_of_silence(self) -> None:
        silent = time.monotonic() - self._shown_at
        if not math.isfinite(silent) or silent < self._silent_after:
            return
        if self._waiting:
            self._show()
        elif self._backoff.is_due():
            line = f"step {self._step:,}/{self._total_steps:,} was {silent:.0f} s ago"
            self._write(line, Text(line))

    def _time_left(self, step: int, now: float) -> str:
        """From the speed since the first update: the steps before it also compiled."""
        if self._counted_from is None:
            self._counted_from = (step, now)
        begun_step, begun = self._counted_from
        if step >= self._total_steps:
            return "0:00 left"
        if step <= begun_step:
            return "-:-- left"
        return f"{_clock((now - begun) / (step - begun_step) * (self._total_steps - step))} left"

    def _show(self) -> None:
        waiting, self._waiting = self._waiting, None  # in one statement: two threads show
        if waiting is None:
            return
        step, figures, time_left = waiting
        count = f"step {step:,}/{self._total_steps:,}"
        columns = Column(no_wrap=True), Column(ratio=1), Column(no_wrap=True)
        bar = ProgressBar(self._total_steps - self._first_step, step - self._first_step, complete_style="cyan")
        above = Table.grid(*columns, padding=(0, 1), expand=True)
        above.add_row("training", bar, f"{count}, {time_left}")
        two_lines = Group(above, Text(figures, style="dim"))  # together they fit 80 columns
        self._write(f"{count}, {figures}, {time_left}", two_lines)
        self._shown_at = time.monotonic()
        self._backoff.restart()


class Counting(_Display):
    """How many of a total are done: a line that changes in place on a terminal, elsewhere one every few seconds.

    >>> with Counting("encoded", 200, unit="images") as counting:
    ...     counting.update(200)
    encoded 200/200 images, ... images/s, 0:00 left
    """

    def __init__(self, what: str, total: int, *, unit: str, stream: TextIO | None = None, interval: float = 5.0):
        """Starts the clock; `what` is done, such as "encoded", to `total` units; see `Progress` for the rest."""
        super().__init__(stream, interval)
        self._what, self._total, self._unit = what, total, unit
        self._began = self._shown_at = time.monotonic()

    def update(self, done: int) -> None:
        """Reports how many are done; cheap enough for every batch."""
        now = time.monotonic()
        if done < self._total and now - self._shown_at < self._interval:
            return
        self._shown_at = now
        speed = done / max(now - self._began, 1e-9)
        left = _clock((self._total - done) / max(speed, 1e-9)) if done else "-:--"
        line = f"{self._what} {done:,}/{self._total:,} {self._unit}, {speed:,.0f} {self._unit}/s, {left} left"
        self._write(line, Text(line))


@contextmanager
def waiting(what: str, *, stream: TextIO | None = None, interval: float = 5.0) -> Iterator[Callable[[str], None]]:
    """A context in which lines report what takes so long, such as "compiling", and for how long.

    The first comes after `interval` seconds, the others after ever longer intervals, a minute at most. The context
    yields a function that sets the part that is in progress, which the lines then name as well.

    >>> with waiting("compiling", interval=0.02):
    ...     time.sleep(0.2)
    compiling …, 0 s
    ...
    """
    began, now, backoff = time.monotonic(), [what], _Backoff(interval)

    def tell() -> None:
        if backoff.is_due():
            line = f"{now[0]} …, {time.monotonic() - began:.0f} s"
            print(line, file=sys.stdout if stream is None else stream, flush=True)

    def name(part: str) -> None:
        now[0] = f"{what}: {part}"
        backoff.restart()

    with _every(interval, tell):
        yield name


class _Backoff:
    """Exponential backoff of lines about one wait: `interval` seconds before the first, then each time twice as many,
    at most a minute."""

    def __init__(self, interval: float):
        self._interval = interval
        self.restart()

    def restart(self) -> None:
        """Starts over with the shortest interval."""
        self._gap = self._interval
        self._due = time.monotonic() + self._gap

    def is_due(self) -> bool:
        """Whether a line is due now; if so, schedules the next one."""
        now = time.monotonic()
        if now < self._due:
            return False
        self._gap = max(min(2 * self._gap, _LONGEST_SILENCE), self._interval)
        self._due = now + self._gap
        return True


@contextmanager
def _every(interval: float, tell: Callable[[], None]) -> Iterator[None]:
    """A context in which a thread calls a function every `interval` seconds, until its output cannot be written."""
    done = threading.Event()

    def run() -> None:
        with suppress(OSError, ValueError):
            while not done.wait(interval):
                tell()

    thread = threading.Thread(target=run, daemon=True, name="mi_coding-terminal")
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def warning(message: str, *, stream: TextIO | None = None) -> None:
    """Writes what is wrong and what to do about it in one line; to sys.stderr by default."""
    line = Text.assemble(("warning: ", "bold yellow"), " ".join(message.split()))
    Console(file=sys.stderr if stream is None else stream).print(line, soft_wrap=True)


def closing_table(groups: Iterable[results.Group], *, stream: TextIO | None = None) -> None:
    """Writes the results of a run, grouped by `results.group_results`; to sys.stdout by default."""
    stream = sys.stdout if stream is None else stream
    console = Console(file=stream, width=None if stream.isatty() else _PLAIN_WIDTH, highlight=False)
    for group in groups:
        console.print()
        console.print(Text(group.title, style="bold"))
        console.print(_table(group))
        if group.note:
            console.print(Text(f"  {group.note}", style="dim"))


def _table(group: results.Group) -> Table:
    columns = [Column(heading, justify="right" if index else "left") for index, heading in enumerate(group.columns)]
    table = Table(*columns, box=None, show_header=any(group.columns), header_style="dim", padding=(0, 2))
    for row in group.rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def _clock(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
