"""SimCLR by the whole command: augmentation pairs, images in folders, streams, and what each mistake is told."""

import json
import math
import re
from pathlib import Path

import pytest
from commands import (
    ROOT,
    assert_continues_bit_for_bit,
    fitting,
    lines,
    make_folder,
    parameters,
    read_config,
    train,
)
from finished_runs import SHORT_SIMCLR, SIMCLR

from mi_coding import main
from mi_coding.config import RunOptions
from mi_coding.runs import build
from mi_coding.runs.workdir import check_workdir

IMAGENET = str(ROOT / "configs" / "simclr_imagenet.py")


def run(workdir, *overrides):
    return main.main(
        ["main", f"--config={SIMCLR}", f"--workdir={workdir}", *fitting(SIMCLR, *SHORT_SIMCLR, *overrides)]
    )


@pytest.fixture(scope="module")
def simclr(finished_runs):
    return finished_runs("simclr")


def test_a_run_reports_top_one_and_top_five_accuracy_and_health(simclr):
    summary = simclr.summary
    assert summary["heldout/num_candidates"] == 31  # both views of 16 images in one pool, less the view itself
    for probe in ("linear", "knn"):
        assert 0 <= summary[f"probe/{probe}_accuracy"] <= summary[f"probe/{probe}_top5_accuracy"] <= 1
    assert 0 <= summary["health/alignment"] <= 4
    assert -8 <= summary["health/uniformity"] <= 0
    assert 1 <= summary["health/effective_rank"] <= summary["health/feature_dim"] == 16


def test_an_online_probe_is_logged_on_training_and_on_validation_images(simclr):
    written = lines(simclr.workdir)
    assert all(0 <= line["train/online_probe_accuracy"] <= 1 for line in written if "train/loss" in line)
    assert [line["step"] for line in written if "validation/online_probe_accuracy" in line] == [1, 3, 6]


def test_the_report_shows_the_images_with_both_halves(simclr):
    page = simclr.report
    assert "two random augmentations of one image, preset gray28" in page
    assert "L-BFGS logistic regression" in page
    assert "effective rank" in page
    assert (simclr.workdir / "plots" / "pairs.png").stat().st_size > 10_000


def test_a_custom_composition_of_augmentations_stands_in_a_config_file(tmp_path):
    own = tmp_path / "own.py"
    text = Path(SIMCLR).read_text(encoding="utf-8")
    steps = '({"name": "one_of", "steps": ({"name": "rotation"}, {"name": "edges"})}, {"name": "cutout", "p": 0.5})'
    own.write_text(re.sub("config.pairs = .*", f'config.pairs = {{"name": "augmentations", "steps": {steps}}}', text))
    short = fitting(own, *SHORT_SIMCLR, "--config.pairs.preset=custom")
    train(tmp_path / "run", *short, config=own)
    bounds = [line for line in lines(tmp_path / "run") if "validation/mi_lower_bound_nats" in line]
    assert [math.isfinite(line["validation/mi_lower_bound_nats"]) for line in bounds] == [True, True, True]
    config = build.plan(read_config(*short, config=own)).config
    # the same config still, after it was written as JSON
    check_workdir(tmp_path / "run", config, lambda before: build.plan(before).config)


@pytest.mark.soak
def test_two_epochs_with_an_average_on_unlabelled_images_lack_only_probes(tmp_path):
    folder = make_folder(tmp_path / "images", count=80, side=8, classes=("",), channels=1)  # 56 to train
    source = [f"--config.data.source=folder:{folder}", "--config.data.image_size=0"]
    two_epochs = ["--config.num_epochs=2.0", "--config.num_steps=0", "--config.optimizer.average_decay=0.9"]
    assert run(tmp_path / "run", *source, *two_epochs) == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["train/steps"] == 7  # 2 × 56 / 16
    assert any(name.startswith("average/") for name in parameters(tmp_path / "run"))
    assert not any("online" in name for line in lines(tmp_path / "run") for name in line)
    assert {"heldout/mi_lower_bound_nats", "health/alignment"} <= summary.keys()
    assert not any(name.startswith("probe/") for name in summary)
    assert (tmp_path / "run" / "report.html").exists()


