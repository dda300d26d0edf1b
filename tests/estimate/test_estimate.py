"""The whole estimate on small data, and its command line."""

import json
import math
import os
import subprocess
import sys

import jax
import numpy as np
import pytest
from scipy.special import ndtr

import mi_coding
from mi_coding.errors import InputError
from mi_coding.estimate import EFFORTS, estimator
from mi_coding.estimate import __main__ as command
from mi_coding.estimate.crossfit import READOUTS
from mi_coding.estimate.folds import Training

N = 600
QUICK = {"effort": "quick"}


def gaussian(rho, n=N, seed=0):
    rng = np.random.default_rng(seed)
    x, noise = rng.normal(size=(2, n, 2))
    return x, rho * x + math.sqrt(1 - rho**2) * noise


@pytest.fixture(scope="module", autouse=True)
def short():
    """Training of a few rounds: what is tested here is the way, not the accuracy."""
    patch = pytest.MonkeyPatch()
    patch.setitem(EFFORTS, "quick", estimator.Effort(3, Training(16, 1, 8, 8, 128, 3e-3), 39))
    yield
    patch.undo()


@pytest.fixture(scope="module")
def dependent():
    return mi_coding.estimate_mi(*gaussian(0.8), **QUICK)


TRUTH = -math.log(1 - 0.64)


def test_a_gaussian_pair_is_estimated_and_the_interval_covers_it(dependent):
    assert dependent.nats == pytest.approx(TRUTH, abs=0.15)
    assert dependent.interval[0] <= TRUTH <= dependent.interval[1]
    assert dependent.interval[0] < dependent.nats < dependent.interval[1]
    assert dependent.bits == pytest.approx(dependent.nats / math.log(2))
    assert dependent.p_value == pytest.approx(1 / 40)
    assert dependent.num_pairs == N


