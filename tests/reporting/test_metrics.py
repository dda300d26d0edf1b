import json
import math

import numpy as np
import pytest

from mi_coding.reporting.metrics import MetricsWriter, read_metrics, write_json


def run(workdir, *, resume_step, last_step, scale=1.0):
    with MetricsWriter(workdir, resume_step=resume_step) as writer:
        for step in range(resume_step + 1, last_step + 1):
            writer.write(step, {"train/loss": scale * step})


def lines(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def test_a_resumed_run_has_each_step_once_with_the_later_value(tmp_path):
    run(tmp_path, resume_step=0, last_step=5)
    run(tmp_path, resume_step=3, last_step=6, scale=10)
    steps, values = read_metrics(tmp_path)["train/loss"]
    assert [line["step"] for line in lines(tmp_path)] == [1, 2, 3, 4, 5, 6]
    np.testing.assert_array_equal(steps, [1, 2, 3, 4, 5, 6])
    np.testing.assert_array_equal(values, [1, 2, 3, 40, 50, 60])


def test_a_run_from_scratch_keeps_no_line_not_even_of_step_0(tmp_path):
    with MetricsWriter(tmp_path, resume_step=0) as writer:
        writer.write(0, {"validation/bound": 0.1})
    run(tmp_path, resume_step=0, last_step=1)
    assert lines(tmp_path) == [{"step": 1, "train/loss": 1.0}]


@pytest.mark.parametrize("torn", [b'{"step": 3, "train/lo', b'{"step": 3', b"{", b"3", b'{"step": 3, "\xce'])
def test_a_half_written_last_line_is_dropped(tmp_path, torn):
    run(tmp_path, resume_step=0, last_step=2)
    with (tmp_path / "metrics.jsonl").open("ab") as file:
        file.write(torn)
    assert read_metrics(tmp_path)["train/loss"][0].tolist() == [1, 2]
    run(tmp_path, resume_step=2, last_step=3)
    assert [line["step"] for line in lines(tmp_path)] == [1, 2, 3]


def test_a_whole_last_line_that_lacks_only_its_line_break_is_kept(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "train/loss": 1.5}')
    run(tmp_path, resume_step=1, last_step=2)
    assert lines(tmp_path) == [{"step": 1, "train/loss": 1.5}, {"step": 2, "train/loss": 2.0}]


def test_a_broken_line_in_the_middle_is_an_error_that_names_it(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\nbroken\n{"step": 2}\n')
    with pytest.raises(ValueError, match="line 2 of 3"):
        read_metrics(tmp_path)
    with pytest.raises(ValueError, match="line 2 of 3"):
        MetricsWriter(tmp_path, resume_step=2)


def test_every_line_is_on_disk_before_the_next_step(tmp_path):
    with MetricsWriter(tmp_path, resume_step=0) as writer:
        for step in (1, 2):
            writer.write(step, {"train/loss": 0.5})
            assert len(lines(tmp_path)) == step


def test_scalars_of_one_step_may_come_in_two_lines_and_under_two_names(tmp_path):
    with MetricsWriter(tmp_path, resume_step=0) as writer:
        writer.write(10, {"train/loss": np.float32(0.5)})
        writer.write(10, {"validation/bound": np.array([2.0])[0], "train/loss": 0.25})
        writer.write(20, {"train/loss": float("inf")})
    curves = read_metrics(tmp_path)
    np.testing.assert_array_equal(curves["train/loss"], [[10, 20], [0.25, math.nan]])
    np.testing.assert_array_equal(curves["validation/bound"], [[10], [2.0]])


def test_what_cannot_be_a_line_of_metrics_is_refused(tmp_path):
    with pytest.raises(ValueError, match="resume_step=-1"):
        MetricsWriter(tmp_path, resume_step=-1)
    with MetricsWriter(tmp_path, resume_step=0) as writer:
        with pytest.raises(ValueError, match="step"):
            writer.write(1, {"step": 2})
        with pytest.raises((TypeError, ValueError)):
            writer.write(1, {"train/loss": "low"})
    assert lines(tmp_path) == []


def test_tensorboard_gets_the_same_scalars_and_two_openings_two_files(tmp_path):
    run(tmp_path, resume_step=0, last_step=3)
    run(tmp_path, resume_step=1, last_step=2)
    events = sorted(tmp_path.glob("events.out.tfevents.*"))
    assert len(events) == 2
    assert [path.read_bytes().count(b"train/loss") for path in events] == [3, 1]


def test_summary_is_json_in_the_order_given_and_null_where_not_finite(tmp_path):
    path = tmp_path / "summary.json"
    values = {"b": np.float32(0.5), "a": np.int64(3), "c": math.nan, "d": -math.inf, "e": "β", "f": True, "g": None}
    write_json(path, values)
    text = path.read_text(encoding="utf-8")
    assert text.endswith("}\n")
    assert list(json.loads(text).items()) == [
        ("b", 0.5), ("a", 3), ("c", None), ("d", None), ("e", "β"), ("f", True), ("g", None)
    ]  # fmt: skip
    with pytest.raises(TypeError):
        write_json(path, {"nested": {"a": 1}})
    assert path.read_text(encoding="utf-8") == text
