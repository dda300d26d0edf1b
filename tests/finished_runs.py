"""Finished runs that many tests look at: each is trained once in a session, by the worker that needs it first."""

import fcntl
import json
import shutil
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from clips import write_clip
from commands import CPC, ROOT, SHORT, TINY, cut_back, fitting

from mi_coding import main

SIMCLR, SEQUENCE, ARRAYS, VIDEO, COTRAINING = (
    str(ROOT / "configs" / f"{name}.py")
    for name in ("simclr", "cpc_sequence", "cpc_arrays", "cpc_video", "cotraining_sweep")
)
GAP = 0.1
"""Seconds between the two frames of a pair of films."""

SAVED_HALF_WAY = "--config.checkpoint.every_steps=3"

SHORT_SIMCLR = [
    *TINY,
    "--config.num_steps=6",
    "--config.optimizer.warmup_steps=2",
    "--config.log.every_steps=2",
    "--config.evaluation.every_steps=3",
    "--config.evaluation.num_pairs=64",
]
SHORT_SEQUENCES = [
    "--config.batch_size=16",
    "--config.num_steps=4",
    "--config.optimizer.warmup_steps=2",
    "--config.log.every_steps=2",
    "--config.evaluation.every_steps=4",
    "--config.evaluation.num_pairs=64",
    "--config.encoder.widths=(4,)",
    "--config.encoder.feature_dim=8",
    "--config.encoder.code_dim=3",
    "--config.encoder.context_dim=6",
    "--config.objective.num_ahead=3",
]
SHORT_FILMS = [
    *fitting(VIDEO, *TINY),
    "--config.num_steps=4",
    "--config.optimizer.warmup_steps=2",
    "--config.log.every_steps=2",
    "--config.evaluation.every_steps=4",
    "--config.data.image_size=8",
    f"--config.pairs.gap={GAP}",
    "--config.pairs.group_size=2",
]
SHORT_COTRAINING = [override for override in SHORT if "code_dim" not in override]


def save_pairs(path, *, seed=0, count=200, width=2):
    """Vectors x of 3 numbers and y of 2 that share two of them, with labels that the first decides, some hidden."""
    rng = np.random.default_rng(seed)
    shared, own = rng.normal(size=(count, 2)), rng.normal(size=(count, 3))
    x = np.concatenate([shared, own[:, :1]], 1)
    y = (shared + 0.2 * own[:, 1:])[:, :width]
    labels = np.where(np.arange(count) % 10 == 0, -1, shared[:, 0] > 0)
    np.savez(path, x=x.astype(np.float32), y=y.astype(np.float32), labels=labels)
    return path


def film_times(name):
    """Seconds at which the 30 frames of film "a", "b" or "c" begin to be shown, irregular."""
    times = np.cumsum(np.random.default_rng("abc".index(name)).integers(20, 60, 30))
    return (times - times[0]) / 1000


def write_films(folder):
    """Three films of 30 frames that say their numbers by their brightness."""
    for name in "abc":
        write_clip(folder / f"{name}.mp4", np.rint(1000 * film_times(name)).astype(int))
    return folder


def films_in(data):
    """The overrides of a run on films; decoded frames are kept in a cache beside them."""
    return [f"--config.data.source=video:{data}/*.mp4", f"--config.data.cache_dir={data}/cache"]


def _arrays(data):
    return [*SHORT, SAVED_HALF_WAY, f"--config.data.source=npz:{save_pairs(data / 'pairs.npz')}"]


class Recipe(NamedTuple):
    """How a finished run is made.

    Attributes:
        config: the config file.
        overrides: given a folder for data, which it may fill → the overrides on the command line.
    """

    config: str
    overrides: Callable[[Path], list[str]]


_TWO_PRICES = [
    "--config.objective.betas=(0.0,0.5)",
    "--config.code.num_heads=3",
    "--config.code.num_values=5",
    "--config.evaluation.num_pairs=4096",
]
RECIPES = {
    "cpc": Recipe(CPC, lambda data: [*SHORT, SAVED_HALF_WAY]),
    "simclr": Recipe(SIMCLR, lambda data: [*fitting(SIMCLR, *SHORT_SIMCLR), SAVED_HALF_WAY]),
    "sequences": Recipe(SEQUENCE, lambda data: fitting(SEQUENCE, *SHORT_SEQUENCES)),
    "arrays": Recipe(ARRAYS, _arrays),
    "films": Recipe(VIDEO, lambda data: [*SHORT_FILMS, *films_in(write_films(data))]),
    "cotraining": Recipe(COTRAINING, lambda data: [*SHORT_COTRAINING, *_TWO_PRICES]),
}


class FinishedRun(NamedTuple):
    """A run that was trained, evaluated and reported. All workers share it: a test that changes one copies it.

    Attributes:
        folder: what it wrote and what it was made of.
    """

    folder: Path

    @property
    def workdir(self):
        return self.folder / "run"

    @property
    def data(self):
        """The folder of its data, where it has data of its own."""
        return self.folder / "data"

    @property
    def overrides(self):
        return json.loads((self.folder / "overrides.json").read_text())

    @property
    def output(self):
        """What the command printed."""
        return (self.folder / "stdout").read_text()

    @property
    def summary(self):
        return json.loads((self.workdir / "summary.json").read_text())

    @property
    def report(self):
        return (self.workdir / "report.html").read_text()

    def copy(self, workdir, *, cut_back_to=None):
        """A copy that a test may change; with a step, as the run was when its checkpoint of that step was written."""
        shutil.copytree(self.workdir, workdir)
        if cut_back_to is not None:
            cut_back(workdir, cut_back_to)
        return workdir


class FinishedRuns:
    """Named runs in a folder that the workers of a session share."""

    def __init__(self, root):
        self._root = root
        self._listings = {}

    def __call__(self, name):
        """The finished run of that name, trained here unless a worker has done so; waits for one that is about to."""
        folder = self._root / name
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (folder / "stdout").exists():
                _make(folder, RECIPES[name])
        self._listings.setdefault(name, _listing(folder))
        return FinishedRun(folder)

    def changed(self):
        """The names of files that tests have changed since this worker first saw them."""
        return [
            str(path) for name, before in self._listings.items() for path, _ in before ^ _listing(self._root / name)
        ]


def _make(folder, recipe):
    for part in ("run", "data"):
        shutil.rmtree(folder / part, ignore_errors=True)  # of an attempt that failed
    (folder / "data").mkdir()
    overrides = recipe.overrides(folder / "data")
    (folder / "overrides.json").write_text(json.dumps(overrides))
    with redirect_stdout(StringIO()) as output, redirect_stderr(StringIO()) as errors:
        code = main.main(["main", f"--config={recipe.config}", f"--workdir={folder / 'run'}", *overrides])
    assert code == 0, errors.getvalue()
    (folder / "stdout").write_text(output.getvalue())


def _listing(folder):
    """Every file with when it was written, without locks and the cache of films, where other films may come to lie."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name not in ("lock", ".lock"))
    return {(path, path.stat().st_mtime_ns) for path in paths if "cache" not in path.relative_to(folder).parts}


@pytest.fixture(scope="session")
def finished_runs(tmp_path_factory, worker_id):
    """Name → `FinishedRun`, see `RECIPES`."""
    root = tmp_path_factory.getbasetemp()
    runs = FinishedRuns((root if worker_id == "master" else root.parent) / "finished_runs")
    yield runs
    assert runs.changed() == [], "a test has changed a finished run that others look at; it should copy it"
