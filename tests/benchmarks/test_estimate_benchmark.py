"""The benchmark of the estimator: what it measures does not move with what is believed to be true."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from mi_coding.benchmarks import estimate as benchmark
from mi_coding.benchmarks import estimate_families as families
from mi_coding.benchmarks import estimate_images as images_part
from mi_coding.benchmarks import estimate_invariance
from mi_coding.benchmarks import estimate_staircase as stairs
from mi_coding.estimate import EFFORTS, estimator, fast, neighbours, tables
from mi_coding.estimate.folds import Training
from mi_coding.pairs.populations import dense_covariance, gaussian, staircase, uniform_noise


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setitem(EFFORTS, "quick", estimator.Effort(3, Training(16, 1, 8, 8, 128, 3e-3), 39))


@pytest.mark.soak
def test_estimates_do_not_move_when_the_truths_are_shuffled():
    laws = [gaussian("a", dense_covariance(2, 2, 0.8), 2), uniform_noise(0.05)]
    truths = [law.mutual_information for law in laws]
    shuffled = [
        law._replace(mutual_information=truth) for law, truth in zip(laws, truths[1:] + truths[:1], strict=True)
    ]
    how = {"seeds": [0], "samples": 600, "effort": "quick"}
    rows, moved = benchmark.measure(laws, **how), benchmark.measure(shuffled, **how)
    for row, other in zip(rows, moved, strict=True):
        assert {k: v for k, v in row.items() if k not in ("truth", "seconds")} == {
            k: v for k, v in other.items() if k not in ("truth", "seconds")
        }
        assert row["truth"] != other["truth"]
    assert benchmark.fingerprint(rows) == benchmark.fingerprint(moved)
    good, wrong = benchmark.summarize(rows), benchmark.summarize(moved)
    assert good["mean_absolute_error"] < wrong["mean_absolute_error"]
    rows[0]["nats"] = np.nextafter(rows[0]["nats"], 1)
    assert benchmark.fingerprint(rows) != benchmark.fingerprint(moved)


def test_the_table_has_thirty_populations_of_every_family():
    laws = benchmark.populations()
    names = [law.name for law in laws]
    assert len(set(names)) == len(names) >= 30
    for family in ("rotated", "spiral", "Student", "uniform noise", "mixtures", "symbols", "classes", "staircase"):
        assert any(family in name for name in names), family
    assert set(benchmark.QUICK) <= set(names)


@pytest.mark.parametrize("family", families.FAMILIES)
def test_a_family_has_the_information_that_it_says(family):
    number = 16 if family == "tails" else 0  # of one column a side
    law = families.drawn(family, number)
    x, y = law.sample(40_000, np.random.default_rng(0))
    if family == "categories":
        left_out, counted, _ = tables.shrunk_information(*(np.unique(side, return_inverse=True)[1] for side in (x, y)))
        found = (left_out.mean() + counted.mean()) / 2
    elif family in ("atoms", "series") and np.squeeze(x).ndim == 1:
        found = fast.information(*(fast.cells_of(np.squeeze(side)) for side in (x, y))).nats
    elif family == "columns":
        rest = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
        found = 0.5 * (np.linalg.slogdet(np.cov(y.T))[1] - np.linalg.slogdet(np.cov(rest.T))[1])
    else:
        found = np.mean(neighbours.local_information(x[:8000], y[:8000], neighbours=(3,)))
    assert found == pytest.approx(law.nats, rel=0.08 if family in ("categories", "columns") else 0.3, abs=0.02)
    assert families.drawn(family, number).nats == law.nats != families.drawn(family, 1).nats


@pytest.mark.soak
def test_the_halves_and_series_are_parts_of_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "estimate_mi", lambda x, y, **how: independent)
    independent = estimator.estimate_mi(*np.random.default_rng(0).normal(size=(2, 200)), effort="quick")
    output = tmp_path / "estimate.json"
    parts = ["--quick", "--samples=400", "--parts=develop,report,autoregressive", f"--output={output}"]
    assert benchmark.main(parts) == 0
    result = json.loads(output.read_text())
    halves = [{row["population"] for row in result[part]["rows"]} for part in ("develop", "report")]
    assert [len(half) for half in halves] == [len(families.FAMILIES)] * 2
    assert not halves[0] & halves[1]
    missed = [row for row in result["report"]["rows"] if row["truth"] > 0.1]
    assert result["report"]["silent_misses"] == (0 if independent.warnings else len(missed))
    assert [result["autoregressive"][f"rejected at {memory}"] for memory in (0.9, 0.99)] == [0, 0]


def test_what_must_not_change_an_estimate_is_measured_in_its_own_half_widths(tmp_path, monkeypatch):
    found = estimator.estimate_mi(*np.random.default_rng(0).normal(size=(2, 200)), effort="quick")
    found = dataclasses.replace(found, nats=1.0, interval=(0.9, 1.1))
    seen = []

    def estimate(x, y, *, seed, effort):
        seen.append((x, y, seed))
        return dataclasses.replace(found, nats=1.0 + 0.15 * (seed == 1))

    monkeypatch.setattr(estimate_invariance, "estimate_mi", estimate)
    output = tmp_path / "estimate.json"
    assert benchmark.main(["--quick", "--samples=50", "--parts=invariance", f"--output={output}"]) == 0
    result = json.loads(output.read_text())["invariance"]
    assert (result["runs"], result["outside"], result["farthest"]) == (6, 1, pytest.approx(1.5))
    (x, y, _), _, exchanged, permuted, scaled, bent = seen
    np.testing.assert_array_equal(exchanged[0], y)
    assert permuted[0].tolist() != x.tolist()
    np.testing.assert_array_equal(np.sort(permuted[0], axis=1), np.sort(x, axis=1))
    for other in (scaled, bent):  # the same ranks
        for before, after in zip((x, y), other[:2], strict=True):
            np.testing.assert_array_equal(np.argsort(after, axis=0), np.argsort(before, axis=0))


def test_the_ideal_critic_of_the_staircase_reads_what_is_known():
    rows = stairs._readouts(lambda x, y: stairs._ideal(6.0, 20, x, y), staircase(6.0), 400)
    assert rows["InfoNCE"].mean() == pytest.approx(4.21, abs=0.05)
    assert rows["Donsker–Varadhan"].mean() == pytest.approx(6.11, abs=0.15)


@pytest.mark.soak
def test_the_command_writes_its_table(tmp_path, capsys):
    output = tmp_path / "estimate.json"
    arguments = ["--quick", "--samples=600", "--seeds=1", "--effort=quick", "--parts=populations", f"--output={output}"]
    assert benchmark.main(arguments) == 0
    result = json.loads(output.read_text())["populations"]
    assert result["runs"] == len(benchmark.QUICK)
    assert result["mean_absolute_error"] < 0.2
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["populations"]["fingerprint"] == result["fingerprint"]


def test_what_is_known_is_written_after_every_estimate(tmp_path, monkeypatch):
    output, seen = tmp_path / "estimate.json", []

    def estimate(x, y, **how):
        if seen:
            seen.append(json.loads(output.read_text())["populations"]["rows"])
            raise KeyboardInterrupt
        seen.append([])
        return estimator.estimate_mi(x[:500] > 0, y[:500] > 0)

    monkeypatch.setattr(benchmark, "estimate_mi", estimate)
    with pytest.raises(KeyboardInterrupt):
        benchmark.main(["--quick", "--samples=600", "--seeds=1", "--parts=populations", f"--output={output}"])
    assert [row["population"] for row in seen[-1]] == [benchmark.populations()[1].name]
    monkeypatch.setattr(benchmark, "estimate_mi", lambda x, y, **how: estimator.estimate_mi(x[:500] > 0, y[:500] > 0))
    again = ["--quick", "--samples=600", "--seeds=1", "--parts=populations", f"--output={output}", "--resume"]
    assert benchmark.main(again) == 0
    rows = json.loads(output.read_text())["populations"]["rows"]
    assert (rows[:1], len(rows)) == (seen[-1], 2)
    assert benchmark.main([*again[:-1], "--resume", "--samples=700"]) == 2


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "\xff"])
def test_what_no_earlier_run_wrote_is_not_resumed(tmp_path, capsys, text):
    output = tmp_path / "other.json"
    output.write_text(text, encoding="latin-1")
    assert benchmark.main([f"--output={output}", "--resume"]) == 2
    assert "was not written by an earlier run" in capsys.readouterr().err
    assert output.read_text(encoding="latin-1") == text


def test_what_two_views_share_is_known():
    images = np.array([[0.0] * 64, [20.0] * 64, [0.0] * 8 + [20.0] * 56])
    rng = np.random.default_rng(0)
    chosen = images[rng.integers(3, size=3000)]
    x, y = (chosen + images_part.IMAGE_NOISE * rng.normal(size=chosen.shape) for _ in range(2))
    assert images_part._shared_by_views(images, x, y) == pytest.approx(np.log(3), abs=0.03)
    two = np.log(3) - 2 / 3 * np.log(2)  # of the first row alone, two of the three images look alike
    assert images_part._shared_by_views(images, x, y[:, :8]) == pytest.approx(two, abs=0.03)


def test_a_streamed_critic_is_read_with_its_constant():
    law = staircase(2.0)
    ideal = lambda x, y: stairs._ideal(2.0, 20, x, y)  # noqa: E731
    found = stairs._normalized(lambda x, y: ideal(x, y) - 5, law)
    x, y = law.sample(jax.random.key(0), 10)
    np.testing.assert_allclose(found(x, y), ideal(x, y), atol=0.05)


def test_an_unknown_part_is_told(capsys):
    assert benchmark.main(["--parts=populatons"]) == 2
    assert "populations" in capsys.readouterr().err
