"""The work directory: checked before anything is written, and continued only by the config that began it."""

import fcntl
import json
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, Any

from mi_coding.config import flatten
from mi_coding.errors import InputError, Setting
from mi_coding.reporting.files import write_atomically
from mi_coding.training.checkpoints import newest_step

_LOCK, _START = ".lock", "started_from.json"

Complete = Callable[[dict[str, Any]], dict[str, Any]]


ENDS = ("num_steps", "num_epochs")
"""Keys whose values may change when a run is continued: where training ends."""


def saved_step(workdir: Path) -> int:
    """The step of the newest checkpoint of a run; 0 without one."""
    return newest_step(workdir / "checkpoints")


def check_workdir(workdir: Path, config: dict[str, Any], complete: Complete) -> dict[str, Any] | None:
    """Raises InputError for a work directory that cannot hold this run; writes nothing.

    Args:
        workdir: the directory, which need not exist.
        config: dotted key → value of every option.
        complete: a flat config, perhaps one of an older version → the same with every option.
    Returns:
        the config that the directory was begun with, which may have another end, see `ENDS`; None for a new one.
    Raises:
        InputError: for a path that is a file or cannot be written to, or a directory begun by another config, naming
            the keys that differ.
    """
    try:
        str(workdir).encode()  # it must be printable
        parent = next(path for path in [workdir.absolute(), *workdir.absolute().parents] if path.exists())
    except (OSError, ValueError) as error:
        raise InputError(_no_path(workdir, error)) from None
    if unfit := _unfit_for_checkpoints(str(workdir.absolute())):
        raise InputError(f"--workdir={workdir} has {unfit}; choose another")
    if not parent.is_dir():
        what = "is a file" if parent == workdir.absolute() else f"lies under {parent}, which is a file"
        raise InputError(f"--workdir={workdir} {what}; expected a directory, or a path where one can be made")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise InputError(f"--workdir={workdir} cannot be written to; choose another or change its permissions")
    began_with = workdir / "config.json"
    if began_with.exists():
        return _check_same(workdir, config, began_with, complete)
    if workdir.is_dir() and any(path.name != _LOCK for path in workdir.iterdir()):
        raise InputError(f"--workdir={workdir} is not empty and holds no run; choose an empty or new directory")
    return None


def _unfit_for_checkpoints(path: str) -> str:
    """What in a path keeps orbax 0.11 and TensorStore 0.1 from saving there or reading it back; "" if nothing.

    >>> _unfit_for_checkpoints("/runs/lr=[1e-3]"), _unfit_for_checkpoints("/runs/what? *{1,2}")
    ('brackets, with which checkpoints cannot be read back', '')
    """
    if "\\" in path:
        return "a backslash, with which checkpoints cannot be read back"
    if not fnmatchcase(path, path):  # orbax looks for checkpoints with this path as a glob pattern
        return "brackets, with which checkpoints cannot be read back"
    if ":/" in path:
        return "':/', as a URL has; expected a directory, such as the mount point of a bucket"
    return ""


def _check_same(workdir: Path, config: dict[str, Any], began_with: Path, complete: Complete) -> dict[str, Any]:
    try:
        if not began_with.is_file():  # such as a pipe, where reading would wait
            raise ValueError
        before = flatten(json.loads(began_with.read_text(encoding="utf-8")))
    except (ValueError, AttributeError):
        raise InputError(f"{began_with} is not the config of a run; choose another --workdir") from None
    with suppress(InputError):  # of another version, whose keys are then compared as they are
        before = complete(before)
    before, now = (json.loads(json.dumps(one)) for one in (before, config))  # without tuples
    names = (before.keys() | now.keys()) - {*ENDS}
    if keys := sorted(key for key in names if before.get(key, ...) != now.get(key, ...)):
        differences = [part for key in keys for part in (Setting(key), _then_and_now(key, before, now), ", ")][:-1]
        began = f"--workdir={workdir} was begun with another config; these differ: "
        raise InputError(began, *differences, "; set them as they were to continue it, or choose another")
    return before


def _then_and_now(key: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The two values of a key, where both configs have it.

    >>> _then_and_now("optimizer.name", {"optimizer.name": "adamw"}, {"optimizer.name": "muon"})
    " ('adamw' then, 'muon' now)"
    """
    return f" ({before[key]!r} then, {now[key]!r} now)" if key in before and key in now else ""


def note_start(workdir: Path, step: int) -> None:
    """Writes down the step of the other run from whose encoder this one starts, which may be trained on."""
    write_atomically(workdir / _START, json.dumps({"init_from_step": step}) + "\n")


def noted_start(workdir: Path) -> int | None:
    """The step that `note_start` wrote down; None where it did not, as in older runs."""
    path = workdir / _START
    return json.loads(path.read_text(encoding="utf-8"))["init_from_step"] if path.is_file() else None


def begin(workdir: Path, config: dict[str, Any] | None) -> IO[str]:
    """Makes the directory, locks it, and writes config.json.

    Args:
        config: nested, of every option; None leaves config.json as it is, see `extend`.
    Returns:
        a file that locks the directory until it is closed, or the process ends for any reason.
    Raises:
        InputError: if it cannot be created, or another run holds the lock.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        held = _hold(workdir)
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(_no_path(workdir, error)) from None
    if config is not None:
        _write_config(workdir, config)
    return held


def extend(workdir: Path, config: dict[str, Any], *, step: int, num_steps: int) -> None:
    """Writes the config of a run that goes on from a step to a new end, after its checkpoint has been read.

    Its old summary is kept as summary_STEP.json, unless no step is left to take.
    """
    if step < num_steps and (workdir / "summary.json").is_file():
        (workdir / "summary.json").replace(workdir / f"summary_{step}.json")
    _write_config(workdir, config)


def _write_config(workdir: Path, config: dict[str, Any]) -> None:
    write_atomically(workdir / "config.json", json.dumps(config, indent=2) + "\n")


def _no_path(workdir: Path, error: OSError | ValueError) -> str:
    reason = getattr(error, "strerror", None) or error
    return f"--workdir={str(workdir)[:200]} cannot be used: {reason}; choose another"


def _hold(workdir: Path) -> IO[str]:
    file = (workdir / _LOCK).open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "another process"
        file.close()
        raise InputError(f"--workdir={workdir} is in use by {holder}; wait for its end or choose another") from None
    except OSError:  # a file system without locks, such as a mounted bucket: nothing can be locked
        return file
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    file.flush()
    return file
