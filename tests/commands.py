"""Short runs of the command, and what they leave behind."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import orbax.checkpoint as ocp
from PIL import Image
from virtual_devices import xla_flags

from mi_coding.evaluation import evaluate
from mi_coding.evaluation.bound import HeldoutBounds
from mi_coding.reporting.metrics import read_metrics
from mi_coding.runs import build
from mi_coding.runs.evaluate import trained_codes
from mi_coding.runs.run import Run, checkpoint_metadata, prepare
from mi_coding.runs.train import train_run
from mi_coding.runs.workdir import begin
from mi_coding.training.checkpoints import Checkpoints
from mi_coding.training.step import TrainState

ROOT = Path(__file__).parents[1]
CPC = str(ROOT / "configs" / "cpc.py")
# A run of a few seconds that still goes through every room.
SHORT = [
    "--config.batch_size=16",
    "--config.num_steps=6",
    "--config.optimizer.warmup_steps=2",
    "--config.log.every_steps=2",
    "--config.evaluation.every_steps=3",
    "--config.evaluation.num_pairs=64",
    "--config.evaluation.most_images=200",
    "--config.evaluation.views=1",
    "--config.encoder.widths=(4,8)",
    "--config.encoder.feature_dim=16",
    "--config.encoder.head_width=8",
    "--config.encoder.code_dim=4",
]

# Any encoder, made very small, on few images.
TINY = [
    "--config.batch_size=16",
    "--config.data.num_workers=1",  # each takes seconds to start
    "--config.encoder.width_multiplier=0.0625",
    "--config.encoder.widths=(4,8)",
    "--config.encoder.feature_dim=16",
    "--config.encoder.head_width=8",
    "--config.encoder.code_dim=4",
    "--config.evaluation.num_pairs=32",
    "--config.evaluation.most_images=200",
    "--config.evaluation.knn_neighbours=3",
]


def read_config(*overrides, config=CPC):
    """The flat config of a command line."""
    return build.parse(["main", f"--config={config}", *overrides]).config


def fitting(config, *overrides):
    """Those of some overrides whose keys are options of the kinds that a config with the others chooses."""
    choices = [one for one in overrides if ".name=" in one]
    own = build.own_options(read_config(*choices, config=config))
    return [one for one in overrides if one.removeprefix("--config.").partition("=")[0] in own or "config." not in one]


def make_folder(root, *, count, side, classes=("ant", "bee"), channels=3):
    """Writes so many images of each class, whose colours differ, and returns the folder; "" is no class."""
    rng = np.random.default_rng(0)
    for number, name in enumerate(classes):
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            pixels = rng.integers(0, 128, (side, side, channels)) + 60 * number
            pixels = pixels[:, :, 0] if channels == 1 else pixels
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{i:04d}.png")
    return root


def command(*arguments, config=CPC, short=True):
    short = fitting(config, *SHORT) if short else []
    return [sys.executable, "-m", "mi_coding.main", f"--config={config}", *short, *map(str, arguments)]


def start(*arguments, devices=1, **options):
    """The command in a process of its own, on so many virtual devices."""
    environment = os.environ | {"XLA_FLAGS": xla_flags(devices)}
    return subprocess.Popen(
        command(*arguments, **options), env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def begun(workdir, *overrides, config=CPC, change=lambda state: state):
    """A work directory whose one checkpoint is of before the first step, as a reader finds it, with what was saved."""
    run = prepare(read_config(*fitting(config, *SHORT, *overrides), config=config), workdir, print)
    state = change(run.initial_state)
    held, folder = begin(workdir, run.plan.nested_config), workdir / "checkpoints"
    with held, Checkpoints(folder, keep=9, metadata=checkpoint_metadata(run)) as checkpoints:
        checkpoints.save(state, 0.0)
    return run, state


def parameters(workdir, step=None):
    """Every array of a checkpoint, by default the newest, by name."""
    with ocp.CheckpointManager((workdir / "checkpoints").absolute()) as manager:
        restored = manager.restore(
            step or manager.latest_step(), args=ocp.args.Composite(state=ocp.args.StandardRestore())
        )
    return {name: np.asarray(leaf) for name, leaf in ocp.tree.to_flat_dict(restored.state, sep="/").items()}


def assert_same_parameters(workdir, other):
    """The newest checkpoints of two runs are equal, bit for bit."""
    ours, theirs = parameters(workdir), parameters(other)
    assert ours.keys() == theirs.keys()
    for name, leaf in ours.items():
        np.testing.assert_array_equal(leaf, theirs[name], err_msg=name)


def lines(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def assert_same_losses(workdir, other):
    """Every line of metrics of two runs tells the same loss of the same step."""
    ours, theirs = ([(line["step"], line.get("train/loss")) for line in lines(w)] for w in (workdir, other))
    assert ours == theirs


def cut_back(workdir, step):
    """Makes a run what it was after its checkpoint of a step, as one that was killed later leaves it."""
    for checkpoint in (workdir / "checkpoints").iterdir():
        if int(checkpoint.name) > step:
            shutil.rmtree(checkpoint)
    (workdir / "summary.json").unlink(missing_ok=True)


class TrainedRun(NamedTuple):
    """A run that was trained and not evaluated.

    Attributes:
        run: how it was built.
        state: the last.
        summary: entries of summary.json that tell how training went.
        warnings: lines that a person must see.
    """

    run: Run
    state: TrainState
    summary: dict
    warnings: list


def train(workdir, *overrides, config=CPC):
    """Trains a run to its end, from its newest checkpoint, without the evaluation and the report of the command."""
    warnings = []
    run = prepare(read_config(*overrides, config=config), workdir, warnings.append)
    held = begin(workdir, run.plan.nested_config)
    keep, metadata = run.plan.run.keep_checkpoints, checkpoint_metadata(run)
    with held, Checkpoints(workdir / "checkpoints", keep=keep, metadata=metadata) as checkpoints:
        trained, summary = train_run(run, checkpoints, command_started=time.perf_counter())
    return TrainedRun(run, trained.state, summary, warnings)


def evaluated(trained, kind=HeldoutBounds):
    """The entries of summary.json of one kind of evaluation, by default the bounds, without the others."""
    codes = trained_codes(trained.run, trained.state.variables, read_metrics(trained.run.workdir))
    return evaluate((one for one in trained.run.plan.evaluators if isinstance(one, kind)), codes)


def assert_continues_bit_for_bit(folder, *overrides, config, step=2):
    """A run that is continued from its checkpoint of a step ends with the parameters and losses of one left alone.

    The overrides write a checkpoint at that step.

    Returns:
        The one left alone.
    """
    straight = train(folder / "straight", *overrides, config=config)
    shutil.copytree(folder / "straight", folder / "continued")
    cut_back(folder / "continued", step)
    train(folder / "continued", *overrides, config=config)
    assert_same_parameters(folder / "continued", folder / "straight")
    assert_same_losses(folder / "continued", folder / "straight")
    return straight
