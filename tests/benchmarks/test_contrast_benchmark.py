"""The benchmark itself: that it compares like with like, and never shows a number that was not measured."""

import json
import time

import jax.numpy as jnp
import pytest

from mi_coding.benchmarks import contrast as bench


@pytest.mark.parametrize(
    ("value", "at_most", "is_met"), [(1.0, True, True), (1.2, True, False), (1.0, False, False), (1.2, False, True)]
)
def test_a_bar_is_met_from_the_right_side(value, at_most, is_met):
    assert bench.Row("a ratio", value, "×", 1.1, at_most).is_met is is_met


def test_a_row_that_was_not_run_meets_nothing_and_fails_nothing():
    assert bench.Row("a ratio", None, "×", 1.1).is_met is None


def test_two_programs_of_different_losses_are_not_compared():
    programs = {name: bench.with_gradients(lambda x, y, f=f: f * jnp.sum(x * y), 8) for name, f in (("a", 1), ("b", 2))}
    with pytest.raises(ValueError, match="a and b compute different losses"):
        list(bench.compare("8 pairs", programs, bench.codes(8), 1, None, 1.1))


def test_the_programs_compared_at_16k_pairs_agree_at_64():
    programs = {"dense": bench.dense_program(64, True), "blockwise": bench.compiled("blockwise", 64, 1, True)}
    rows = list(bench.compare("64 pairs", programs, bench.codes(64), 1, 10, 1.1))
    assert [row.name for row in rows] == [
        "64 pairs: memory of dense over blockwise",
        "64 pairs: time of blockwise over dense",
    ]
    assert all(row.value > 0 for row in rows)


def test_times_are_of_the_program_they_are_named_after():
    times = bench.median_seconds({"quick": lambda: None, "slow": lambda: time.sleep(0.02)}, repeats=3)
    assert times["quick"] < 0.01 < 0.02 <= times["slow"]


def test_rows_of_a_missing_gpu_say_so_in_table_and_json(monkeypatch, tmp_path, capsys):
    output = tmp_path / "rows.json"
    monkeypatch.setattr(bench.jax, "default_backend", lambda: "cpu")
    assert bench.main(["contrast", "--only", "gpu", "--output", str(output)]) == 0
    rows = json.loads(output.read_text())["rows"]
    assert len(rows) == 3
    assert all(row["value"] is None and row["is_met"] is None and "not run" in row["note"] for row in rows)
    assert "not run" in capsys.readouterr().out
