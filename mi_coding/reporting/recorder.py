"""From the metrics of a step to a line on disk, a line on the terminal, and the training part of a summary."""

import math
import time
from collections.abc import Callable, Mapping
from statistics import quantiles
from typing import NamedTuple

from mi_coding.reporting.metrics import MetricsWriter
from mi_coding.reporting.phases import Phases
from mi_coding.reporting.terminal import Progress

_NOT_LEFT = 0.01  # share of ln N: a loss that is nearer to ln N is still at chance level
MOST_WAITING = 0.1  # share of the time that may be spent waiting for data before a warning
LEAST_SECONDS = 10.0  # of waiting, below which even a large share is not worth a warning


class TrainingSpec(NamedTuple):
    """What is known of training before its first step."""

    batch_size: int  # B, pairs in a step
    ceiling: float | None  # ln N in nats, of the bound; None for an objective that has no candidates
    is_bound: bool  # False where there are no candidates, or those of training are no independent draws
    learning_after: int  # steps after which a loss still at ln N causes a warning
    flops: float = 0.0  # of one step on one device; 0 if unknown
    peak_flops: float | None = None  # of one device per second; None if unknown


class Session(NamedTuple):
    """Where this command starts in a run that earlier ones may have begun."""

    command_started: float  # `time.perf_counter()` when the command began
    resumed_at: int = 0  # steps finished before this session
    seconds_before: float = 0.0  # of training, before this session


class Recorder:
    """Writes and shows the progress of training, and keeps the clock of a run, resumed sessions included."""

    def __init__(
        self,
        writer: MetricsWriter,
        progress: Progress,
        warn: Callable[[str], None],
        spec: TrainingSpec,
        session: Session,
        *,
        input_wait: Callable[[], float] | None = None,
        phases: Phases | None = None,
    ):
        """Starts the clock.

        Args:
            writer, progress, warn: where the numbers go, and a function of one line that the user must see.
            input_wait: seconds that training has waited for data so far; None where the data is always there.
            phases: what else takes time between the steps, on this host; None for nothing.
        """
        self._writer, self._progress, self._warn = writer, progress, warn
        self._spec, self._session = spec, session
        self._began = time.perf_counter()
        self._loss = self._first_step_seconds = math.nan
        self._counted_from: tuple[int, float] | None = None
        self._last = (session.resumed_at, self._began)
        self._warned = self._warned_of_input = False
        self._input_wait, self._waited_before = input_wait, 0.0
        self._phases, self._seconds_of_phases = phases or Phases(), {}
        self._step_seconds: list[float] = []

    @property
    def seconds(self) -> float:
        """Seconds of training so far, compilation and earlier sessions included."""
        return self._session.seconds_before + time.perf_counter() - self._began

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Records loss, mi_lower_bound, accuracy, gradient_norm and whatever else the finished step reports."""
        now = time.perf_counter()
        if self._counted_from is None:  # the first step also compiled: it is no measure of speed
            self._counted_from, self._first_step_seconds = (step, now), now - self._session.command_started
        speed = self._rate(step, now, *self._last)
        waited = self._share_waited(now)
        more = waited | self._use(speed / self._spec.batch_size) | self._time_of_phases(now, waited)
        if self._last[0] >= self._counted_from[0] and step > self._last[0]:
            self._step_seconds.append((now - self._last[1]) / (step - self._last[0]))
        self._last, self._loss = (step, now), float(metrics["loss"])
        bounds = [name for name in metrics if name.startswith("mi_lower_bound")]  # of small views, too
        left_out = ["mi_lower_bound"] if self._spec.is_bound else bounds  # a bound has a name with its unit below
        line, bound = {f"train/{name}": value for name, value in metrics.items() if name not in left_out}, None
        if self._spec.is_bound:
            bound = float(metrics["mi_lower_bound"])
            line |= {"train/mi_lower_bound_nats": bound, "train/mi_ceiling_nats": self._spec.ceiling}
        self._writer.write(step, line | {"train/examples_per_second": speed} | more)
        information = float(metrics["best_mi_nats"]) if "best_mi_nats" in metrics else None
        self._progress.update(step, self._loss, bound, speed, information=information)
        self._warn_if_not_learning(step)

    def summary(self) -> dict[str, float]:
        """The entries of summary.json about training; speed is NaN without a step after the first line."""
        is_measured = self._counted_from and self._last[0] > self._counted_from[0]
        speed = self._rate(*self._last, *self._counted_from) if is_measured else math.nan
        summary = {
            "train/seconds": self.seconds,
            "train/examples_per_second": speed,
            "train/first_step_seconds": self._first_step_seconds,
            "train/loss": self._loss,
        }
        if len(self._step_seconds) > 1:
            of_twenty = quantiles(self._step_seconds, n=20, method="inclusive")
            summary |= {"train/step_seconds_median": of_twenty[9], "train/step_seconds_95_percent": of_twenty[18]}
        summary |= self._use(speed / self._spec.batch_size)
        return summary | {f"train/seconds_of_{name}": seconds for name, seconds in self._phases.seconds.items()}

    def _rate(self, step: int, now: float, from_step: int, since: float) -> float:
        return (step - from_step) * self._spec.batch_size / max(now - since, 1e-9)

    def _use(self, steps_per_second: float) -> dict[str, float]:
        """Operations per second on each device, and their share of its peak, where they are known."""
        if not self._spec.flops:
            return {}
        each = self._spec.flops * steps_per_second
        use = {"train/model_teraflops_per_second": each / 1e12}
        return use | ({"train/model_flop_utilisation": each / self._spec.peak_flops} if self._spec.peak_flops else {})

    def _time_of_phases(self, now: float, waited: dict[str, float]) -> dict[str, float]:
        """Shares of the time since the last line, of each phase and of the steps, which account for the rest."""
        elapsed, before = max(now - self._last[1], 1e-9), self._seconds_of_phases
        self._seconds_of_phases = dict(self._phases.seconds)
        shares = {name: (s - before.get(name, 0.0)) / elapsed for name, s in self._seconds_of_phases.items()}
        if not shares:
            return {}
        shares["steps"] = 1 - sum(shares.values()) - sum(waited.values())
        return {f"time/{name}_share": share for name, share in shares.items()}

    def _share_waited(self, now: float) -> dict[str, float]:
        """Share of the time since the last line that was spent waiting for data, with a warning where it is large."""
        if self._input_wait is None:
            return {}
        step_before, since = self._last
        waited, before = self._input_wait(), self._waited_before
        self._waited_before = waited
        share = (waited - before) / max(now - since, 1e-9)
        settled = step_before > self._counted_from[0]  # workers have started
        if settled and share > MOST_WAITING and waited > LEAST_SECONDS and not self._warned_of_input:
            self._warned_of_input = True
            self._warn(
                f"{share:.0%} of the time is spent waiting for data, more than {MOST_WAITING:.0%}: raise "
                "config.data.num_workers, lower config.data.image_size, or keep the data in memory"
            )
        return {"train/input_wait_share": share}

    def _warn_if_not_learning(self, step: int) -> None:
        if self._warned or self._spec.ceiling is None or step < self._spec.learning_after:
            return
        self._warned = True  # checked once: a loss that has left ln N does not return to it
        if self._loss > (1 - _NOT_LEFT) * self._spec.ceiling:
            self._warn(
                f"at step {step:,} the loss {self._loss:.3f} has not left ln N = "
                f"{self._spec.ceiling:.3f} nats: not learning, still at chance level; try another learning rate or "
                "temperature, or more steps"
            )
