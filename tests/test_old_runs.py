"""Work directories that an older version wrote (tests/old_runs/make.py) are read, continued, embedded and evaluated."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from commands import lines, parameters
from old_runs.make import OVERRIDES, command_line

import mi_coding
from mi_coding import embed, evaluate, main

OLD_RUNS = Path(__file__).parent / "old_runs"
# Of codes and bounds: another processor, or XLA, adds in another order, which float32 shows in its last two digits.
CLOSE = {"rtol": 1e-4, "atol": 1e-5}
# Of parameters after two more steps: Adam moves each by up to 2e-3 a step whatever the size of its gradient, so what
# is rounding in a small gradient is seen; two steps that were missed, or made twice, move most of them by 1e-3.
CLOSE_AFTER_STEPS = {"rtol": 1e-3, "atol": 5e-5}
NEWER = (
    "clusters/",
    "few_labels/",
    "train/hardware",
    "train/version",
    "heldout/num_examples",
    "heldout_untrained/",
    "data/",
    "probe/largest_class_share",
)  # what older runs did not tell

AS_BEFORE = [  # what the config has changed since
    *(f"--config.pairs.{change}=0" for change in ("turn", "grow", "fade")),
    "--config.optimizer.name=adamw",
    "--config.optimizer.learning_rate=0.002",
]


@pytest.fixture
def old_run(tmp_path):
    """Copies a work directory, since a command may write there, and returns the copy."""
    return lambda name: shutil.copytree(OLD_RUNS / name, tmp_path / name)


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def assert_same_heldout(summary, other, **tolerance):
    """All held-out figures of two summaries are equal, up to a tolerance."""
    heldout = [key for key in other if key.startswith("heldout")]
    assert heldout
    for key in heldout:
        one_of_397 = {"atol": 0.003} if key.endswith("accuracy") else {}  # test pairs, ranked otherwise by rounding
        np.testing.assert_allclose(summary[key], other[key], **tolerance | one_of_397, err_msg=key)


@pytest.mark.parametrize("name", OVERRIDES)
def test_an_older_encoder_gives_the_codes_it_gave(name):
    with np.load(OLD_RUNS / f"{name}.npz") as stored:
        codes = mi_coding.load_encoder(OLD_RUNS / name)(stored["examples"])
        np.testing.assert_allclose(codes, stored["codes"], **CLOSE)


def test_embed_writes_the_codes_of_an_older_run(old_run, tmp_path):
    output = tmp_path / "codes.npz"
    assert embed.main(["embed", f"--workdir={old_run('cpc')}", "--source=digits", f"--output={output}"]) == 0
    with np.load(OLD_RUNS / "cpc.npz") as stored, np.load(output) as written:
        assert written["codes"].shape == (1797, 4)
        np.testing.assert_allclose(written["codes"][: len(stored["codes"])], stored["codes"], **CLOSE)


@pytest.mark.soak
@pytest.mark.parametrize("name", ["cotraining", "sequence"])  # the bounds of cpc are seen when it is continued
def test_evaluate_gives_an_older_run_the_bounds_it_had(name, old_run):
    workdir = old_run(name)
    before = read_json(workdir / "summary.json")
    assert evaluate.main(["evaluate", f"--workdir={workdir}", "--source=digits"]) == 0
    after = read_json(workdir / "evaluation-digits.json")
    assert after.pop("evaluation/step") == 4
    evaluated = {key for key in after if not key.startswith(NEWER)}
    assert evaluated - {"evaluation/source"} == {key for key in before if not key.startswith("train/")}
    assert_same_heldout(after, before, **CLOSE)


@pytest.mark.soak
def test_an_older_run_is_continued_by_the_command_that_began_it(old_run, capsys):
    workdir, finished = old_run("cpc_unfinished"), OLD_RUNS / "cpc"
    assert main.main([*command_line("cpc", workdir), *AS_BEFORE]) == 0
    assert f"continuing {workdir} after step 2" in capsys.readouterr().out
    ours, theirs = parameters(workdir, step=4), parameters(finished)
    assert ours.keys() == theirs.keys()
    for name, leaf in ours.items():
        np.testing.assert_allclose(leaf, theirs[name], **CLOSE_AFTER_STEPS, err_msg=name)
    after, before = (read_json(run / "summary.json") for run in (workdir, finished))
    of_a_longer_session = {"train/step_seconds_median", "train/step_seconds_95_percent"}
    assert {key for key in after if not key.startswith(NEWER)} == before.keys() - of_a_longer_session
    assert after["train/steps"] == 4
    assert_same_heldout(after, before, rtol=1e-2, atol=1e-3)  # of parameters that are a little different, see above
    losses = [[line["train/loss"] for line in lines(run) if "train/loss" in line] for run in (workdir, finished)]
    np.testing.assert_allclose(*losses, **CLOSE)
