"""What may be passed as arrays of pairs, and what each mistake is told."""

import datetime

import jax.numpy as jnp
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse

import mi_coding
from mi_coding.errors import InputError
from mi_coding.estimate import columns, inputs

N = 60
RNG = np.random.default_rng(0)


def read(**arrays):
    return inputs.read_tables(arrays, arrays.pop("missing", "error"))


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        ("x", np.array([[1.0, 0.0], [np.inf, 1.0]] * 30), ["30 infinite", "columns 0"]),
        ("x", np.array([[1.0, np.nan], [2.0, np.nan]] * 30), ["x in 60 rows", "missing='drop'"]),
        ("x", np.array([1, "a", None] * 30, object), ["array of objects", "int, str"]),
        ("x", np.array([[1], {}] * 30, object), ["array of objects"]),
        ("y", np.zeros((60, 2, 2, 2, 2)), ["(60, 2, 2, 2, 2)", "[n], [n, d]"]),
        ("x", [[1, 2], [3]] * 30, ["x is not an array"]),
        ("x", np.arange(49), ["49 rows", "at least 50"]),
        ("x", np.arange(60) * 1j, ["complex128"]),
        ("x", np.stack([np.arange(60), np.ones(60)], 1), ["constant columns", ": 1"]),
        ("y", np.zeros((60, 20_000)), ["20,000 columns", "10,000"]),
        ("x", pd.DataFrame({"a": range(60), "b": 1}), ["constant columns", ": b"]),
        ("x", scipy.sparse.csr_array((10**6, 10**4)), ["1,000,000 × 10,000", "reduce it first"]),
    ],
)
def test_an_array_that_cannot_work_is_told_in_one_line(name, array, words):
    with pytest.raises(InputError) as told:
        read(**{name: array})
    message = str(told.value)
    assert [word for word in [*words, name] if word not in message] == [], message
    assert "\n" not in message


def test_a_million_columns_are_refused_before_anything_is_copied():
    with pytest.raises(InputError, match="1,000,000 columns"):
        inputs.read("x", np.lib.stride_tricks.as_strided(np.zeros(1), (60, 1_000_000), (0, 0)))


def test_arrays_that_do_not_belong_together_are_refused():
    x = RNG.normal(size=(N, 2))
    with pytest.raises(InputError, match="60 rows and y has 59"):
        read(x=x, y=x[:-1])
    for wrong, words in ((x, "x equals y"), (x[:, ::-1] * [1, 2], "column 1 of x is in y")):
        with pytest.raises(InputError, match=words):
            columns.check_pair(inputs.read("x", x), inputs.read("y", wrong))
    whole = inputs.read("x", x.round().astype(int))
    columns.check_pair(whole, whole)  # symbols may be equal: their entropy is finite


def test_rows_of_frames_belong_together_by_their_index():
    x, y = pd.Series(range(N)), pd.Series(range(N))
    read(x=x, y=y)
    read(x=x, y=y.to_numpy())
    with pytest.raises(InputError, match="index of y has the same labels in another order"):
        read(x=x, y=y[::-1])
    with pytest.raises(InputError, match="index of y has other labels"):
        read(x=x, y=y.set_axis(range(1, N + 1)))


WORDS = np.array(["bee", "ant", "cat"] * 20)
CODES = [1, 0, 2] * 20
DAYS = np.datetime64("2020-01-01") + np.arange(N)


@pytest.mark.parametrize(
    ("array", "values", "nominal"),
    [
        (WORDS, CODES, True),
        (WORDS.astype(object), CODES, True),
        (pd.Series(WORDS), CODES, True),
        (pd.Series(WORDS).astype("category"), CODES, True),
        (pl.Series(WORDS.tolist()), CODES, True),
        (pl.Series(WORDS.tolist(), dtype=pl.Categorical), CODES, True),
        (np.array([True, False, True] * 20), [1, 0, 1] * 20, True),
        (pd.Series([True, False, True] * 20, dtype="boolean"), [1, 0, 1] * 20, True),
        (pl.Series([True, False, True] * 20), [1, 0, 1] * 20, True),
        (jnp.arange(N, dtype=jnp.bfloat16), np.arange(N), False),
        (pd.Series(range(N), dtype="Int64"), np.arange(N), False),
        (pd.Series(range(N), dtype="Float32"), np.arange(N), False),
        (pl.Series(range(N)), np.arange(N), False),
        (np.arange(N).astype(object), np.arange(N), False),
        (scipy.sparse.csr_array(np.arange(N)[:, None]), np.arange(N), False),
        (DAYS, DAYS.astype("M8[ns]").astype(int), False),
        (pd.Series(DAYS), DAYS.astype("M8[ns]").astype(int), False),
        (pl.Series(DAYS), DAYS.astype("M8[ns]").astype(int), False),
        (
            [datetime.date(2020, 1, 1) + datetime.timedelta(int(i)) for i in range(N)],
            DAYS.astype("M8[ns]").astype(int),
            0,
        ),
    ],
    ids=str,
)
def test_values_of_every_kind_are_read(array, values, nominal):
    table = inputs.read("x", array)
    assert table.array.ravel().tolist() == list(values)
    assert table.nominal.tolist() == [nominal]
    assert not table.missing.any()


