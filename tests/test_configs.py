"""Every config as it stands but for its size: two steps of all, and the whole command for those of no other file."""

import json

import numpy as np
import pytest
from clips import write_clip
from commands import ROOT, TINY, fitting, make_folder, train
from shallow import one_block_a_stage

from mi_coding import main

CONFIGS = sorted(path.stem for path in (ROOT / "configs").glob("*.py"))
WHOLE = ["cotraining_fashion_mnist", "simclr_imagenet"]  # images in memory, and a stream
WHOLE_SOAK = ["cotraining_bits", "simclr_cifar10", "simclr_imagenet"]  # many symbols, and networks of full depth


def make_images(folder, **options):
    return f"--config.data.source=folder:{make_folder(folder / 'images', **options)}"


def data_for(name, folder):
    """The overrides of a config whose data is not here, or too large, with data written into a folder."""
    if name == "simclr_cifar10":
        return [make_images(folder, count=60, side=32, classes=("",)), "--config.data.channels=0"]
    if name == "simclr_imagenet":
        size = ["--config.data.image_size=32", "--config.pairs.size=24", "--config.data.channels=3"]
        return [make_images(folder, count=60, side=32), *size]
    if name in ("simclr_fashion_mnist", "cotraining_fashion_mnist", "cotraining_bits"):
        return [make_images(folder, count=60, side=28, channels=1)]
    if name == "simclr_photos":
        return [make_images(folder, count=30, side=40), "--config.data.image_size=32"]
    if name == "cpc_video":
        for film in "ab":
            write_clip(folder / f"{film}.mp4", range(0, 2400, 40))
        return [f"--config.data.source=video:{folder}/*.mp4", f"--config.data.cache_dir={folder}/cache"]
    if name == "cpc_arrays":
        rng = np.random.default_rng(0)
        np.savez(folder / "pairs.npz", x=rng.normal(size=(60, 3)), y=rng.normal(size=(60, 2)))
        return [f"--config.data.source=npz:{folder / 'pairs.npz'}"]
    if name == "simclr_tables":
        np.savez(folder / "table.npz", x=np.random.default_rng(0).normal(size=(60, 3)), labels=np.arange(60) % 2)
        return [f"--config.data.source=npz:{folder / 'table.npz'}"]
    return []


def two_steps(name, folder):
    """The config file, and the overrides that make it small."""
    config = str(ROOT / "configs" / f"{name}.py")
    small = [*fitting(config, *TINY), "--config.num_steps=2", "--config.evaluation.views=1"]
    return config, [*small, *data_for(name, folder)]


@pytest.mark.parametrize("name", [name for name in CONFIGS if name not in WHOLE])
def test_every_config_trains_two_steps(tmp_path, name):
    config, overrides = two_steps(name, tmp_path)
    with one_block_a_stage():
        assert train(tmp_path / "run", *overrides, config=config).summary["train/steps"] == 2


def run_whole(name, folder):
    config, overrides = two_steps(name, folder)
    workdir = folder / "run"
    assert main.main(["main", f"--config={config}", f"--workdir={workdir}", *overrides]) == 0
    assert json.loads((workdir / "summary.json").read_text())["train/steps"] == 2
    assert (workdir / "report.html").exists()


@pytest.mark.parametrize("name", WHOLE)
def test_a_config_is_trained_evaluated_and_reported(tmp_path, name):
    with one_block_a_stage():
        run_whole(name, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("name", WHOLE_SOAK)
def test_a_config_of_full_depth_is_trained_evaluated_and_reported(tmp_path, name):
    run_whole(name, tmp_path)
