"""Images in folders: every layout, and every error in one."""

import os
import pickle
import struct
import zlib

import numpy as np
import pytest
from pictures import numbers, pixels, write
from PIL import Image

from mi_coding import data
from mi_coding.data import images, loading
from mi_coding.data.images import ImageSpec
from mi_coding.errors import InputError


def make(root, layout, shape=(4, 6, 3)):
    """Writes pictures numbered from 0, `layout[folder]` of them into each folder; returns number → folder."""
    where = {}
    for folder, count in layout.items():
        for _ in range(count):
            where[len(where)] = folder
            write(root / folder / f"{len(where):04d}.png", len(where) - 1, shape)
    return where


def refused(root, **options):
    with pytest.raises(InputError) as error:
        data.load(f"folder:{root}", **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_split_folders_keep_their_images_and_labels(tmp_path):
    layout = {f"{split}/{name}": n for split, n in (("train", 20), ("val", 5), ("test", 6)) for name in ("ant", "bee")}
    where = make(tmp_path, layout)
    dataset = data.load(f"folder:{tmp_path}")
    assert dataset.name == tmp_path.name
    for split, name in zip(dataset.splits, ("train", "val", "test"), strict=True):
        shown = numbers(split.examples)
        assert sorted(shown) == [number for number, folder in where.items() if folder.startswith(f"{name}/")]
        assert [("ant", "bee")[label] for label in split.labels] == [where[number].split("/")[1] for number in shown]
        assert split.examples.dtype == np.uint8
        assert split.labels.dtype == np.int32
        np.testing.assert_array_equal(split.examples[3], pixels(shown[3]))
        assert shown != sorted(shown)


def test_a_missing_validation_split_is_a_tenth_of_each_class(tmp_path):
    where = make(tmp_path, {"train/a": 40, "train/b": 20, "test/a": 3, "test/b": 2})
    dataset = data.load(f"folder:{tmp_path}")
    assert np.bincount(dataset.validation.labels).tolist() == [4, 2]
    assert np.bincount(dataset.train.labels).tolist() == [36, 18]
    shown = [number for split in dataset.splits for number in numbers(split.examples)]
    assert sorted(shown) == sorted(where)


def test_val_is_the_test_split_where_there_is_no_test(tmp_path):
    where = make(tmp_path, {"train/a": 30, "val/a": 4})
    dataset = data.load(f"folder:{tmp_path}")
    assert {where[number] for number in numbers(dataset.test.examples)} == {"val/a"}
    assert len(dataset.validation.examples) == 3


def test_class_folders_are_split_with_every_class_in_every_split(tmp_path):
    make(tmp_path, {"cat": 50, "dog/puppies": 20, "dog/old": 10})
    dataset = data.load(f"folder:{tmp_path}")
    assert [np.bincount(split.labels).tolist() for split in dataset.splits] == [[35, 21], [5, 3], [10, 6]]
    again = data.load(f"folder:{tmp_path}")
    np.testing.assert_array_equal(again.train.examples, dataset.train.examples)


def test_a_folder_without_classes_has_no_labels(tmp_path):
    where = make(tmp_path, {".": 40})
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".hidden.png").write_text("no image")
    dataset = data.load(f"folder:{tmp_path}")
    assert [len(split.examples) for split in dataset.splits] == [28, 4, 8]
    assert all(split.labels is None for split in dataset.splits)
    assert sorted(number for split in dataset.splits for number in numbers(split.examples)) == sorted(where)


def test_a_corrupt_file_is_named_and_left_out_with_its_label(tmp_path):
    where = make(tmp_path, {"train/a": 150, "train/b": 50, "test/a": 20, "test/b": 20})
    (tmp_path / "train" / "a" / "0008.png").write_bytes(b"torn")
    warned = []
    dataset = data.load(f"folder:{tmp_path}", warn=warned.append)
    assert warned == ["1 of 240 images cannot be decoded: train/a/0008.png; left out"]
    both = [*zip(numbers(dataset.train.examples), dataset.train.labels, strict=True)]
    both += zip(numbers(dataset.validation.examples), dataset.validation.labels, strict=True)
    assert len(both) == 199
    assert all(where[number].split("/")[1] == "ab"[label] for number, label in both)
    assert 7 not in [number for number, _ in both]


