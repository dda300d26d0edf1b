"""Deep co-training by the whole command: what it reports, and when it warns."""

import math
import shutil

import numpy as np
import pytest
from commands import ROOT, evaluated, lines, train
from finished_runs import COTRAINING, SHORT_COTRAINING

import mi_coding
from mi_coding import data, embed, main, stored_codes
from mi_coding.errors import InputError
from mi_coding.evaluation.discrete import DiscreteCodes

BITS = ROOT / "configs" / "cotraining_bits.py"


@pytest.fixture(scope="module")
def cotraining(finished_runs):
    """A short run with one symbol, whose heads have two prices."""
    return finished_runs("cotraining")


@pytest.fixture(scope="module")
def symbol(cotraining):
    return cotraining.workdir


def test_summary_says_what_a_code_tells_costs_and_is_worth_to_a_label(cotraining):
    summary = cotraining.summary
    entropy, told = summary["heldout/entropy_nats"], summary["heldout/conditional_entropy_nats"]
    assert summary["heldout/mi_nats"] == pytest.approx(entropy - told)
    assert summary["heldout/bits_per_example"] == pytest.approx(entropy / math.log(2))
    assert summary["heldout/plug_in_entropy_nats"] <= math.log(5) + 1e-9
    assert 1 <= summary["code/used"] <= summary["code/possible"] == 5
    assert 0.1 <= summary["code/clustering_accuracy"] <= 1
    assert summary["code/num_heads"] == 3
    assert summary["code/beta"] == (0.0, 0.5, 0.0)[summary["code/head"]]
    assert "heldout/num_candidates" not in summary


def test_the_entropy_coder_takes_what_the_prior_says(cotraining):
    summary = cotraining.summary
    assert summary["heldout/stored_bits_per_example"] == pytest.approx(summary["heldout/bits_per_example"], rel=0.02)


def test_embed_writes_packed_codes_that_the_prior_compresses_losslessly(symbol, tmp_path, capsys):
    output = tmp_path / "codes.npz"
    assert embed.main(["embed", f"--workdir={symbol}", "--source=digits", f"--output={output}"]) == 0
    assert "1 symbol with 5 values, in packed bits" in capsys.readouterr().out
    with np.load(output) as file:
        packed = file["codes"]
    assert (packed.shape, packed.dtype) == ((1797, 1), np.uint8)
    z = stored_codes.unpack(packed, num_symbols=1, num_values=5)
    encode = mi_coding.load_encoder(symbol)
    images = data.list_all("digits", image_size=16, channels=0).split.examples
    probabilities = encode(images[:60])
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(z[:60, 0], probabilities.argmax(1))
    words = stored_codes.compress(*encode.output.prior, z)
    np.testing.assert_array_equal(stored_codes.decompress(*encode.output.prior, words, len(z)), z)


def test_a_run_that_is_not_finished_gives_features_but_no_codes(symbol, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(symbol, workdir, ignore=shutil.ignore_patterns("summary.json"))
    with pytest.raises(InputError, match="none of its 3 codes is chosen yet"):
        mi_coding.load_encoder(workdir)
    assert mi_coding.load_encoder(workdir, layer="features").dim == 16


def test_training_and_validation_figures_are_logged_without_any_bound(symbol):
    written = lines(symbol)
    training = [line for line in written if "train/loss" in line]
    assert [line["step"] for line in training] == [1, 2, 4, 6]
    for line in training:
        gap = line["train/entropy_nats"] - line["train/conditional_entropy_nats"]
        assert line["train/mi_nats"] == pytest.approx(gap, abs=1e-5)
        assert not any("bound" in name or "ceiling" in name for name in line)
    assert [line["step"] for line in written if "validation/prior_lag_nats" in line] == [1, 3, 6]


def test_report_has_the_plane_the_pictures_and_the_figures(symbol):
    report = (symbol / "report.html").read_text()
    for words in ("Information plane", "Examples by code", "clustering accuracy", "per example, ", "price β"):
        assert words in report
    assert {"plane.png", "by_code.png", "information.png"} <= {path.name for path in (symbol / "plots").iterdir()}


@pytest.mark.soak
def test_bits_have_a_precision_and_their_frozen_prior_is_warned_of(tmp_path):
    few = ["--config.data.source=digits", "--config.code.num_symbols=20", "--config.optimizer.learning_rate=0.05"]
    frozen = ["--config.optimizer.refit=False", "--config.optimizer.prior_steps=0"]
    trained = train(tmp_path / "run", *SHORT_COTRAINING, *few, *frozen, config=BITS)
    summary = evaluated(trained, DiscreteCodes)
    assert 0.05 <= summary["code/precision_at_100"] <= 1
    assert "code/used" not in summary
    assert summary["heldout/prior_lag_nats"] > 0.05 * summary["heldout/entropy_nats"]
    assert any("the prior lags by" in warning for warning in trained.warnings)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("objective.beta=-0.5", "config.objective.beta=-0.5; expected a number ≥ 0"),
        ("objective.beta=inf", "config.objective.beta=inf; expected a finite number"),
        ("objective.betas=(0.5,-1.0)", "config.objective.betas=(0.5, -1.0); expected numbers ≥ 0"),
        ("code.num_values=1", "num_values=1: a symbol with fewer than 2 values says nothing"),
        ("code.num_symbols=0", "config.code.num_symbols=0; expected a number > 0"),
        ("code.prior=markof", "did you mean 'markov'?"),
        ("code.num_values=5000", "windows of 1 symbols with 5000 values are 5,000, more than the 4,096"),
    ],
)
def test_codes_and_prices_that_cannot_be_are_told(capsys, tmp_path, override, words):
    command = ["main", f"--config={COTRAINING}", f"--workdir={tmp_path / 'run'}", *SHORT_COTRAINING]
    assert main.main([*command, f"--config.{override}"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert words in line
    assert not (tmp_path / "run").exists()
