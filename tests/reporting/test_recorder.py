import math
import time

import pytest

from mi_coding.reporting.metrics import MetricsWriter, read_metrics
from mi_coding.reporting.phases import Phases
from mi_coding.reporting.recorder import Recorder, Session, TrainingSpec

SPEC = TrainingSpec(batch_size=10, ceiling=math.log(16), is_bound=True, learning_after=2)


class Shown:
    """Stands where the terminal would and keeps what it is told."""

    def __init__(self):
        self.updates = []

    def update(self, *what, information=None):
        self.updates.append((*what, information))


@pytest.fixture
def record(tmp_path):
    """A function that records losses by step, and returns the recorder with all it said."""

    def go(losses, *, spec=SPEC, session=None, more=(), **options):
        shown, warnings, session = Shown(), [], session or Session(time.perf_counter() - 5)
        with MetricsWriter(tmp_path, resume_step=session.resumed_at) as writer:
            recorder = Recorder(writer, shown, warnings.append, spec, session, **options)
            for step, loss in losses.items():
                metrics = {"loss": loss, "mi_lower_bound": math.log(16) - loss, "accuracy": 0.5, "gradient_norm": 1.0}
                recorder.log(step, metrics | dict(more))
        return recorder, shown.updates, warnings, read_metrics(tmp_path)

    return go


def test_a_line_has_loss_bound_and_ceiling(record):
    _, shown, _, curves = record({1: 2.5, 4: 1.5})
    assert curves["train/loss"][1].tolist() == [2.5, 1.5]
    assert curves["train/mi_lower_bound_nats"][1] == pytest.approx([math.log(16) - 2.5, math.log(16) - 1.5])
    assert curves["train/mi_ceiling_nats"][1] == pytest.approx([math.log(16)] * 2)
    assert [update[:2] for update in shown] == [(1, 2.5), (4, 1.5)]


def test_what_is_no_bound_is_neither_written_nor_shown(record):
    small = {"mi_lower_bound_small": 0.3}
    _, shown, _, curves = record({1: 2.5}, spec=SPEC._replace(is_bound=False), more=small)
    assert not any("bound" in name or "ceiling" in name for name in curves)
    assert shown[0][2] is None


def test_a_loss_still_at_ln_n_after_the_warm_up_is_warned_of_once(record):
    assert len(record({1: 2.77, 2: 2.77, 3: 2.77})[2]) == 1
    assert "has not left ln N" in record({1: 2.77, 2: 2.77})[2][0]
    assert record({1: 2.77, 2: 2.5})[2] == []
    assert record({1: 2.77}, spec=SPEC._replace(learning_after=5))[2] == []


def test_speed_leaves_the_first_step_out_which_also_compiled(record):
    recorder = record({1: 2.0})[0]
    assert math.isnan(recorder.summary()["train/examples_per_second"])  # nothing but the first step: no speed yet
    assert 5 < recorder.summary()["train/first_step_seconds"] < 6


def test_seconds_of_earlier_sessions_count(record):
    recorder = record({8: 2.0}, session=Session(time.perf_counter(), resumed_at=7, seconds_before=100.0))[0]
    assert 100 < recorder.summary()["train/seconds"] < 101


def test_whatever_else_a_step_tells_is_written(record):
    curves = record({1: 2.5}, more={"online_probe_accuracy": 0.25})[3]
    assert curves["train/online_probe_accuracy"][1].tolist() == [0.25]
    assert "train/input_wait_share" not in curves


def test_a_large_share_of_time_spent_waiting_for_data_is_warned_of_once(record):
    clock = time.perf_counter
    _, _, warnings, curves = record({1: 2.5, 2: 2.0, 3: 2.0, 4: 2.0}, input_wait=clock)  # all of the time
    assert curves["train/input_wait_share"][1][2:] == pytest.approx([1, 1], abs=0.3)
    assert len(warnings) == 1
    assert "waiting for data" in warnings[0]
    assert "num_workers" in warnings[0]
    assert record({1: 2.5, 2: 2.0, 3: 2.0}, input_wait=lambda: 0.0)[2] == []


def test_a_large_share_of_a_second_is_no_warning(record):
    start = time.perf_counter()
    assert record({1: 2.5, 2: 2.0, 3: 2.0, 4: 2.0}, input_wait=lambda: time.perf_counter() - start)[2] == []


def test_without_candidates_information_is_shown_and_no_ceiling(record):
    codes = {"best_mi_nats": 1.7, "entropy_nats": 2.1}
    _, shown, warnings, curves = record(
        {1: -1.2, 9: -1.3}, spec=SPEC._replace(ceiling=None, is_bound=False), more=codes
    )
    assert [update[-1] for update in shown] == [1.7, 1.7]
    assert curves["train/entropy_nats"][1].tolist() == [2.1, 2.1]
    assert warnings == []


def test_time_goes_to_phases_and_the_rest_to_the_steps(record):
    phases = Phases()
    wait = phases.timed("checkpoint", lambda: time.sleep(0.05))

    class Losses(dict):
        def items(self):
            for pair in super().items():
                if pair[0] == 3:
                    wait()
                yield pair

    recorder, _, _, curves = record(Losses({1: 2.5, 2: 2.0, 3: 2.0}), phases=phases)
    checkpoint, steps = (curves[f"time/{name}_share"][1] for name in ("checkpoint", "steps"))
    assert checkpoint[:2].tolist() == [0, 0]
    assert checkpoint[2] > 0.5
    assert checkpoint + steps == pytest.approx(1)
    assert 0.05 <= recorder.summary()["train/seconds_of_checkpoint"] < 1


def test_use_of_the_devices_is_operations_by_time_of_what_they_could_do(record):
    recorder, _, _, curves = record({1: 2.5, 2: 2.0, 4: 2.0}, spec=SPEC._replace(flops=3e9, peak_flops=1e15))
    steps_per_second = curves["train/examples_per_second"][1] / 10
    assert curves["train/model_teraflops_per_second"][1] == pytest.approx(3e-3 * steps_per_second)
    assert curves["train/model_flop_utilisation"][1] == pytest.approx(3e-6 * steps_per_second)
    assert recorder.summary()["train/model_flop_utilisation"] > 0
    _, _, _, curves = record({1: 2.5}, spec=SPEC._replace(flops=3e9))
    assert "train/model_flop_utilisation" not in curves


def test_the_time_of_a_step_is_told_by_its_median_and_its_slowest(record):
    class Losses(dict):
        def items(self):
            for step, loss in super().items():
                time.sleep(0.1 if step == 30 else 0.005)
                yield step, loss

    summary = record(Losses({step: 2.0 for step in range(10, 51, 2)}))[0].summary()
    assert 0.0025 <= summary["train/step_seconds_median"] < 0.01
    assert summary["train/step_seconds_median"] <= summary["train/step_seconds_95_percent"]