def test_every_readout_of_held_out_pairs_is_told_with_its_ceiling(dependent):
    assert set(dependent.bounds) == set(READOUTS)
    assert dependent.bounds["infonce"].ceiling == pytest.approx(math.log(N // 3))
    assert math.isinf(dependent.bounds["nwj"].ceiling)
    assert {dependent.bounds[name].kind for name in ("smile", "balanced")} == {"estimate"}
    for name in ("infonce", "donsker_varadhan", "nwj"):
        bound = dependent.bounds[name]
        assert bound.kind == "lower bound"
        assert TRUTH - 0.25 < bound.value < TRUTH + 0.15  # above only by the chance of 600 draws


def test_the_same_seed_gives_the_same_bits_and_another_seed_other_ones(dependent):
    again = mi_coding.estimate_mi(*gaussian(0.8), **QUICK)
    assert again.to_dict() == dependent.to_dict()
    assert mi_coding.estimate_mi(*gaussian(0.8), seed=1, **QUICK).nats != dependent.nats


def test_the_program_is_compiled_on_the_other_core(caplog):
    x = np.random.default_rng(0).normal(size=(331, 20))  # rows and columns that no other test has: nothing is compiled
    with jax.log_compiles():  # of this thread
        mi_coding.estimate_mi(x, x[:, ::-1] + 1, effort="quick")
    assert "Compiling jit(_picks)" in caplog.text  # so it would be seen
    assert "Compiling jit(train_folds)" not in caplog.text


def test_a_monotone_map_of_a_column_changes_little(dependent):
    x, y = gaussian(0.8)
    moved = mi_coding.estimate_mi(np.sinh(x), y**3, **QUICK)
    assert moved.nats == pytest.approx(dependent.nats, abs=0.05)


def test_independent_arrays_share_nothing():
    x, y = gaussian(0.8)
    found = mi_coding.estimate_mi(x, np.roll(y, 300, axis=0), **QUICK)
    assert 0 <= found.nats < 0.06
    assert found.interval[0] == 0
    assert found.p_value > 1 / 40


def test_nearest_neighbours_are_preferred_only_where_they_find_more():
    x, noise = np.random.default_rng(0).uniform(size=(2, N))
    assert mi_coding.estimate_mi(x, x + 0.2 * noise, **QUICK).method == "nearest neighbours"
    x, y = np.random.default_rng(4).normal(size=(2, N))  # of which they find more, by two standard errors
    assert mi_coding.estimate_mi(x, y, **QUICK).method != "nearest neighbours"


def test_conditional_information_of_a_chain_is_gone():
    x, z = gaussian(0.8)
    rng = np.random.default_rng(5)
    y = 0.8 * z + 0.6 * rng.normal(size=z.shape)
    plain = mi_coding.estimate_mi(x, y, **QUICK)
    given = mi_coding.estimate_mi(x, y, given=z, **QUICK)
    assert plain.nats > 0.25
    assert given.nats < 0.1 < plain.nats
    assert given.p_value > plain.p_value
    assert "; less " in given.method


def test_conditional_information_adds_what_both_have_in_common_with_given():
    """x and y hardly correlate, since what they share through z and what they share given z have opposite signs."""
    z, noise, own = np.random.default_rng(1).normal(size=(3, N))
    rho = -math.sqrt(1 - math.exp(-1))
    x, y = z + noise, z + rho * noise + math.sqrt(1 - rho**2) * own
    found = mi_coding.estimate_mi(x, y, given=z, **QUICK)
    # I(x; y | z) = 1/2; I(x; y) = 0.01, I(x; z) = 0.35 and I(x; y, z) = 0.85 are what a wrong term would leave. Three
    # standard errors of 600 pairs, each of deviation |rho|.
    assert found.nats == pytest.approx(0.5, abs=3 * 0.8 / math.sqrt(N))
    assert found.interval[0] <= 0.5 <= found.interval[1]
    error = (found.interval[1] - found.interval[0]) / (2 * 1.96)
    assert found.p_value == pytest.approx(ndtr(-found.nats / error))


def test_symbols_are_counted_whatever_their_type():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, 2000)
    y = np.where(rng.random(2000) < 0.1, 1 - x, x)
    found = mi_coding.estimate_mi(x, y)
    named = mi_coding.estimate_mi(np.array(["no", "yes"])[x], y.astype(bool))
    assert found.nats == pytest.approx(0.368, abs=0.05)
    assert named.nats == pytest.approx(found.nats)
    assert set(found.bounds) == set(READOUTS)
    assert mi_coding.estimate_mi(x, x).nats == pytest.approx(math.log(2), abs=0.01)


def test_a_person_can_read_it(dependent):
    text = repr(dependent)
    assert f"{dependent.nats:.3f} nats" in text
    assert "95 % interval" in text
    assert "never above 5.298" in text
    assert json.loads(json.dumps(dependent.to_dict()))["bounds"]["nwj"]["ceiling"] is None
    figure = dependent.plot()
    assert figure.axes[0].get_title(loc="left").startswith(f"{dependent.nats:.3f} nats")


def test_an_unreliable_estimate_has_warnings():
    nearly = estimator.Measured(np.full(600, 4.5), 1.0, {}, 200, np.zeros(0), "")
    told = estimator._to_estimate(nearly, 0.01, [])
    assert "at least this much" in told.warnings[0]
    assert "more pairs are needed" in told.warnings[1]
    assert "at least this much" in repr(told)


def test_negative_estimates_are_reported_as_zero():
    below = estimator.Measured(np.full(600, -0.01), 0.0, {}, 200, np.zeros(0), "")
    told = estimator._to_estimate(below, 0.5, [])
    assert (told.nats, told.interval[0]) == (0.0, 0.0)
    assert 0 < told.interval[1] < 0.05  # to have found nothing is no reason to be sure


def test_wrong_arguments_are_told():
    x, y = gaussian(0.5, 60)
    with pytest.raises(ValueError, match="effort='slow'"):
        mi_coding.estimate_mi(x, y, effort="slow")
    with pytest.raises(InputError, match="given has 59"):
        mi_coding.estimate_mi(x, y, given=y[:59, 0])


def save(folder, **arrays):
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return [str(folder / f"{name}.npy") for name in arrays]


def test_the_command_prints_what_python_returns(tmp_path, capsys, dependent):
    x, y = gaussian(0.8)
    plot = tmp_path / "plot.png"
    assert command.main(["estimate", *save(tmp_path, x=x, y=y), "--effort=quick", "--json", f"--plot={plot}"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(dependent.to_dict()))
    assert plot.stat().st_size > 1000


def refused(capsys, *arguments):
    assert command.main(["estimate", *map(str, arguments)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.strip().splitlines()) == 1, printed.err
    return printed.err


def test_mistakes_are_told_in_one_line_with_exit_code_2(capsys, tmp_path):
    x, y = gaussian(0.8, 60)
    paths = save(tmp_path, x=x, y=y, short=y[:-1], nan=np.where(y > 1, np.nan, y))
    assert "60 rows and y has 59" in refused(capsys, paths[0], paths[2])
    assert "NaN or infinite" in refused(capsys, paths[0], paths[3])
    assert "x equals y" in refused(capsys, paths[0], paths[0])
    assert "nowhere.npy cannot be read" in refused(capsys, paths[0], tmp_path / "nowhere.npy")
    (tmp_path / "text.npy").write_text("1 2 3")
    assert "not a .npy file" in refused(capsys, paths[0], tmp_path / "text.npy")
    np.save(tmp_path / "objects.npy", np.array([1, "a"], object), allow_pickle=True)
    assert "not a .npy file" in refused(capsys, paths[0], tmp_path / "objects.npy")
    np.savez(tmp_path / "several.npz", x, y)
    assert "several arrays" in refused(capsys, paths[0], tmp_path / "several.npz")
    assert "required: y" in refused(capsys, paths[0])
    assert "'slow'" in refused(capsys, *paths[:2], "--effort=slow")
    assert "--seed=-1" in refused(capsys, *paths[:2], "--seed=-1")
    (tmp_path / "torn.npz").write_bytes(b"PK\x03\x04 torn")
    assert "not a .npy file" in refused(capsys, paths[0], tmp_path / "torn.npz")
    assert "ends in .png" in refused(capsys, *paths[:2], f"--plot={tmp_path}/plot.xyz")
    assert "no folder" in refused(capsys, *paths[:2], f"--plot={tmp_path}/nowhere/plot.png")


def test_the_command_itself_exits_with_2(tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "mi_coding.estimate", "missing.npy", "missing.npy"], text=True, capture_output=True
    )
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("mi_coding: error: missing.npy cannot be read")


def test_help_is_not_a_mistake(capsys):
    assert command.main(["estimate", "--help"]) == 0
    assert "python -m mi_coding.estimate" in capsys.readouterr().out


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_leaves_early_needs_no_words(unbuffered):
    read, write = os.pipe()
    os.close(read)
    run = subprocess.run(
        [sys.executable, "-m", "mi_coding.estimate", "--help"],
        env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        stdout=write,
        stderr=subprocess.PIPE,
    )
    os.close(write)
    assert (run.returncode, run.stderr) == (1, b"")
