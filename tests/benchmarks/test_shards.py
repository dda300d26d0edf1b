"""The shards of the benchmark are what `parquet:` reads."""

import pytest

from mi_coding import data
from mi_coding.benchmarks.shards import make_shards


def test_shards_hold_as_many_small_images_as_asked_for(tmp_path):
    pytest.importorskip("pyarrow")
    make_shards(tmp_path, 30)
    split, _, account = data.list_all(f"parquet:{tmp_path}")
    assert split.examples.shape == (30, 32, 32, 3)
    assert (account.found, len(set(split.labels.tolist())) > 5) == (30, True)
