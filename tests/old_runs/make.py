"""Writes the work directories beside it, which tests/test_old_runs.py reads with the version of today.

    PYTHONPATH=CHECKOUT python tests/old_runs/make.py

It ran with the version of commit 8e7c880 and is kept for reference: run with a later version it would replace the data
that says whether that version reads older work directories.
"""

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
CONFIGS = HERE.parents[1] / "configs"
SHORT = [
    "--config.batch_size=16",
    "--config.num_steps=4",
    "--config.log.every_steps=1",
    "--config.optimizer.warmup_steps=2",
    "--config.checkpoint.every_steps=2",
    "--config.evaluation.num_pairs=64",
    "--config.evaluation.most_images=60",
    "--config.evaluation.knn_neighbours=3",
]
IMAGES = ["--config.encoder.widths=(4,8)", "--config.encoder.feature_dim=16", "--config.encoder.head_width=8"]
OVERRIDES = {
    "cpc": [*SHORT, *IMAGES, "--config.encoder.code_dim=4", "--config.evaluation.views=1"],
    "cotraining": [*SHORT, *IMAGES, "--config.code.num_heads=2"],
    "sequence": [
        *SHORT,
        "--config.encoder.widths=(4,)",
        "--config.encoder.feature_dim=8",
        "--config.encoder.code_dim=3",
        "--config.encoder.context_dim=6",
        "--config.objective.num_ahead=2",
    ],
}
CONFIG_NAMES = {"cpc": "cpc", "cotraining": "cotraining", "sequence": "cpc_sequence"}
NUM_EXAMPLES = 8  # whose codes are stored


def command_line(name, workdir):
    """The command that begins, and continues, the run of this name."""
    config = CONFIGS / f"{CONFIG_NAMES[name]}.py"
    return ["main", f"--config={config}", f"--workdir={workdir}", *OVERRIDES[name]]


def main():
    sys.path.insert(0, str(HERE.parent))
    from virtual_devices import xla_flags

    os.environ["XLA_FLAGS"] = xla_flags(num_devices=8)  # as tests/conftest.py has it
    os.environ["JAX_PLATFORMS"] = "cpu"
    for name in OVERRIDES:
        make(name)
    stop_half_way(HERE / "cpc", HERE / "cpc_unfinished")
    for name in OVERRIDES:
        shutil.rmtree(HERE / name / "checkpoints" / "2")


def make(name):
    """One finished run, and the codes of a few of its examples."""
    import mi_coding.main
    from mi_coding import data

    workdir = HERE / name
    shutil.rmtree(workdir, ignore_errors=True)
    assert mi_coding.main.main(command_line(name, workdir)) == 0
    config = json.loads((workdir / "config.json").read_text())["data"]
    listing = data.list_all("digits", image_size=config["image_size"], channels=config["channels"])
    examples = np.asarray(listing.split.examples[:NUM_EXAMPLES])
    codes = mi_coding.load_encoder(workdir)(examples)
    np.savez_compressed(HERE / f"{name}.npz", examples=examples, codes=codes)
    for path in [*workdir.glob("events.*"), workdir / "report.html", workdir / ".lock"]:
        path.unlink()
    shutil.rmtree(workdir / "plots")
    for path in workdir.rglob("commit_success.txt"):  # only its presence counts, and it names folders of this machine
        path.write_text(path.read_text().replace(str(HERE), HERE.name))


def stop_half_way(finished, unfinished):
    """The run as it was when it had saved its checkpoint of step 2, and was killed."""
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.copytree(finished, unfinished)
    shutil.rmtree(unfinished / "checkpoints" / "4")
    (unfinished / "summary.json").unlink()
    lines = (unfinished / "metrics.jsonl").read_text().splitlines(keepends=True)
    (unfinished / "metrics.jsonl").write_text("".join(line for line in lines if json.loads(line)["step"] <= 2))


if __name__ == "__main__":
    main()
