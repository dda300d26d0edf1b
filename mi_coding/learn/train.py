"""`train`: runs a config as the command does, in this process."""

import signal
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from mi_coding.config import find_config, flatten, load_config
from mi_coding.data import Source
from mi_coding.errors import NO_VALUE, InputError, Setting, respelled  # noqa: F401  InputError: the example
from mi_coding.reporting.figure import Figure
from mi_coding.runs.choices import taken_over
from mi_coding.runs.execute import Outcome, execute
from mi_coding.runs.restore import Restored, restore
from mi_coding.runs.trained_encoder import TrainedEncoder
from mi_coding.runs.workdir import saved_step

Config = str | Path | Mapping[str, Any]  # a name such as "simclr", a file, or what a config file returns


class TrainedRun:
    """A run that `train` has carried out.

    Attributes:
        workdir: where it is kept.
        step: the last training step taken.
        stopped_by: the signal that ended training before that; None where it came to its end.
        summary: the entries of summary.json; those of training alone where the run was stopped before its end.
        figures: name → matplotlib figure of the report.
    """

    def __init__(self, workdir: Path, outcome: Outcome):
        self.workdir, self.step = workdir, outcome.step
        self.summary, self.stopped_by = outcome.summary, outcome.stopped_by
        drawn = (section for section in outcome.sections if section.figure is not None)
        self.figures: dict[str, Figure] = {section.name: section.figure for section in drawn}

    @cached_property
    def restored(self) -> Restored:
        """The run, read from its newest checkpoint."""
        return restore(self.workdir, partial(warnings.warn, stacklevel=3))

    @cached_property
    def encoder(self) -> TrainedEncoder:
        """The encoder of the run, see `load_encoder`; of features, with a warning, where no code is chosen yet."""
        run = self.restored
        if run.method.codes_are_chosen and run.summary is None:
            what = "without an evaluation none of its codes is chosen: this encoder gives features"
            warnings.warn(f"{self.workdir}: {what}", stacklevel=2)
            return TrainedEncoder(run, layer="features")
        return TrainedEncoder(run)

    @property
    def report(self) -> Path | None:
        """The report's page; None where the run was stopped before its end."""
        return self.encoder.report

    def __repr__(self) -> str:
        return f"<run in {self.workdir}, {self.step:,} steps>"

    def _repr_html_(self) -> str:
        return self.encoder._repr_html_()


def train(
    config: Config,
    workdir: str | Path | None = None,
    *,
    on_step: Callable[[int, dict[str, float]], None] | None = None,
    **overrides: Any,
) -> TrainedRun:
    """Trains, evaluates and reports a config, as `python -m mi_coding.main` does, in this process.

    Ctrl-C ends training after the current step, or the evaluation; what was trained until then is saved and returned.
    Before the first step it raises KeyboardInterrupt.

    >>> run = train("simclr", WORKDIR, **SHORT)  # such as **{"num_steps": 300, "optimizer.learning_rate": 1e-3}
    data: ...
    >>> run.encoder(np.zeros((2, 16, 16, 1), np.uint8)).shape
    (2, 4)

    Args:
        config: the name of one that comes with the package, such as "simclr", or a file with get_config(), or what it
            returns: a ConfigDict, or a nested or flat dict.
        workdir: where the run is kept, and continued from; by default a new folder in runs/.
        on_step: called after every step with its number and its metrics, such as "loss".
        overrides: key → value, such as **{"optimizer.learning_rate": 1e-3}.
    Raises:
        ValueError: in one line, for a config, data or a directory that cannot work.
    """
    with spelled_as_arguments():
        name, config = read_config(config)
    if line := taken_over(config, overrides):
        print(line, flush=True)
    workdir = Path(workdir) if workdir else Path("runs") / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    again = f"train(…, workdir={str(workdir)!r})"
    return carry_out(config | overrides, workdir, typed=overrides, on_step=on_step, again=again)


def read_config(config: Config) -> tuple[str, dict[str, Any]]:
    """The name of a config and its keys, dotted."""
    if not isinstance(config, str | Path):
        return "run", flatten(config)
    path = find_config(str(config))
    return path.stem, flatten(load_config(path))


def carry_out(
    config: dict[str, Any],
    workdir: Path,
    *,
    typed: Mapping[str, Any],
    on_step: Callable[[int, dict[str, float]], None] | None = None,
    source: Source | None = None,
    evaluates: bool = True,
    again: str = "",
) -> TrainedRun:
    """Runs a flat config, see `runs.execute.execute`.

    After SIGTERM, which is for the whole process and not for this call alone, the process goes on to end: as its own
    handler has it or, without one, by `SystemExit` with the code that a shell gives, so that files are removed.
    """
    how = {"typed": typed, "source": source, "on_step": on_step, "evaluates": evaluates, "again": again}
    with spelled_as_arguments():
        try:
            outcome = execute(config, workdir, command_started=time.perf_counter(), **how)
        except KeyboardInterrupt:  # its traceback would show the compiler
            step = saved_step(workdir) if again else 0  # without it nobody would find the directory
            kept = f"; step {step:,} is saved, and {again} continues from it" if step else "; nothing is kept"
            raise KeyboardInterrupt(f"stopped before the end of training{kept}") from None
    if outcome.stopped_by == signal.SIGTERM:
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            raise SystemExit(128 + signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
    return TrainedRun(workdir, outcome)


def spelled_as_arguments() -> AbstractContextManager[None]:
    """A context in which errors name an option as in Python: its key alone, and a proposal as **{"key": value}.

    >>> with spelled_as_arguments():
    ...     raise InputError(Setting("seed", 1.5), "; expected ", Setting("seed", 1, flag=True))
    Traceback (most recent call last):
    mi_coding.errors.InputError: seed=1.5; expected **{'seed': 1}
    """

    def as_argument(setting: Setting) -> str:
        if setting.flag and setting.value is not NO_VALUE:
            return f"**{{{setting.key!r}: {setting.value!r}}}"
        return setting._replace(flag=False).spelled(setting.key)

    return respelled(as_argument)
