"""The table: methods × ways to run × losses × dtypes, against loops in float64 NumPy."""

import contextlib

import jax
import jax.numpy as jnp
import pytest
from contrast_oracle import CASES
from contrast_program import AXIS, WAYS, assert_as_oracle, make_data, program

DEVICES, PER_DEVICE = 8, 7  # seven pairs in tiles of three: the last tile overlaps
TOLERANCES = {"float64": 1e-12, "float32": 2e-6, "bfloat16": 1e-2}
ROWS = [
    (method, way)
    for way in WAYS
    for method in ("dense", "gather", "blockwise", "ring")
    if not (method == "dense" and way != "alone")
]
# float64 shows a mistake of any size, so it runs every loss; the others one of every rule and critic.
CASES_OF = {
    "float64": tuple(CASES),
    "float32": ("all-inner", "all-symmetric-cosine", "other_devices-symmetric-cosine", "pool-cosine"),
    "bfloat16": ("all-cosine", "all-symmetric-inner", "other_devices-inner", "pool-cosine"),
}
# On several devices a mistake in what varies, or in a factor of a gradient, is seen in float64 by one loss of every
# rule and critic; what rounds, and in which dtype, is decided by the method, so one loss with all there is shows it.
WITH_EVERYTHING = "other_devices-symmetric-cosine"
CASES_OF_DEVICES = {
    "float64": CASES_OF["float32"],
    "float32": (WITH_EVERYTHING,),
    "bfloat16": (WITH_EVERYTHING,),
}


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize(("method", "way"), ROWS)
def test_loss_and_gradients_are_those_of_the_definition(method, way, dtype):
    axis, devices = (None, 1) if way == "alone" else (AXIS, DEVICES)
    cases = CASES_OF_DEVICES[dtype] if devices > 1 else CASES_OF[dtype]
    cases = [name for name in cases if devices > 1 or CASES[name].distractors != "other_devices"]
    data = make_data(DEVICES * PER_DEVICE)
    with jax.enable_x64(True) if dtype == "float64" else contextlib.nullcontext():
        run = program(cases, jnp.dtype(dtype), axis, method=method, block_size=3)
        arrays = {k: jnp.asarray(v, "float64" if dtype == "float64" else "float32") for k, v in data.items()}
        found = WAYS[way](run, arrays, devices)
        assert_as_oracle(found, data, devices, TOLERANCES[dtype])


def test_the_table_has_every_way_and_every_rule_of_every_method():
    assert len(ROWS) == 4 * 5 - 4  # dense knows one device only
    for names in (*CASES_OF.values(), CASES_OF_DEVICES["float64"]):
        cases = [CASES[name] for name in names]
        assert {case.distractors for case in cases} == {"all", "other_devices", "pool"}
        assert {case.normalize for case in cases} == {case.symmetric for case in cases} == {False, True}
