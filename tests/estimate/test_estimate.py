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
from mi_coding.estimate import __main__ as command
from mi_coding.estimate import estimator
from mi_coding.estimate.crossfit import READOUTS
from mi_coding.estimate.rows import Independent

pytestmark = pytest.mark.usefixtures("short_training")

N = 600
QUICK = {"effort": "quick"}


def gaussian(rho, n=N, seed=0):
    rng = np.random.default_rng(seed)
    x, noise = rng.normal(size=(2, n, 2))
    return x, rho * x + math.sqrt(1 - rho**2) * noise


@pytest.fixture(scope="module")
def dependent(short_training):
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


def entropy(share):
    return -share * np.log(share) - (1 - share) * np.log1p(-share)


@pytest.mark.soak
def test_ties_are_not_broken_with_the_numbers_of_the_person():
    u = 4 * np.random.default_rng(0).random(1000)
    found = mi_coding.estimate_mi(u.astype(int), u % 1, seed=0, **QUICK)  # independent
    assert found.nats < 0.03
    assert found.p_value > 0.05


def many_groups(rng):
    shares = rng.beta(0.6, 0.6, 300)
    groups = rng.integers(0, 300, 10_000)
    truth = entropy(shares.mean()) - entropy(shares).mean()
    return groups.astype(str), rng.random(10_000) < shares[groups], truth


def equal_or_any(rng):
    x = rng.integers(0, 500, 10_000)
    equal = 0.5 + 0.5 / 500
    truth = np.log(500) + equal * np.log(equal) + (1 - equal) * np.log(0.5 / 500)
    return x.astype(str), np.where(rng.random(10_000) < 0.5, x, rng.integers(0, 500, 10_000)).astype(str), truth


def unrelated(rng):
    x, y = rng.integers(0, 300, (2, 10_000)).astype(str)
    return x, y, 0.0


@pytest.mark.parametrize("make", [many_groups, equal_or_any, unrelated])
def test_categories_of_many_values_are_counted(make):
    x, y, truth = make(np.random.default_rng(2))
    found = mi_coding.estimate_mi(x, y, **QUICK)
    assert found.nats == pytest.approx(truth, abs=0.07)
    assert found.interval[0] <= truth <= found.interval[1]
    assert "values" in found.method
    assert (found.p_value <= 1 / 40) == (truth > 0)


@pytest.mark.soak
def test_a_class_is_predicted_where_a_classifier_is_the_best_critic():
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict

    flowers = load_iris()
    order = np.random.default_rng(0).permutation(150)
    x, y = flowers.data[order], flowers.target[order]
    chances = cross_val_predict(LogisticRegression(C=10, max_iter=1000), x, y, cv=10, method="predict_proba")
    proved = math.log(3) + np.log(chances[np.arange(150), y]).mean()
    found = mi_coding.estimate_mi(x, y, **QUICK)
    assert "classifiers" in found.method
    assert found.interval[0] < proved < found.interval[1]
    assert found.entropies == (None, pytest.approx(math.log(3), abs=0.01))
    assert found.normalized == pytest.approx(found.nats / math.log(3), rel=0.02)


def half_atoms(rng, n=2000):
    z = rng.multivariate_normal([0, 0], [[1, 0.9], [0.9, 1]], n)
    atoms = np.array([[1, 1], [-1, -1], [1, -1], [-1, 1]])[rng.choice(4, n, p=[0.45, 0.45, 0.05, 0.05])]
    return (*np.where(rng.random((n, 1)) < 0.5, z, atoms).T, 1.2924)


def zero_inflated(rng, n=2000):
    x = rng.integers(0, 5, n)  # y is uniform on 0 … x − 1 or, with probability 0.15 as where x = 0, zero
    y = np.where((rng.random(n) < 0.15) | (x == 0), 0, x * rng.random(n))
    given_zero = {0: 1.0} | {value: 0.15 for value in range(1, 5)}
    of_zero = np.mean(list(given_zero.values()))
    told = np.mean([entropy(np.clip(share, 1e-12, 1 - 1e-12)) for share in given_zero.values()])
    # what y > 0 tells of x, by its density: a mixture of uniform laws on 0 … k, each with 0.85/5 of the pairs
    steps = np.array([sum(0.85 / 5 / k for k in range(i + 1, 5)) for i in range(4)])
    mixed = -np.sum(steps * np.log(steps))
    return x, y, entropy(of_zero) - told + mixed + (1 - of_zero) * np.log(1 - of_zero) - 0.85 / 5 * np.log(24)


def bootstrap(rng, n=2000):
    x, y = gaussian(0.8, n)
    rows = rng.integers(0, n, n)
    return x[rows], y[rows], TRUTH


def many_columns(rng, n=2000):
    x = rng.normal(size=(n, 200))
    return x, x[:, 7] + 0.33 * rng.normal(size=n), 0.5 * math.log1p(0.33**-2)


