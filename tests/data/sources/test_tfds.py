"""Data sets prepared by TFDS. Tests of the real one are skipped where it is not prepared."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pictures import encoded, numbers, pixels
from tfds_data import write_data_set

from mi_coding import data
from mi_coding.errors import InputError

HERE = Path(os.environ.get("MI_CODING_TFDS", Path(__file__).parents[4] / "shared" / "data" / "tfds"))
needs_data = pytest.mark.skipif(
    not (HERE / "fashion_mnist").is_dir(), reason=f"Fashion-MNIST is not prepared in {HERE}; see $MI_CODING_TFDS"
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
    assert [split.examples.shape for split in fashion.splits] == [
        (54000, 28, 28, 1),
        (6000, 28, 28, 1),
        (10000, 28, 28, 1),
    ]
    assert [np.bincount(split.labels).tolist() for split in fashion.splits] == [[5400] * 10, [600] * 10, [1000] * 10]
    # Trousers (1) have a gap between the legs, and bags (8) do not.
    middle = [fashion.train.examples[fashion.train.labels == label][:, 24, 14, 0].mean() for label in (1, 8)]
    assert middle[0] < 40 < 80 < middle[1]


@needs_data
def test_streamed_records_equal_those_in_memory(fashion):
    lazy = data.load("tfds:fashion_mnist", placement="stream")
    chosen = np.array([0, 7, 53999])
    np.testing.assert_array_equal(data.take(lazy.train, chosen).examples, fashion.train.examples[chosen])
    np.testing.assert_array_equal(lazy.train.labels, fashion.train.labels)
    assert lazy.test.examples.name(0).startswith("test[")


@needs_data
def test_images_too_large_to_keep_are_read_record_by_record(fashion, monkeypatch):
    monkeypatch.setattr("mi_coding.data.sources.tfds._MAX_KEPT_BYTES", 100)
    lazy = data.load("tfds:fashion_mnist", placement="stream", image_size=14, channels=3)
    assert lazy.test.examples.shape == (10000, 14, 14, 3)
    assert lazy.test.examples.read(3).shape == (14, 14, 3)
    np.testing.assert_array_equal(lazy.test.labels, fashion.test.labels)


def test_an_unprepared_data_set_is_refused_with_the_command_to_run(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    message = refused("tfds:cifar10")
    assert f"is not in {tmp_path}/cifar10/" in message
    assert (
        f"tfds.builder('cifar10', data_dir='{tmp_path}', file_format='array_record').download_and_prepare()" in message
    )
    assert "TFDS_DATA_DIR" in message
    assert "tfds.builder('imagenet_v2/topimages', " in refused("tfds:imagenet_v2/topimages")


def records(count, first=0, shape=(4, 6, 3), label=lambda number: number % 3 % 2):
    return [{"image": encoded(number, shape), "label": label(number)} for number in range(first, first + count)]


@pytest.fixture
def pets(tmp_path, monkeypatch):
    """Prepares the data set pets of two classes, where TFDS looks for it."""
    import tensorflow_datasets as tfds

    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    image = tfds.features.Image(shape=(None, None, 3))
    features = {"image": image, "label": tfds.features.ClassLabel(names=["ant", "bee"])}

    def prepare(splits, changes=None, **options):
        chosen = {name: feature for name, feature in (features | (changes or {})).items() if feature is not None}
        return write_data_set(tmp_path, tfds.features.FeaturesDict(chosen), splits, **options)

    return prepare


def test_every_image_keeps_its_label_and_its_split(pets):
    pets({"train": records(60), "validation": records(7, 60), "test": records(9, 70)})
    for placement in ("memory", "stream"):
        dataset = data.load("tfds:pets", placement=placement)
        splits = [data.take(split, np.arange(len(split.examples))) for split in dataset.splits]
        for split, (first, count) in zip(splits, ((0, 60), (60, 7), (70, 9)), strict=True):
            shown = numbers(split.examples)
            assert sorted(shown) == list(range(first, first + count)) != shown
            assert split.labels.tolist() == [number % 3 % 2 for number in shown]
            np.testing.assert_array_equal(split.examples[2], pixels(shown[2]))


def test_reading_needs_no_tensorflow_and_prints_nothing(pets):
    pets({"train": records(30), "test": records(9)})
    code = "import sys; from mi_coding import data; data.load('tfds:pets'); print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_a_missing_validation_split_is_cut_from_train(pets):
    pets({"train": records(60), "validation": records(9, 70)})
    dataset = data.load("tfds:pets")
    assert sorted(numbers(dataset.train.examples) + numbers(dataset.validation.examples)) == list(range(60))
    assert np.bincount(dataset.validation.labels).tolist() == [4, 2]
    assert min(numbers(dataset.test.examples)) == 70


def test_validation_is_the_test_split_where_test_labels_are_hidden(pets):
    folder = pets({"train": records(60), "validation": records(9, 70), "test": records(5, 80, label=lambda _: -1)})
    dataset = data.load("tfds:pets")
    assert min(numbers(dataset.test.examples)) == 70
    assert len(dataset.validation.examples) == 6
    assert dataset.account.left_out["of split test, whose labels are hidden"].count == 5
    info = json.loads((folder / "dataset_info.json").read_text())
    info["splits"] = [split for split in info["splits"] if split["name"] != "validation"]
    (folder / "dataset_info.json").write_text(json.dumps(info))
    assert "hidden labels (-1) in test" in refused("tfds:pets")


def test_hidden_train_labels_are_refused(pets):
    pets({"train": records(60, label=lambda number: -1), "test": records(9, 70)})
    assert "hidden labels (-1) in train" in refused("tfds:pets")


def test_images_with_hidden_labels_are_trained_on_and_never_held_out(pets):
    pets({"train": records(60, label=lambda number: -1 if number < 20 else 0), "test": records(9, 70)})
    dataset = data.load("tfds:pets")
    assert (len(dataset.train.labels), len(dataset.validation.labels)) == (56, 4)
    assert sorted(numbers(dataset.train.examples[dataset.train.labels < 0])) == list(range(20))
    assert "20 images of train are trained on without labels" in dataset.account.notes


@pytest.mark.parametrize("placement", ["memory", "stream"])
def test_splits_without_labels_are_trained_on_and_others_left_out_each_with_its_count(pets, placement):
    splits = {"train": records(20), "test": records(9, 30)}
    more = {"unlabelled": records(40, 50, label=lambda _: -1), "extra": records(7, 100)}
    pets(splits | more)
    dataset = data.load("tfds:pets", placement=placement)
    train = data.take(dataset.train, np.arange(data.num_examples(dataset.train)))
    assert sorted(numbers(train.examples[train.labels < 0])) == list(range(50, 90))
    assert (train.labels >= 0).sum() == 18
    account = dataset.account
    assert (account.found, account.used) == (76, 69)
    assert account.left_out["of split extra, which is none of train, validation and test"].count == 7
    assert "40 images of unlabelled are trained on without labels" in account.notes


def test_a_data_set_without_a_class_label_has_no_labels(pets):
    unlabelled = [{"image": record["image"]} for record in records(40)]
    pets({"train": unlabelled[:30], "test": unlabelled[30:]}, {"label": None})
    assert [split.labels for split in data.load("tfds:pets").splits] == [None] * 3


def test_pickled_images_leave_out_the_encoded_ones_kept_in_memory(pets):
    pets({"train": records(200), "test": records(9)})
    images = data.load("tfds:pets", placement="stream").train.examples
    sent = pickle.dumps(images)
    assert len(sent) < 60 * len(images)  # one image takes 90 bytes
    again = pickle.loads(sent)
    assert (again.shape, again.name(5)) == (images.shape, images.name(5))
    np.testing.assert_array_equal(again.read(5), images.read(5))


def test_a_record_that_is_not_an_image_is_named_and_left_out(pets):
    train = records(200)
    train[17]["image"] = b"torn"
    pets({"train": train, "test": records(9)})
    warned = []
    dataset = data.load("tfds:pets", warn=warned.append)
    assert warned == ["1 of 209 images cannot be decoded: train[17]; left out"]
    assert len(dataset.train.examples) + len(dataset.validation.examples) == 199


def test_records_of_mixed_sizes_are_refused(pets):
    pets({"train": [*records(30), *records(1, 30, (4, 5, 3))], "test": records(9)})
    assert "--config.data.image_size=4" in refused("tfds:pets")
    assert data.load("tfds:pets", image_size=4).train.examples.shape == (28, 4, 4, 3)


def test_no_image_feature_or_several_are_refused(pets):
    import tensorflow_datasets as tfds

    text = [{"text": "hello", "label": 0}] * 9
    folder = pets({"train": text, "test": text}, {"image": None, "text": tfds.features.Text()})
    assert "has features label, text; expected one image feature" in refused("tfds:pets")
    shutil.rmtree(folder)
    two = [{"left": encoded(0), "right": encoded(1), "label": 0}] * 9
    images = {"image": None, "left": tfds.features.Image(), "right": tfds.features.Image()}
    pets({"train": two, "test": two}, images)
    assert "has images left, right; expected one image feature" in refused("tfds:pets")


def test_images_of_16_bits_are_refused(pets):
    import tensorflow_datasets as tfds

    pets({"train": records(30), "test": records(9)}, {"image": tfds.features.Image(shape=(4, 6, 3), dtype=np.uint16)})
    assert "has images of uint16; expected uint8" in refused("tfds:pets")


def test_missing_or_too_small_splits_are_refused(pets):
    folder = pets({"train": records(30), "extra": records(9)})
    assert "has splits extra, train; expected train, and test or validation" in refused("tfds:pets")
    info = (folder / "dataset_info.json").read_text()
    (folder / "dataset_info.json").write_text(info.replace("extra", "test").replace('"9"', '"1"'))
    (folder / "pets-extra.array_record-00000-of-00001").rename(folder / "pets-test.array_record-00000-of-00001")
    assert "tfds:pets has too few examples: 27, 3, 1" in refused("tfds:pets")


def test_other_file_formats_are_refused_with_the_command_to_run(pets):
    folder = pets({"train": records(30), "test": records(9)}, file_format="tfrecord")
    message = refused("tfds:pets")
    assert "is not array_record" in message
    assert f"tfds convert_format --dataset_version_dir={folder} --out_file_format=array_record" in message


def test_a_missing_or_damaged_shard_is_refused(pets):
    folder = pets({"train": records(30), "test": records(9)})
    shard = folder / "pets-test.array_record-00000-of-00001"
    shard.write_bytes(shard.read_bytes()[:100])
    assert "cannot be read" in refused("tfds:pets")
    shard.unlink()
    assert f"remove {folder} and prepare it" in refused("tfds:pets")


def test_an_unknown_data_set_is_refused_with_the_nearest_name(capfd):
    assert "did you mean 'tfds:fashion_mnist'?" in refused("tfds:fashion_mnst")
    assert "is not a data set that TFDS knows" in refused("tfds:zzzzqqqq")
    assert "cannot be opened" in refused("tfds:cifar10/nonsense")
    assert capfd.readouterr().err == ""


@needs_data
def test_list_all_returns_all_splits_in_the_order_of_the_records(fashion):
    split, class_names, _ = data.list_all("tfds:fashion_mnist", image_size=0)
    assert split.examples.shape == (70000, 28, 28, 1)
    assert [split.examples.name(i) for i in (0, 59999, 60000, 69999)] == [
        "train[0]",
        "train[59999]",
        "test[0]",
        "test[9999]",
    ]
    assert class_names[9] == "Ankle boot"
    assert np.bincount(split.labels).tolist() == [7000] * 10
    lazy = data.load("tfds:fashion_mnist", placement="stream").test
    for place in (0, 17):
        where = 60000 + int(lazy.examples.name(place).removeprefix("test[").rstrip("]"))
        np.testing.assert_array_equal(split.examples.read(where), lazy.examples.read(place))
        assert split.labels[where] == lazy.labels[place]


@needs_data
def test_a_stream_of_records_resumes_at_the_exact_position(fashion):
    lazy = data.load("tfds:fashion_mnist", placement="stream").train
    spec = data.StreamSpec(batch_size=8, seed=3)
    with (
        data.Stream(lazy, spec, num_workers=0) as straight,
        data.Stream(lazy, spec._replace(first_batch=3), num_workers=0) as resumed,
    ):
        fourth = [next(straight) for _ in range(4)][-1]
        again = next(resumed)
    np.testing.assert_array_equal(again.examples, fourth.examples)
    np.testing.assert_array_equal(again.labels, fourth.labels)