def test_more_than_a_tenth_of_corrupt_files_is_an_error(tmp_path):
    make(tmp_path, {"a": 40})
    for i in range(4):
        (tmp_path / "a" / f"000{i + 2}.png").write_bytes(b"torn")
    assert data.load(f"folder:{tmp_path}").account.used == 36
    (tmp_path / "a" / "0009.png").write_bytes(b"torn")
    message = refused(tmp_path)
    assert "5 of 40 images cannot be decoded: " in message
    assert "that is 12.5%, more than 10%" in message


def test_streamed_images_equal_those_in_memory_without_corrupt_ones(tmp_path):
    make(tmp_path, {"a": 30, "b": 30}, shape=(8, 8, 3))
    options = {"image_size": 4, "channels": 3}
    memory = data.load(f"folder:{tmp_path}", **options)
    lazy = data.load(f"folder:{tmp_path}", placement="stream", **options)
    assert lazy.train.examples.shape == memory.train.examples.shape
    np.testing.assert_array_equal(lazy.train.labels, memory.train.labels)
    np.testing.assert_array_equal(data.take(lazy.train, np.array([5, 2])).examples, memory.train.examples[[5, 2]])
    (tmp_path / lazy.train.examples.name(1)).write_bytes(b"torn")
    assert lazy.train.examples.read(1) is None
    parts = list(data.blocks(lazy.train, 16))
    assert [len(part.examples) for part in parts] == [15, 16, 10]
    np.testing.assert_array_equal(np.concatenate([part.labels for part in parts]), np.delete(memory.train.labels, 1))


def test_images_too_large_for_memory_are_streamed_by_default(tmp_path, monkeypatch):
    make(tmp_path, {"a": 30})
    monkeypatch.setattr(loading, "MEMORY_BYTES", 100)
    assert "image_size" in refused(tmp_path)
    lazy = data.load(f"folder:{tmp_path}", image_size=4, channels=3)
    assert isinstance(lazy.train.examples, data.LazyImages)
    assert isinstance(data.load(f"folder:{tmp_path}", placement="memory").train.examples, np.ndarray)


def test_mixed_sizes_or_channels_are_refused_with_the_option_to_set(tmp_path):
    make(tmp_path, {"a": 30})
    write(tmp_path / "a" / "0001.png", 0, (4, 7, 3))
    assert "4 × 7 pixels" in refused(tmp_path)
    assert "--config.data.image_size=4" in refused(tmp_path)
    assert data.load(f"folder:{tmp_path}", image_size=4).train.examples.shape[1:] == (4, 4, 3)
    write(tmp_path / "a" / "0001.png", 0, (4, 6, 1))
    assert "is grey" in refused(tmp_path)
    assert "--config.data.channels=3" in refused(tmp_path)
    assert data.load(f"folder:{tmp_path}", channels=1).train.examples.shape[1:] == (4, 6, 1)


@pytest.mark.parametrize("placement", ["memory", "stream"])
def test_splits_of_different_sizes_are_refused(tmp_path, placement):
    make(tmp_path, {"train/a": 30})
    make(tmp_path, {"test/a": 5}, shape=(3, 3, 3))
    message = refused(tmp_path, placement=placement)
    assert message.startswith("test/a/")
    assert "has 3 × 3 pixels and train/a/" in message
    assert "has 4 × 6" in message


