"""Data sets that TFDS prepared. The real one is read where it is; elsewhere those tests are skipped."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from mi_coding import data
from mi_coding.errors import InputError

HERE = Path(os.environ.get("TFDS_DATA_DIR", Path(__file__).parents[3] / "shared" / "data" / "tfds"))
needs_data = pytest.mark.skipif(
    not (HERE / "fashion_mnist").is_dir(), reason=f"Fashion-MNIST is not prepared in {HERE}; see TFDS_DATA_DIR"
)


@pytest.fixture(autouse=True)
def where_tfds_looks(monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(HERE))


def refused(source, **options):
    with pytest.raises(InputError) as error:
        data.load(source, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture(scope="module")
def fashion():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFDS_DATA_DIR", str(HERE))
        return data.load("tfds:fashion_mnist")


@needs_data
def test_fashion_mnist_has_its_images_and_labels(fashion):
    assert [split.images.shape for split in fashion[1:]] == [(54000, 28, 28, 1), (6000, 28, 28, 1), (10000, 28, 28, 1)]
    assert [np.bincount(split.labels).tolist() for split in fashion[1:]] == [[5400] * 10, [600] * 10, [1000] * 10]
    # Trousers (1) have a gap between the legs, and bags (8) do not.
    middle = [fashion.train.images[fashion.train.labels == label][:, 24, 14, 0].mean() for label in (1, 8)]
    assert middle[0] < 40 < 80 < middle[1]
    assert "tensorflow" not in sys.modules


@needs_data
def test_images_that_stay_encoded_are_those_in_memory(fashion):
    lazy = data.load("tfds:fashion_mnist", placement="stream")
    chosen = np.array([0, 7, 53999])
    np.testing.assert_array_equal(data.take(lazy.train, chosen).images, fashion.train.images[chosen])
    np.testing.assert_array_equal(lazy.train.labels, fashion.train.labels)
    assert lazy.test.images.name(0).startswith("test[")


@needs_data
def test_images_larger_than_memory_are_read_record_by_record(fashion, monkeypatch):
    monkeypatch.setattr("mi_coding.data.tfds_source._KEPT_BYTES", 100)
    lazy = data.load("tfds:fashion_mnist", placement="stream", image_size=14, channels=3)
    assert lazy.test.images.shape == (10000, 14, 14, 3)
    assert lazy.test.images.read(3).shape == (14, 14, 3)
    np.testing.assert_array_equal(lazy.test.labels, fashion.test.labels)


def test_a_data_set_that_is_not_there_comes_with_the_command_that_prepares_it(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    said = refused("tfds:cifar10")
    assert f"tfds build cifar10 --file_format=array_record --data_dir={tmp_path}" in said
    assert "TFDS_DATA_DIR" in said


@needs_data
def test_a_data_set_that_is_not_array_record_is_told(tmp_path, monkeypatch):
    version = next((HERE / "fashion_mnist").glob("*.*.*"))
    copy = tmp_path / "fashion_mnist" / version.name
    copy.mkdir(parents=True)
    for path in version.glob("*.json"):
        (copy / path.name).write_text(path.read_text().replace('"array_record"', '"tfrecord"'))
    (copy / "label.labels.txt").write_text((version / "label.labels.txt").read_text())
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    assert "is not array_record; prepare it with" in refused("tfds:fashion_mnist")


def test_a_name_that_nobody_knows_comes_with_the_nearest(capfd):
    assert "did you mean 'tfds:fashion_mnist'?" in refused("tfds:fashion_mnst")
    assert "is no data set that TFDS knows" in refused("tfds:zzzzqqqq")
    assert "cannot be opened" in refused("tfds:cifar10/nonsense")
    assert capfd.readouterr().err == ""
