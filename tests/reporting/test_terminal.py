import io
import math
import time

import pytest

from mi_coding.evaluation import EVALUATORS
from mi_coding.reporting import terminal
from mi_coding.reporting.results import group_results

LN_256 = math.log(256)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """Seconds that a test sets by hand."""
    now = [100.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now[0])
    return now


def train(clock, stream, *, total_steps, first_step=0, last_step=None, ceiling=LN_256, bound=3.91):
    """One step a second."""
    with terminal.Progress(total_steps, first_step=first_step, ceiling=ceiling, stream=stream) as progress:
        for step in range(first_step + 1, (last_step or total_steps) + 1):
            clock[0] += 1
            progress.update(step, 1.6351, bound, 5120.4)


def steps_of(stream):
    return [line.split(",")[0] for line in stream.getvalue().splitlines()]


def test_a_plain_line_has_loss_bound_against_ceiling_speed_and_time_left(clock):
    stream = io.StringIO()
    train(clock, stream, total_steps=2000, last_step=6)
    assert stream.getvalue().splitlines() == [
        "step 1/2,000, train loss 1.635, train bound 3.91 of at most 5.55 nats, 5,120 examples/s, -:-- left",
        "step 6/2,000, train loss 1.635, train bound 3.91 of at most 5.55 nats, 5,120 examples/s, 33:14 left",
    ]


def test_plain_lines_come_every_interval_and_for_the_last_step_always(clock):
    stream = io.StringIO()
    train(clock, stream, total_steps=13, first_step=1)
    assert [line.split(",")[0] for line in stream.getvalue().splitlines()] == [
        "step 2/13",
        "step 7/13",
        "step 12/13",
        "step 13/13",
    ]
    assert "0:00 left" in stream.getvalue()


def test_a_run_that_is_cut_short_still_tells_its_last_step_once(clock):
    stream = io.StringIO()
    train(clock, stream, total_steps=100, last_step=3)
    assert steps_of(stream) == ["step 1/100", "step 3/100"]


def test_lines_about_a_wait_come_at_intervals_that_double_up_to_a_minute(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now[0])
    backoff, printed_at = terminal._Backoff(5.0), []
    for second in range(301):
        now[0] = float(second)
        if second == 200:
            backoff.restart()
        if backoff.is_due():
            printed_at.append(second)
    assert printed_at == [5, 15, 35, 75, 135, 195, 205, 215, 235, 275]


def test_the_time_since_the_last_step_is_shown_where_steps_are_slow():
    stream = io.StringIO()
    with terminal.Progress(20, first_step=0, ceiling=LN_256, stream=stream, interval=0.05) as progress:
        progress.update(1, 1.6, 3.9, 5120.0)
        time.sleep(0.4)
        progress.update(20, 1.6, 3.9, 5120.0)
    lines = stream.getvalue().splitlines()
    assert lines[1:-1] == ["step 1/20 was 0 s ago"] * len(lines[1:-1])
    assert (len(lines) >= 4, steps_of(stream)[-1]) == (True, "step 20/20")


def test_waiting_names_the_part_that_is_being_done():
    stream = io.StringIO()
    with terminal.waiting("evaluating", stream=stream, interval=0.03) as tell:
        tell("label probes")
        time.sleep(0.1)
    assert "evaluating: label probes …, 0 s\n" in stream.getvalue()


def test_neither_bound_nor_ceiling_is_shown_where_there_is_none(clock):
    stream = io.StringIO()
    train(clock, stream, total_steps=1, bound=None)
    train(clock, stream, total_steps=1, ceiling=None)
    without_bound, without_ceiling = stream.getvalue().splitlines()
    assert "bound" not in without_bound
    assert "train bound 3.91 nats" in without_ceiling


def test_a_terminal_gets_a_bar_with_the_same_content_within_80_columns(clock, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    train(clock, stream, total_steps=2000, last_step=200)
    shown = stream.getvalue()
    for part in ("━", "step 200/2,000, 30:00 left", "train bound 3.91 of at most 5.55 nats", "5,120 examples/s"):
        assert part in shown, part
    assert "…" not in shown


def test_hours_are_shown_as_hours(clock):
    stream = io.StringIO()
    train(clock, stream, total_steps=10_000, last_step=6)
    assert "2:46:34 left" in stream.getvalue()


def test_a_warning_is_one_line_that_keeps_brackets_and_length():
    stream = io.StringIO()
    message = "the bound [red]is[/red] within 5 %\n of its ceiling: " + 40 * "raise batch_size "
    terminal.warning(message, stream=stream)
    assert stream.getvalue() == "warning: " + " ".join(message.split()) + "\n"


def rows(summary):
    stream = io.StringIO()
    groups = group_results(summary, [kind() for kind in EVALUATORS.values()])
    terminal.closing_table(groups, stream=stream)
    return [" ".join(line.split()) for line in stream.getvalue().splitlines()]


def test_the_closing_table_shows_numbers_beside_ceilings_and_baselines(summary):
    shown = rows(summary)
    for row in (
        "N = 256 4.617 ± 0.021 5.545 81.2 %",
        "N = 397 4.873 ± 0.034 5.984 74.4 %",
        "features linear probe cosine kNN",
        "trained encoder 95.3 % 93.1 %",
        "untrained encoder 61.2 % 40.1 %",
        "raw input 55.3 % 47.5 %",
        "steps 2,000",
        "time 92.3 s",
        "time to the first step 8.2 s",
        "examples/s 5,547",
        "last loss 0.9431",
    ):
        assert row in shown, row
    assert "regulariser 0.01; kNN: neighbours 20; kNN: temperature 0.07" in " ".join(shown)  # wherever lines break


def test_the_closing_table_has_no_empty_group_and_hides_no_unknown_key(summary):
    unlabelled = {key: value for key, value in summary.items() if not key.startswith("probe/")}
    shown = rows(unlabelled | {"heldout/entropy_nats": 3.25, "note [x]": "text"})
    assert "heldout/entropy_nats 3.25" in shown
    assert "note [x] text" in shown
    assert not any("probe" in row or "raw input" in row for row in shown)


def test_the_closing_table_of_nothing_is_nothing():
    assert rows({}) == []


def test_counting_tells_how_many_are_done_every_few_seconds_and_at_the_end(clock):
    stream = io.StringIO()
    with terminal.Counting("encoded", 1000, unit="images", stream=stream, interval=5.0) as counting:
        for done in range(100, 1001, 100):
            clock[0] += 2
            counting.update(done)
    assert stream.getvalue().splitlines() == [
        "encoded 300/1,000 images, 50 images/s, 0:14 left",
        "encoded 600/1,000 images, 50 images/s, 0:08 left",
        "encoded 900/1,000 images, 50 images/s, 0:02 left",
        "encoded 1,000/1,000 images, 50 images/s, 0:00 left",
    ]


def test_counting_on_a_terminal_is_one_line_that_changes(clock):
    stream = Terminal()
    with terminal.Counting("encoded", 10, unit="images", stream=stream) as counting:
        clock[0] += 1
        counting.update(10)
    assert "encoded 10/10 images" in stream.getvalue()


def test_in_a_notebook_a_line_is_written_over_the_one_before(clock):
    stream = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})()
    train(clock, stream, total_steps=12)
    first, *lines = stream.getvalue().split("\r")
    assert first == ""
    assert [line.split(",")[0] for line in lines] == [f"step {step}/12" for step in range(1, 13)]
    assert lines[-1].endswith("\n")
    assert stream.getvalue().count("\n") == 1
    assert len({len(line.rstrip("\n")) for line in lines}) <= 2  # what was longer is covered
