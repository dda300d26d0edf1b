"""Every config as it stands but for its size: two steps of all, and the whole command for those of no other file."""

import json
from pathlib import Path

import pytest
from commands import ROOT, TINY, fitting, train
from config_data import CONFIGS, data_for
from finished_runs import RECIPES
from shallow import one_block_a_stage

from mi_coding import main

WHOLE = ["cotraining_bits", "cotraining_fashion_mnist", "simclr_cifar10", "simclr_imagenet"]
"""Codes of other kinds, and networks of full depth, the last on a stream; in test_simclr.py a small network has one."""


def two_steps(name, folder):
    """The config file, and the overrides that make it small."""
    config = str(ROOT / "configs" / f"{name}.py")
    small = [*fitting(config, *TINY), "--config.num_steps=2", "--config.evaluation.views=1"]
    return config, [*small, *data_for(name, folder)]


TRAINED = {Path(recipe.config).stem for recipe in RECIPES.values()}.union(WHOLE)
"""Configs that are trained here, or by the finished runs that other tests look at."""


def is_like_others(name):
    """Whether a config differs from another in its objective or its data alone: one of them is enough every time."""
    compared = name.endswith("_fashion_mnist") and name not in ("simclr_fashion_mnist", "cotraining_fashion_mnist")
    return compared or name in ("simclr_cifar10_cpu", "simclr_photos")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.soak if is_like_others(name) else ())
        for name in CONFIGS
        if name not in TRAINED
    ],
)
def test_every_config_trains_two_steps(tmp_path, name):
    config, overrides = two_steps(name, tmp_path)
    with one_block_a_stage():
        assert train(tmp_path / "run", *overrides, config=config).summary["train/steps"] == 2


@pytest.mark.soak
@pytest.mark.parametrize("name", WHOLE)
def test_a_config_is_trained_evaluated_and_reported(tmp_path, name):
    config, overrides = two_steps(name, tmp_path)
    workdir = tmp_path / "run"
    assert main.main(["main", f"--config={config}", f"--workdir={workdir}", *overrides]) == 0
    assert json.loads((workdir / "summary.json").read_text())["train/steps"] == 2
    assert (workdir / "report.html").exists()