@pytest.mark.parametrize(("steps", "epochs", "expected"), [(7, 0.0, 7), (0, 2.0, 125), (7, 2.0, 7), (500, 2.0, 125)])
def test_steps_or_epochs_end_a_run_whichever_is_sooner(steps, epochs, expected):
    assert RunOptions(batch_size=16, num_steps=steps, num_epochs=epochs).total_steps(1000) == expected


@pytest.mark.soak
def test_a_run_on_streamed_images_continues_bit_for_bit(tmp_path):
    folder = make_folder(tmp_path / "images", count=120, side=40, classes=("",))  # no labels: the probes take long
    for number in range(0, 120, 20):
        (folder / f"{number:04d}.png").write_bytes(b"torn")
    streamed = [
        *fitting(IMAGENET, *SHORT_SIMCLR, "--config.encoder.name=convnet"),
        f"--config.data.source=folder:{folder}",
        "--config.data.image_size=32",
        "--config.pairs.size=0",
        "--config.pairs.preset=custom",  # a crop and no more: the preset takes ten seconds to compile
        "--config.pairs.steps=({'name':'random_resized_crop','size':24},)",
        "--config.encoder.name=convnet",
        "--config.checkpoint.every_steps=2",
    ]
    straight = assert_continues_bit_for_bit(tmp_path, *streamed, config=IMAGENET)
    assert any("cannot be decoded: the next image takes its place" in warning for warning in straight.warnings)
    written = lines(straight.run.workdir)
    assert all("train/input_wait_share" in line for line in written if "train/loss" in line)
    assert not any("train/mi_lower_bound_nats" in line for line in written)  # distinct images: no bound


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["--config.pairs.preset=simclr"], ["config.pairs.preset='simclr'", "simclr_cifar10"]),
        (["--config.pairs.preset=simclr_cifar10"], ["has no mask=0.5", "gray28"]),
        (["--config.pairs.blur=0.5"], ["'gray28' has no blur=0.5", "set it to 0"]),
        (["--config.pairs.preset=custom"], ["has no", "set them to 0"]),
        (["--config.pairs.flip=1.5"], ["config.pairs.flip=1.5; expected at most 1"]),
        (["--config.pairs.min_area=2.0"], ["config.pairs: ", "2"]),
        (["--config.pairs.strength=-1.0"], ["config.pairs.strength=-1.0; expected a number ≥ 0"]),
        (["--config.pairs.size=17"], ["crop of size 17 is larger than the image of 16 × 16", "at most 16"]),
        (["--config.pairs.size=-3"], ["config.pairs.size=-3", "≥ 0"]),
        (["--config.num_steps=0"], ["num_steps=0 and config.num_epochs=0.0 set no end of training"]),
        (["--config.data.channels=2"], ["config.data.channels=2", "0, 1, 3"]),
        (["--config.data.placement=disk"], ["config.data.placement='disk'", "auto, memory, stream"]),
        (["--config.data.source=folder:/nowhere/at/all"], ["/nowhere/at/all", "does not exist"]),
        (["--config.data.source=folder:"], ["names nothing", "folder:/path/to/images"]),
        (["--config.optimizer.learning_rate_scaling=log"], ["linear, sqrt"]),
        (["--config.optimizer.average_decay=1.0"], ["less than 1"]),
        (["--config.steps_per_call=5"], ["8 virtual devices of a CPU", "expected 1, or 0"]),
    ],
)
def test_a_mistake_is_told_in_one_line_and_nothing_is_written(capsys, tmp_path, overrides, words):
    assert run(tmp_path / "run", *overrides) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1
    assert [word for word in words if word not in errors[0]] == [], errors[0]
    assert not (tmp_path / "run").exists()
