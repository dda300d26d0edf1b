"""The default config, at its full size, trains the same parameters on whatever it runs, for the first 20 steps.

Two processes of four devices, told their places and again by SLURM's variables alone, are compared with one process of
eight devices and with one of a single device.
"""

import pytest
from commands import CPC

from mi_coding.benchmarks.agreement import SHAPES, largest_difference, measure

pytestmark = pytest.mark.soak

STEPS = 20
ONE, EIGHT, *TWO_PROCESSES = SHAPES


@pytest.fixture(scope="module")
def of_shapes(tmp_path_factory):
    return measure([f"--config={CPC}"], STEPS, "float32", tmp_path_factory.mktemp("agreement"))


def test_the_steps_train(of_shapes):
    first, *_, last = of_shapes[ONE]
    assert largest_difference(first, last)[0] > 1e-3


@pytest.mark.parametrize("shape", TWO_PROCESSES)
def test_two_processes_train_the_parameters_of_one_with_as_many_devices(of_shapes, shape):
    assert largest_difference(of_shapes[shape][-1], of_shapes[EIGHT][-1])[0] <= 1e-6


@pytest.mark.parametrize("shape", [EIGHT, *TWO_PROCESSES])
def test_eight_devices_train_the_parameters_of_one(of_shapes, shape):
    assert largest_difference(of_shapes[shape][-1], of_shapes[ONE][-1])[0] <= 1e-5