@pytest.mark.parametrize(
    "array",
    [
        np.where(np.arange(N) % 3 == 0, np.nan, np.arange(N)),
        np.ma.masked_array(np.arange(N), np.arange(N) % 3 == 0),
        np.array([None if i % 3 == 0 else str(i % 5) for i in range(N)], object),
        pd.Series([None if i % 3 == 0 else i for i in range(N)], dtype="Int64"),
        pd.Series([None if i % 3 == 0 else str(i % 5) for i in range(N)]),
        pd.Series(np.where(np.arange(N) % 3 == 0, np.datetime64("NaT"), DAYS)),
        pl.Series([None if i % 3 == 0 else i for i in range(N)]),
        pl.Series([None if i % 3 == 0 else str(i % 5) for i in range(N)]),
        np.where(np.arange(N) % 3 == 0, np.datetime64("NaT"), DAYS),
    ],
    ids=lambda array: f"{type(array).__module__} {getattr(array, 'dtype', '')}",
)
def test_missing_values_are_counted_or_their_rows_left_out(array, monkeypatch):
    with pytest.raises(InputError, match="values are missing: x in 20 rows; pass missing='drop'"):
        read(x=array, y=np.arange(N))
    monkeypatch.setattr(inputs, "FEWEST", 10)
    tables, kept, warnings = inputs.read_tables({"x": array, "y": np.arange(N)}, "drop")
    assert tables["y"].array.ravel().tolist() == [i for i in range(N) if i % 3]
    assert kept.tolist() == [i % 3 > 0 for i in range(N)]
    assert warnings == ["20 of 60 rows have missing values and were left out"]
    with pytest.raises(InputError, match="missing='skip'"):
        inputs.read_tables({"x": array}, "skip")


def test_columns_of_a_frame_keep_their_names_and_kinds():
    table = inputs.read("x", pd.DataFrame({"a": WORDS, "b": np.arange(N) / 7, "c": DAYS}))
    assert table.names == ("a", "b", "c")
    assert table.nominal.tolist() == [True, False, False]
    assert table.array.dtype == np.float64
    np.testing.assert_allclose(table.array[:, 1], np.arange(N) / 7)
    other = inputs.read("x", pl.DataFrame({"a": WORDS.tolist(), "b": (np.arange(N) / 7).tolist()}))
    assert other.names == ("a", "b")
    np.testing.assert_array_equal(other.array, table.array[:, :2])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"seed": -1}, "seed=-1"),
        ({"seed": 1.5}, "seed=1.5"),
        ({"permutations": 3}, "permutations=3"),
        ({"permutations": 99.5}, "permutations=99.5"),
        ({"missing": "ignore"}, "missing='ignore'"),
        ({"rows": "dependent"}, "rows='dependent' is unknown; expected 'independent', 'series'"),
        ({"rows": np.arange(59)}, r"rows has shape \(59,\)"),
        ({"rows": np.arange(N) % 3}, "3 groups, the largest with 20 of 60 rows; expected at least 10"),
        ({"effort": "slow"}, "effort='slow'"),
    ],
)
def test_wrong_arguments_are_told_in_one_line(wrong, words):
    x, y = RNG.normal(size=(2, N))
    with pytest.raises(ValueError, match=words) as caught:
        mi_coding.estimate_mi(x, y, **wrong)
    assert "\n" not in str(caught.value)


NUMBERS = [f"{number / 8}" for number in range(60)]


@pytest.mark.parametrize(
    "column",
    [
        [*NUMBERS[1:], "?"],
        [number.replace(".", ",") for number in NUMBERS],
        np.array([*NUMBERS[1:], "NA"]),
        pd.Series([*NUMBERS[1:], "missing"]),
        pl.Series([*NUMBERS[1:], "n/a"]),
    ],
    ids=["list", "decimal commas", "array", "pandas", "polars"],
)
def test_numbers_written_as_text_are_no_symbols(column):
    with pytest.raises(InputError, match=r"of 60 are numbers, and '.*' is none; expected numbers, NaN where"):
        inputs.read("x", column)


def test_names_of_classes_may_be_numbers():
    assert inputs.read("x", ["1", "2", "other"] * 20).nominal.all()
    assert inputs.read("x", [str(number) for number in range(60)]).nominal.all()
    assert inputs.read("x", [*map(str, range(1, 13)), "unknown"] * 5).nominal.all()  # months
    assert inputs.read("x", [*NUMBERS[:50], "V10", "V11", "E8", *NUMBERS[:7]]).nominal.all()  # codes of diseases


def test_numbers_of_a_list_stay_numbers_beside_text():
    table = inputs.read("x", [[float(i), "ab"[i % 2]] for i in range(60)])
    assert table.nominal.tolist() == [False, True]
    assert table.array[:, 0].tolist() == list(range(60))
    assert inputs.read("x", ["a", float("nan"), "b"] * 20).missing.sum() == 20
    with pytest.raises(InputError, match=r"array of objects \(float, str\)"):
        inputs.read("x", [1.5, "NA"] * 30)


@pytest.mark.parametrize("dtype", ["string", "Int64", "Float64", "boolean", object])
def test_missing_values_of_every_dtype_of_pandas_are_found(dtype):
    values = ["a", "b", None] * 20 if dtype in ("string", object) else [0, 1, None] * 20
    assert inputs.read("x", pd.Series(values, dtype=dtype)).missing.sum() == 20


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_a_column_of_lists_is_told(kind):
    cells = [[1.0, 2.0]] * 60
    column = pd.Series([np.array(cell) for cell in cells]) if kind == "pandas" else pl.Series(cells)
    with pytest.raises(InputError, match="array of objects"):
        inputs.read("x", column)