def test_a_streamed_image_of_another_size_is_named_when_read(tmp_path):
    make(tmp_path, {"a": 30})
    lazy = data.load(f"folder:{tmp_path}", placement="stream", image_size=4, channels=3)
    lazy.train.examples._spec = ImageSpec()  # as if the shape had been taken from the first image
    lazy.train.examples.shape = (21, 4, 6, 3)
    write(tmp_path / lazy.train.examples.name(2), 0, (4, 7, 3))
    with pytest.raises(InputError, match=rf"^{lazy.train.examples.name(2)} has 4 × 7 pixels and .* has 4 × 6"):
        lazy.train.examples.read(2)


def test_the_first_examples_of_a_split_are_of_all_classes(tmp_path):
    make(tmp_path, {f"{split}/{name}": n for split, n in (("train", 80), ("test", 40)) for name in "ab"})
    for split in data.load(f"folder:{tmp_path}").splits:
        first = split.labels[: len(split.labels) // 2]
        assert 0.3 < first.mean() < 0.7  # sorted by class it would be 0; at worst 8 fair coins here


def test_suffixes_in_any_case_are_images_and_hidden_files_are_not(tmp_path):
    where = make(tmp_path, {"a": 10, "b/deep/deeper": 10})
    (tmp_path / "a" / "0001.png").rename(tmp_path / "a" / "0001.PNG")
    for name in ("a/.hidden.png", ".hidden/1.png", "b/.hidden/1.png", "__MACOSX/a/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        write(tmp_path / "picture.png").replace(tmp_path / name)
    dataset = data.load(f"folder:{tmp_path}")
    shown = [
        (number, "ab"[label])
        for split in dataset.splits
        for number, label in zip(numbers(split.examples), split.labels, strict=True)
    ]
    assert sorted(shown) == [(number, folder[0]) for number, folder in where.items()]


def test_symbolic_links_are_followed_and_cycles_end(tmp_path):
    make(tmp_path / "elsewhere", {"b": 20})
    where = make(tmp_path / "images", {"a": 20})
    (tmp_path / "images" / "b").symlink_to(tmp_path / "elsewhere" / "b")
    (tmp_path / "images" / "a" / "circle").symlink_to(tmp_path / "images" / "a")
    dataset = data.load(f"folder:{tmp_path}/images")
    assert sum(len(split.examples) for split in dataset.splits) == 2 * len(where)
    assert [np.bincount(split.labels).tolist() for split in dataset.splits] == [[14, 14], [2, 2], [4, 4]]


def test_splits_linked_to_one_folder_are_refused(tmp_path):
    make(tmp_path, {"train/a": 20})
    (tmp_path / "test").symlink_to(tmp_path / "train")
    assert "links to one folder" in refused(tmp_path)


def test_a_tilde_is_expanded_to_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    make(tmp_path / "photos", {".": 20})
    assert data.load("folder:~/photos").name == "photos"


def test_a_single_class_gives_no_labels(tmp_path):
    make(tmp_path, {"images": 20})
    assert [split.labels for split in data.load(f"folder:{tmp_path}").splits] == [None] * 3


def test_lazy_images_can_be_pickled(tmp_path):
    make(tmp_path, {"a": 30})
    images = data.load(f"folder:{tmp_path}", placement="stream", image_size=4, channels=3).train.examples
    again = pickle.loads(pickle.dumps(images))
    assert (again.shape, again.dtype, len(again), again.name(3)) == (images.shape, np.uint8, 21, images.name(3))
    np.testing.assert_array_equal(again.read(3), images.read(3))


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        ({}, "holds no image"),
        ({"train/a": 20, "val/a": 4, "validation/a": 4}, "both val and validation"),
        ({"test/a": 20, "val/a": 4}, "a folder named test but none named train"),
        ({"train/a": 20, "test": 4}, "expected labels in every split or in none"),
        ({"train": 20, "test/a": 4}, "expected labels in every split or in none"),
        ({"train/a": 20, "test/b": 4}, "class 'b'"),
        ({"a": 3}, "too few examples"),
        ({"train/a": 20, "test/a": 1}, "too few examples"),
    ],
)
def test_an_inconsistent_layout_is_refused(tmp_path, layout, words):
    make(tmp_path, layout)
    assert words in refused(tmp_path)


