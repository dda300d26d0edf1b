"""Every config by the whole command, as it stands but for its size."""

import json

import numpy as np
import pytest
from clips import write_clip
from commands import ROOT, TINY, fitting, make_folder

from mi_coding import main

ELSEWHERE = {"cotraining_sweep", "cotraining_bits"}  # in tests/test_cotraining_command.py
CONFIGS = sorted(path for path in (ROOT / "configs").glob("*.py") if path.stem not in ELSEWHERE)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.stem)
def test_every_config_runs_two_steps(tmp_path, config):
    two_steps = fitting(config, *TINY)
    two_steps += ["--config.num_steps=2", "--config.evaluation.views=1"]
    if config.stem.startswith("simclr_"):  # recipes for data that is not here, and for machines that are larger
        classes = ("",) if config.stem == "simclr_cifar10" else ("ant", "bee")  # with and without labels
        folder = make_folder(tmp_path / "images", count=60, side=32, classes=classes)
        two_steps += [f"--config.data.source=folder:{folder}", "--config.data.channels=0"]
    if config.stem == "cotraining_fashion_mnist":
        folder = make_folder(tmp_path / "images", count=60, side=32, channels=1)
        two_steps += [f"--config.data.source=folder:{folder}"]
    if config.stem == "cpc_video":
        for name in "ab":
            write_clip(tmp_path / f"{name}.mp4", range(0, 2400, 40))
        films = [f"--config.data.source=video:{tmp_path}/*.mp4", f"--config.data.cache_dir={tmp_path}/cache"]
        two_steps += films
    if config.stem == "simclr_imagenet":
        two_steps += ["--config.data.image_size=32", "--config.pairs.size=24", "--config.data.channels=3"]
    if config.stem == "cpc_arrays":
        rng = np.random.default_rng(0)
        np.savez(tmp_path / "pairs.npz", x=rng.normal(size=(60, 3)), y=rng.normal(size=(60, 2)))
        two_steps += [f"--config.data.source=npz:{tmp_path / 'pairs.npz'}"]
    workdir = tmp_path / "run"
    assert main.main(["main", f"--config={config}", f"--workdir={workdir}", *two_steps]) == 0
    assert json.loads((workdir / "summary.json").read_text())["train/steps"] == 2
