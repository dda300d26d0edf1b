"""Numbers of a run on disk: metrics.jsonl and TensorBoard events step by step, summary.json at the end."""

import json
import math
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from tensorboardX import SummaryWriter

from mi_coding.reporting.files import write_atomically

_FILE = "metrics.jsonl"


class MetricsWriter(AbstractContextManager):
    """Appends scalars to metrics.jsonl and to TensorBoard, such that a resumed run has each step once.

    A step counts finished training steps. Opening drops the lines after `resume_step`, which the resumed run will
    write again, and a last line that a kill left half-written. Each line is on disk before `write` returns.

    >>> import tempfile
    >>> workdir = Path(tempfile.mkdtemp())
    >>> for resume_step in (0, 1):  # a run killed after step 2, resumed from its checkpoint of step 1
    ...     with MetricsWriter(workdir, resume_step=resume_step) as writer:
    ...         for step in range(resume_step + 1, 3):
    ...             writer.write(step, {"train/loss": 1 / step})
    >>> read_metrics(workdir)["train/loss"]
    (array([1, 2]), array([1. , 0.5]))
    """

    def __init__(self, workdir: Path, *, resume_step: int):
        """Opens the files; `with` closes them.

        Args:
            workdir: created where it is missing.
            resume_step: steps finished at the checkpoint that the run resumes from; 0 starts afresh and keeps no line.
        Raises:
            ValueError: for a negative `resume_step`, or a metrics.jsonl with a broken line that is not its last.
            OSError: where the folder cannot be written.
        """
        if resume_step < 0:
            raise ValueError(f"resume_step={resume_step}: expected the number of finished steps, 0 or more")
        workdir = Path(workdir)
        workdir.mkdir(parents=True, exist_ok=True)
        _keep_until(workdir / _FILE, resume_step)
        self._lines = (workdir / _FILE).open("a", encoding="utf-8")
        purge_step = resume_step + 1 if resume_step else 0
        suffix = f".{time.time_ns()}"  # without it, two openings within a second share one file
        self._events = SummaryWriter(str(workdir), purge_step=purge_step, flush_secs=10, filename_suffix=suffix)

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._events.close()

    def write(self, step: int, scalars: Mapping[str, Any]) -> None:
        """Appends the scalars of one step as one line; other scalars of the same step may follow in another.

        A scalar is anything `float` takes, such as an array of one element. NaN and infinity are written as null, which
        `read_metrics` reads as NaN.

        Raises:
            ValueError: for a scalar named "step".
            TypeError: for a value that is not a number.
        """
        if "step" in scalars:
            raise ValueError('a scalar cannot be named "step": every line already has its step under that name')
        numbers = {name: float(value) for name, value in scalars.items()}
        self._lines.write(_to_json({"step": int(step), **numbers}) + "\n")
        self._lines.flush()
        for name, number in numbers.items():
            self._events.add_scalar(name, number, int(step))


def read_metrics(workdir: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Reads the metrics.jsonl of a folder back, except a half-written last line, as one curve per name.

    Returns:
        name → (steps int64[n], values float64[n]), steps ascending; the last value counts where a step has several.
    Raises:
        FileNotFoundError: where there is no metrics.jsonl.
        ValueError: where a line before the last is broken.
    """
    curves: dict[str, dict[int, float]] = {}
    for line in _parse(Path(workdir) / _FILE):
        step = line.pop("step")
        for name, value in line.items():
            curves.setdefault(name, {})[step] = math.nan if value is None else value
    ordered = {name: dict(sorted(curve.items())) for name, curve in curves.items()}
    return {name: (np.array([*curve], np.int64), np.array([*curve.values()], float)) for name, curve in ordered.items()}


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Writes a flat dictionary as JSON, one key per line in the order given, atomically.

    Values are numbers (Python's, NumPy's, or an array of one element), strings, bools or None. JSON has no NaN and no
    infinity: both are written as null.

    Raises:
        TypeError: for any other value.
        OSError: where the file cannot be written.
    """
    write_atomically(path, _to_json(values, indent=2) + "\n")


def _to_json(values: Mapping[str, Any], indent: int | None = None) -> str:
    return json.dumps({name: _plain(value) for name, value in values.items()}, indent=indent, ensure_ascii=False)


def _plain(value: Any) -> str | bool | int | float | None:
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, (np.integer, np.bool_)):
        return value.item()
    number = float(value)
    return number if math.isfinite(number) else None


def _keep_until(path: Path, last_step: int) -> None:
    """Drops later lines and a half-written last one; a file that needs no change is left untouched."""
    if not path.exists():
        return
    kept = [line for line in _parse(path) if last_step > 0 and line["step"] <= last_step]
    text = "".join(_to_json(line) + "\n" for line in kept)
    if text != path.read_text(encoding="utf-8", errors="replace"):
        write_atomically(path, text)


def _parse(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics file. Only the last may be broken: every writer starts by dropping such a line."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    parsed = [_parse_line(line) for line in lines]
    if parsed and parsed[-1] is None:
        parsed.pop()
    if None in parsed:
        number = parsed.index(None) + 1
        raise ValueError(f"{path}, line {number} of {len(lines)} is not a JSON object with a step; delete it to go on")
    return parsed


def _parse_line(line: str) -> dict[str, Any] | None:
    try:
        parsed = json.loads(line)
    except json.JSONDecodeError:
        return None
    return parsed if isinstance(parsed, dict) and isinstance(parsed.get("step"), int) else None