def account(root, **options):
    return data.load(f"folder:{root}", **options).account


def test_what_lies_beside_the_class_folders_is_left_out_and_counted(tmp_path):
    make(tmp_path, {"cat": 20, "dog": 20, ".": 1})
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    (tmp_path / "labels.csv").write_text("no,image")
    (tmp_path / "empty").mkdir()
    told = account(tmp_path)
    assert {reason: left.count for reason, left in told.left_out.items()} == {
        "beside the class folders": 1,
        "not an image, .txt": 1,
        "not an image, .csv": 1,
    }
    assert (told.found, told.used) == (43, 40)
    assert "1 folders without images are left out: empty" in told.notes
    assert "class folders: 2 (cat, dog)" in told.notes


def test_a_class_called_train_is_a_class_among_others(tmp_path):
    make(tmp_path, {"bus": 20, "car": 20, "train": 20})
    dataset = data.load(f"folder:{tmp_path}")
    assert dataset.class_names == ["bus", "car", "train"]
    assert dataset.account.used == 60
    listing = data.list_all(f"folder:{tmp_path}")
    assert (len(listing.split.examples), listing.class_names) == (60, ["bus", "car", "train"])


@pytest.mark.parametrize("names", [("Train", "Test"), ("training", "testing"), ("TRAIN", "Valid"), ("train", "dev")])
def test_splits_are_known_by_their_usual_names_in_any_case(tmp_path, names):
    make(tmp_path, {f"{split}/{name}": n for split, n in zip(names, (20, 5), strict=True) for name in ("ant", "bee")})
    dataset = data.load(f"folder:{tmp_path}")
    assert dataset.class_names == ["ant", "bee"]
    assert len(dataset.test.examples) == 10
    assert f"a tenth of each class of {names[0]} is held out to validate, {names[1]} to test" in dataset.account.notes
    (note,) = [note for note in dataset.account.notes if "interpreted as splits" in note]
    assert f"{names[0]} (train)" in note
    assert data.list_all(f"folder:{tmp_path}").class_names == ["ant", "bee"]


def test_a_folder_for_training_alone_is_cut_by_its_classes(tmp_path):
    make(tmp_path, {"train/a": 20, "train/b": 20})
    dataset = data.load(f"folder:{tmp_path}")
    assert [np.bincount(split.labels).tolist() for split in dataset.splits] == [[14, 14], [2, 2], [4, 4]]
    assert "train is cut at random, 70 : 10 : 20 of each class: no other split was found" in dataset.account.notes


def test_folders_beside_splits_are_left_out_and_named(tmp_path):
    make(tmp_path, {"train/a": 20, "test/a": 4, "drafts": 3, ".": 1})
    told = account(tmp_path)
    assert "folders beside the splits are left out: drafts" in told.notes
    assert (told.found, told.used, told.left_out["beside the splits"].count) == (28, 24, 4)


@pytest.mark.parametrize(
    ("layout", "classes"), [("classes", ["test", "train"]), ("flat", None), ("splits", ["a", "b"])]
)
def test_a_layout_that_is_given_is_not_guessed(tmp_path, layout, classes):
    make(tmp_path, {f"{split}/{name}": 12 for split in ("train", "test") for name in "ab"})
    dataset = data.load(f"folder:{tmp_path}", layout=layout)
    assert dataset.class_names == classes
    assert dataset.account.used == 48


def test_unlabelled_images_are_trained_on_and_hidden_from_probes(tmp_path):
    make(tmp_path, {"train/a": 20, "train/b": 20, "test/a": 4, "test/b": 4, "unlabelled": 30})
    dataset = data.load(f"folder:{tmp_path}")
    assert np.bincount(dataset.train.labels + 1).tolist() == [30, 18, 18]
    for split in (dataset.validation, dataset.test):
        assert split.labels.min() == 0
    assert "30 images of unlabelled are trained on without labels" in dataset.account.notes
    listing = data.list_all(f"folder:{tmp_path}")
    assert np.bincount(listing.split.labels + 1).tolist() == [30, 24, 24]


