"""Films that TFDS prepared, in the layouts of moving_mnist (one split, no labels) and ucf101 (two splits, classes)."""

import json

import numpy as np
import pytest
from pictures import encoded, numbers
from tfds_data import write_data_set

from mi_coding import data
from mi_coding.errors import InputError

VIDEO = "tensorflow_datasets.core.features.video_feature.Video"


@pytest.fixture
def prepare(tmp_path, monkeypatch):
    """Prepares films as TFDS does; a Video is stored as the sequence of images that it is a kind of."""
    import tensorflow_datasets as tfds

    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))

    def prepared(key, splits, *, classes=0, length=None, shape=(4, 6, 3)):
        of_frames = tfds.features.Sequence(tfds.features.Image(shape=shape), length=length)
        features = {key: of_frames} | ({"label": tfds.features.ClassLabel(num_classes=classes)} if classes else {})
        folder = write_data_set(tmp_path / "tfds", tfds.features.FeaturesDict(features), splits)
        described = json.loads((folder / "features.json").read_text())
        dimensions = [str(length or -1), *map(str, shape)]
        video = {"shape": {"dimensions": dimensions}, "dtype": "uint8", "encodingFormat": "png"}
        described["featuresDict"]["features"][key] = {"pythonClassName": VIDEO, "video": video}
        (folder / "features.json").write_text(json.dumps(described))
        return folder

    return prepared


def film(first, count, shape=(4, 6, 3)):
    return [encoded(number, shape) for number in range(first, first + count)]


def load(tmp_path, **options):
    lines = []
    rate = options.pop("frame_rate", 0.0)
    video = data.VideoOptions(gap=0.08, cache_dir=str(tmp_path / "cache"), frame_rate=rate)
    return data.load("tfds:pets", video=video, warn=lines.append, log=lines.append, **options), lines


def test_films_of_one_split_are_split_whole(prepare, tmp_path):
    prepare("image_sequence", {"test": [{"image_sequence": film(10 * i, 5)} for i in range(20)]}, length=5)
    dataset, _ = load(tmp_path)
    assert [len(split.films.names) for split in dataset.splits] == [14, 2, 4]
    assert dataset.train.labels is None
    for split in dataset.splits:
        starts = np.array([int(name[5:-1]) * 10 for name in split.films.names])  # test[17]
        assert numbers(split.examples) == (starts[:, None] + np.arange(5)).ravel().tolist()
        np.testing.assert_allclose(split.films.times.reshape(-1, 5), [np.arange(5) / 25] * len(starts))
        np.testing.assert_allclose(split.films.seconds, 0.2)


def test_films_keep_their_splits_and_frames_have_the_class_of_the_film(prepare, tmp_path):
    records = [{"video": film(10 * i, 4 + i % 3), "label": i % 2} for i in range(26)]
    prepare("video", {"train": records[:20], "test": records[20:]}, classes=2)
    dataset, lines = load(tmp_path)
    assert [len(split.films.names) for split in dataset.splits] == [18, 2, 6]
    assert all(name.startswith("test[") for name in dataset.test.films.names)
    for split in dataset.splits:
        shown = np.array(numbers(split.examples))
        np.testing.assert_array_equal(split.labels, shown // 10 % 2)
        np.testing.assert_array_equal(np.diff(shown)[np.diff(split.films.times) > 0], 1)
    assert lines[0].startswith("decoding 26 film(s)")
    again, lines = load(tmp_path)
    assert len(lines) == 1
    np.testing.assert_array_equal(again.train.labels, dataset.train.labels)
    listed = data.list_all("tfds:pets", video=data.VideoOptions(cache_dir=str(tmp_path / "cache")))
    assert listed.class_names == ["0", "1"]
    shown = numbers(map(listed.split.examples.read, range(len(listed.split.examples))))
    assert shown == [10 * i + k for i in range(26) for k in range(4 + i % 3)]
    np.testing.assert_array_equal(listed.split.labels, np.array(shown) // 10 % 2)


def test_a_lower_rate_keeps_the_records_frames_shown_at_its_times(prepare, tmp_path):
    prepare("video", {"train": [{"video": film(20 * i, 20)} for i in range(10)]})
    dataset, _ = load(tmp_path, frame_rate=10.0)
    first = slice(0, dataset.train.films.count[0])
    assert np.diff(numbers(dataset.train.examples[first])).tolist() == [2, 3, 2, 3, 2, 3, 2]
    assert np.all(dataset.train.films.seconds == 0.8)


def test_a_broken_frame_is_left_out_and_its_film_is_named(prepare, tmp_path):
    broken = [*film(0, 3), b"torn", *film(4, 2)]
    prepare("video", {"train": [{"video": broken}, *({"video": film(10 * i, 6)} for i in range(1, 10))]})
    dataset, lines = load(tmp_path)
    assert "train[0] has 1 frame(s) that cannot be decoded" in lines[1]
    assert sum(len(split.examples) for split in dataset.splits) == 59


def test_several_video_features_are_refused(prepare, tmp_path):
    folder = prepare("left", {"train": [{"left": film(0, 3)}] * 4})
    described = json.loads((folder / "features.json").read_text())
    features = described["featuresDict"]["features"]
    features["right"] = features["left"]
    (folder / "features.json").write_text(json.dumps(described))
    with pytest.raises(InputError, match="has videos left, right; expected one, or one called 'video'"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["moving_mnist", "ucf101"])
def test_films_not_prepared_are_refused_with_the_command_to_run(name, tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises(InputError, match=rf"is not in {tmp_path}/{name}/.*builder\('{name}.*download_and_prepare"):
        data.load(f"tfds:{name}")
