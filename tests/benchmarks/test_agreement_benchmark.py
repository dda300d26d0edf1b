"""What moves when only devices do, on steps so few and small that rounding has made nothing of itself yet."""

import numpy as np
import pytest
from commands import SHORT, read_config

from mi_coding.benchmarks import agreement


def test_steps_are_those_of_a_run_and_all_devices_take_part():
    small = [*SHORT, "--config.encoder.widths=(4,)", "--config.evaluation.every_steps=1000"]
    config = read_config(*small)
    first, second = agreement.train(config, 2, "float32")
    assert any(name.startswith("encoder/") for name in first)
    assert 0 < agreement.largest_difference(first, second)[0] < 0.01  # two steps of warm-up


def test_every_process_of_a_shape_has_a_place_of_its_own():
    told = agreement._places(2, by_slurm=False)
    assert [arguments[1:] for arguments, _ in told] == [["--num_processes=2", f"--process_id={i}"] for i in range(2)]
    assert told[0][0][0] == told[1][0][0]
    by_slurm = agreement._places(2, by_slurm=True)
    assert [arguments for arguments, _ in by_slurm] == [[], []]
    assert [variables["SLURM_PROCID"] for _, variables in by_slurm] == ["0", "1"]
    assert agreement._places(1, by_slurm=False) == [([], {})]


def test_the_table_names_the_largest_difference_of_every_pair_of_shapes(capsys):
    def moved_by(difference):
        return [{"w": np.zeros(3), "bias": np.array([0, step * difference])} for step in range(7)]

    agreement.print_table({name: moved_by(i * 1e-7) for i, name in enumerate(agreement.SHAPES)}, "float32", console())
    told = capsys.readouterr().out
    assert "float32" in told
    assert told.count(" bias") == len(agreement.COMPARED)
    assert "1.2e-06" in told  # from 1 × 1 to two processes, after seven steps


def console():
    return agreement.Console(width=200)


@pytest.mark.parametrize("arguments", [["--steps=0"], ["--precisions=float16"], ["--precisions="]])
def test_what_cannot_be_compared_is_told(capsys, arguments):
    assert agreement.main(["agreement", *arguments]) == 2
    assert "expected --steps of at least 1 and --precisions among float32, float64" in capsys.readouterr().err