def test_images_of_12_bits_in_16_have_the_white_of_their_range_in_all_splits(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(40):
        Image.fromarray(rng.integers(0, 4096, (8, 8)).astype(np.uint16)).save(tmp_path / f"{i}.png")
    dataset = data.load(f"folder:{tmp_path}")
    assert all(split.examples.max() > 250 for split in dataset.splits)
    assert dataset.account.facts["levels"] > 200
    assert any("values up to 4,09" in note and "4,095 is white" in note for note in dataset.account.notes)
    warned = []
    dark = data.load(f"folder:{tmp_path}", white=65535, warn=warned.append)
    assert dark.train.examples.max() == 15
    assert "16 levels of grey; expected 64: set config.data.white" in warned[0]


def test_a_scan_that_is_too_large_has_its_reason_where_codes_are_written_and_where_it_is_alone(tmp_path, monkeypatch):
    make(tmp_path, {".": 20})
    write(tmp_path / "scan.png", 0, (40, 60, 3))
    monkeypatch.setattr(images, "_MOST_PIXELS", 1000)
    with data.Ordered(data.list_all(f"folder:{tmp_path}").split, batch_size=8) as parts:
        list(parts)
    assert parts.skipped == ["scan.png (0 million pixels, more than 0)"]
    make(tmp_path / "alone", {".": 20}, shape=(40, 60, 3))
    message = refused(tmp_path / "alone")
    assert message.startswith("none of 14 images can be decoded, such as 00")
    assert ".png (0 million pixels, more than 0); expected PNG" in message


def test_a_white_that_no_image_has_a_use_for_is_told(tmp_path):
    make(tmp_path, {".": 20})
    told = account(tmp_path, white=4095)
    assert "white 4,095 is for images of more than 8 bits, and none of those looked at is one" in told.notes
    assert "white" not in told.facts


def test_what_is_white_is_told_by_the_images_of_all_splits(tmp_path):
    for split, brightest, count in (("train", 900, 20), ("test", 4000, 5)):
        (tmp_path / split).mkdir()
        for i in range(count):
            values = np.linspace(0, brightest, 64).reshape(8, 8).astype(np.uint16) + i % 2
            Image.fromarray(values).save(tmp_path / split / f"{i}.png")
    dataset = data.load(f"folder:{tmp_path}")
    assert dataset.account.facts["white"] == 4095
    assert dataset.test.examples.max() == 4001 * 256 // 4096
    assert dataset.train.examples.max() == 901 * 256 // 4096


def test_values_below_black_and_no_numbers_are_told(tmp_path):
    for i in range(20):
        values = np.linspace(-1 if i < 3 else 0, 1, 64, dtype=np.float32).reshape(8, 8)
        values[0, 1] = np.nan if i < 2 else 0
        Image.fromarray(values).save(tmp_path / f"{i}.tif")
    notes = account(tmp_path).notes
    assert "3 of 20 images looked at have values below 0, which are black" in notes
    assert "2 of 20 images looked at have values that are not numbers, which are black" in notes


def test_transparent_images_and_colours_of_16_bits_are_counted(tmp_path):
    make(tmp_path, {".": 20})
    Image.new("RGBA", (6, 4), (9, 9, 9, 0)).save(tmp_path / "0003.png")
    (tmp_path / "0004.png").write_bytes(colours_of_16_bits(6, 4))
    warned = []
    notes = data.load(f"folder:{tmp_path}", warn=warned.append).account.notes
    assert "1 of 20 images looked at may have transparent pixels, which are shown on white" in notes
    (line,) = warned
    assert line.startswith("1 of 20 images looked at have colours of 16 bits, of which Pillow reads the upper 8")


def colours_of_16_bits(width, height):
    """A PNG file of values up to 4,095."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    row = b"\0" + np.linspace(0, 4095, width * 3).astype(">u2").tobytes()
    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(row * height)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_a_scan_that_is_too_large_is_left_out_with_its_reason(tmp_path, monkeypatch):
    make(tmp_path, {".": 40}, shape=(4, 6, 3))
    write(tmp_path / "scan.png", 0, (40, 60, 3))
    monkeypatch.setattr(images, "_MOST_PIXELS", 1000)
    warned = []
    data.load(f"folder:{tmp_path}", image_size=4, warn=warned.append)
    assert warned == ["1 of 41 images cannot be decoded: scan.png (0 million pixels, more than 0); left out"]


def test_hidden_files_those_of_a_system_and_what_is_no_image_are_counted_in_load_and_in_list_all(tmp_path):
    where = make(tmp_path, {"a": 20, "b": 20, "__MACOSX/a": 3, "a/.cache": 1})
    (tmp_path / "b" / "._0021.png").write_bytes(b"resource fork")
    (tmp_path / "b" / "film.mpg").write_bytes(b"\0\0\1\xb3" + bytes(64))  # Pillow knows such a file, and reads none
    (tmp_path / "b" / "plot.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    (tmp_path / "b" / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(64))
    os.mkfifo(tmp_path / "b" / "pipe")  # to open it would wait forever
    for told in (account(tmp_path), data.list_all(f"folder:{tmp_path}").account):
        assert (told.found, told.used) == (len(where) + 5, 40)
        assert {reason: left.count for reason, left in told.left_out.items()} == {
            "hidden or of the system": 5,
            "not an image, .mpg": 1,
            "not an image, .eps": 1,
            "not an image, .heic": 1,
            "not an image, no suffix": 1,
        }


def test_many_images_beside_a_folder_of_few_are_ambiguous_until_a_layout_is_given(tmp_path):
    make(tmp_path, {"thumbs": 4, ".": 40})
    message = refused(tmp_path)
    assert "40 image(s) such as 0005.png lie beside the class folders" in message
    assert "; expected --config.data.layout=classes, which leaves them out, or --config.data.layout=flat" in message
    assert account(tmp_path, layout="flat").used == 44
    make(tmp_path, {"thumbs": 20})
    assert account(tmp_path, layout="classes").used == 20


def test_a_folder_for_training_beside_others_is_ambiguous_where_it_has_folders_itself(tmp_path):
    make(tmp_path, {"train/a": 20, "train/b": 20, "more/b": 10})
    assert "train has subfolders, as splits do, but lies beside more, which is not a split" in refused(tmp_path)
    assert data.load(f"folder:{tmp_path}", layout="classes").class_names == ["more", "train"]


def test_folders_without_images_do_not_decide_what_a_folder_is_taken_for(tmp_path):
    make(tmp_path, {"test/a": 3, "test/b": 3})
    (tmp_path / "logs").mkdir()
    assert data.list_all(f"folder:{tmp_path}").class_names == ["a", "b"]


def test_a_folder_without_images_says_what_it_has_instead(tmp_path):
    for number in range(3):
        (tmp_path / f"IMG_{number}.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(64))
    (tmp_path / "notes.txt").write_text("no image")
    assert "holds no image; found 3 not an image, .heic; 1 not an image, .txt; expected files that" in refused(tmp_path)


def test_a_missing_folder_or_a_file_is_refused(tmp_path):
    assert "does not exist" in refused(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    assert "is a file" in refused(tmp_path / "file")


def test_a_folder_without_any_decodable_image_is_refused(tmp_path):
    (tmp_path / "a").mkdir()
    for i in range(20):
        (tmp_path / "a" / f"{i}.jpg").write_text("not an image")
    assert "can be decoded" in refused(tmp_path)


@pytest.mark.parametrize("source", ["folder:", "tfds:"])
def test_a_missing_argument_is_refused(source):
    with pytest.raises(InputError, match="names nothing"):
        data.open_source(source)


def test_an_unknown_placement_is_refused(tmp_path):
    assert "expected one of auto, memory, stream" in refused(tmp_path, placement="disk")