@pytest.mark.parametrize(
    "make", [half_atoms, pytest.param(zero_inflated, marks=pytest.mark.soak), bootstrap, many_columns]
)
def test_atoms_copies_and_many_columns_are_estimated(make):
    x, y, truth = make(np.random.default_rng(4))
    found = mi_coding.estimate_mi(x, y, **QUICK)
    assert found.nats == pytest.approx(truth, abs=0.1)
    assert found.interval[0] - 0.05 <= truth <= found.interval[1] + 0.05
    assert found.p_value == 1 / 40


def test_copies_are_told():
    x, y, _ = bootstrap(np.random.default_rng(4), 300)
    assert "are exact copies of others" in " ".join(mi_coding.estimate_mi(x, y, **QUICK).warnings)


def walks(rng):
    return rng.normal(size=(2, N)).cumsum(axis=1), "series"


def patients(rng):
    levels = np.repeat(rng.normal(size=(2, N // 15)), 15, axis=1)
    return levels + 0.1 * rng.normal(size=(2, N)), np.arange(N) // 15


def test_the_critics_of_a_series_without_independent_stretches_are_not_tested(monkeypatch):
    tested = []
    monkeypatch.setattr(estimator, "p_value_of", lambda statistics: tested.append(len(statistics)) or 0.5)
    (x, y), rows = walks(np.random.default_rng(3))
    for kind in ("independent", rows):
        mi_coding.estimate_mi(x, y, rows=kind, **QUICK)
    assert tested == [3, 2]


@pytest.mark.parametrize("make", [walks, patients])
def test_rows_that_depend_share_nothing_where_they_are_independent(make):
    (x, y), rows = make(np.random.default_rng(3))
    plain = mi_coding.estimate_mi(x, y, **QUICK)
    assert plain.nats > 0.5
    assert plain.p_value == 1 / 40
    assert "successive rows depend on each other" in plain.warnings[-1]
    known = mi_coding.estimate_mi(x, y, rows=rows, **QUICK)
    assert known.interval[0] == 0
    assert known.interval[1] > 0.05  # so few independent stretches tell little
    assert known.p_value > 1 / 40


def test_every_pair_adds_its_own(dependent):
    x, y = gaussian(0.8)
    found = mi_coding.estimate_mi(x, y, pointwise=True, **QUICK)
    scored = found.pointwise[np.isfinite(found.pointwise)]
    assert (len(scored), dependent.pointwise) == (N, None)
    assert scored.mean() == pytest.approx(dependent.nats) == found.nats
    exact = -math.log(1 - 0.64) - np.sum(0.64 * (x**2 + y**2) - 1.6 * x * y, axis=1) / (2 * (1 - 0.64))
    assert np.corrcoef(found.pointwise, exact)[0, 1] > 0.95


def test_a_small_p_says_what_it_is_less_than():
    x, y = gaussian(0.8)
    assert "p < 0.01;" in repr(mi_coding.estimate_mi(x, y, permutations=99, **QUICK))


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
    told = estimator._to_estimate(nearly, 0.01, [], Independent(600), (None, None))
    assert "the most that 200 held-out pairs can show" in told.warnings[0]
    assert "more pairs are needed" in told.warnings[1]
    assert "may be too low or too high" in repr(told)
    assert told.interval[1] - told.nats > 1.96 * estimator.UNSEEN * (4.5 - math.log(200) + 1)


def test_negative_estimates_are_reported_as_zero():
    below = estimator.Measured(np.full(600, -0.01), 0.0, {}, 200, np.zeros(0), "")
    told = estimator._to_estimate(below, 0.5, [], Independent(600), (None, None))
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
    assert "y in " in refused(capsys, paths[0], paths[3])
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
    assert "--efort=quick is not an option; did you mean --effort?" in refused(capsys, *paths[:2], "--efort=quick")
    assert "more.npy is one argument too many" in refused(capsys, *paths[:2], "more.npy")
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


def blobs(nats, n, rng):
    """Pictures of 16 × 16 pixels with a spot each, whose places share so many nats."""
    z, noise = rng.normal(size=(2, n, 2))
    rho = math.sqrt(-math.expm1(-nats))
    places = (np.arange(16) + 0.5) / 16 - ndtr(np.stack([z, rho * z + math.sqrt(1 - rho**2) * noise]))[..., None]
    bumps = np.exp(-(places**2) / (2 * 0.12**2))
    return bumps[:, :, 0, :, None] * bumps[:, :, 1, None, :]


@pytest.mark.parametrize("nats", [1.0, 5.0])
def test_pictures_are_estimated(nats):
    x, y = blobs(nats, 2500, np.random.default_rng(5))
    found = mi_coding.estimate_mi(x, y[..., None], **QUICK)
    assert found.nats == pytest.approx(nats, rel=0.1)
    assert found.interval[0] - 0.15 * nats < nats < found.interval[1] + 0.15 * nats


@pytest.mark.soak
def test_a_class_with_one_member_is_no_mistake():
    rare = np.arange(100) == 7
    found = mi_coding.estimate_mi(rare, np.random.default_rng(0).normal(size=100), **QUICK)
    assert found.nats < 0.1
