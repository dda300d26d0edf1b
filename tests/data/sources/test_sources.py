"""The table of sources: strings are parsed in one place, and a new source is one class and one entry."""

import numpy as np
import pytest

from mi_coding import data
from mi_coding.data.films.encoded import EncodedFilm, EncodedFilms, Extent
from mi_coding.errors import InputError


class Toy(data.Source):
    """Three splits of one, two and three ones, twos and threes, as often as the argument says."""

    scheme = "toy"
    example = "toy:4"

    def load(self, spec):
        return data.Dataset("toy", *(self._split(number) for number in (1, 2, 3)))

    def _split(self, number):
        count = number * int(self.argument)
        return data.Split(np.full((count, 2, 2, 1), number, np.uint8), np.full(count, number, np.int32))


class ToyFilm(EncodedFilm):
    def __init__(self, number):
        self.name = f"film {number}"

    def identity(self):
        return [self.name]

    def extent(self, frame_rate):
        return Extent(50, (2, 2, 1))

    def decode(self, put, *, frame_rate, threads):
        for i in range(50):
            put(0.1 * i, np.full((2, 2, 1), i, np.uint8))
        return 5.0, None


class ToyFilms(Toy):
    def load(self, spec):
        return EncodedFilms("toy", [ToyFilm(number) for number in range(int(self.argument))])


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setitem(data.sources.SOURCES, "toy", Toy)


def spelled_as_flag(error):
    return error.spelled(lambda setting: setting.spelled(f"--{setting.key.removeprefix('data.')}"))


@pytest.mark.parametrize("scheme", data.sources.SOURCES)
def test_every_source_is_entered_by_its_scheme_and_accepts_its_example(scheme):
    source = data.sources.SOURCES[scheme]
    assert source.scheme == scheme
    opened = data.open_source(source.example)
    assert type(opened) is source
    assert str(opened) == source.example


@pytest.mark.parametrize("source", ["npz:a:b", "tfds:mnist:3.0.1"])
def test_only_the_first_colon_ends_the_scheme(source):
    assert data.open_source(source).argument == source.partition(":")[2]


def test_one_entry_makes_a_source_of_arrays_load(toy):
    data.open_source("toy:4")
    dataset = data.load("toy:4", placement="stream")
    assert [len(split.examples) for split in dataset.splits] == [4, 8, 12]


def test_by_default_list_all_returns_the_splits_in_turn(toy):
    split, class_names, _ = data.list_all("toy:2")
    assert split.examples[:, 0, 0, 0].tolist() == split.labels.tolist() == [1] * 2 + [2] * 4 + [3] * 6
    assert (list(data.names(split))[:2], class_names) == (["[0]", "[1]"], None)


def test_one_entry_makes_a_source_of_films_load(monkeypatch, tmp_path):
    monkeypatch.setitem(data.sources.SOURCES, "toy", ToyFilms)
    options = {"video": data.VideoOptions(gap=0.1, cache_dir=str(tmp_path)), "log": lambda line: None}
    dataset = data.load("toy:2", **options)
    assert dataset.train.films.names == [f"film {number}" for number in (0, 1) for _ in range(4)]
    assert data.num_examples(data.list_all("toy:2", **options).split) == 100


def test_errors_of_a_new_source_name_it(toy):
    with pytest.raises(InputError, match="'toy' names nothing; expected a source like 'toy:4'"):
        data.open_source("toy")
    with pytest.raises(InputError, match=r"config\.data\.source='toi' is unknown; .*; did you mean 'toy'\?"):
        data.list_all("toi")


@pytest.mark.parametrize(
    ("source", "options", "words"),
    [
        ("digit", {}, "--source='digit' is unknown"),
        ("npz:", {}, "--source='npz:' names nothing"),
        ("digits:5", {}, "--source='digits:5' has an argument"),
        ("digits:", {}, "--source='digits:' has an argument"),
        ("tfds", {}, "--source='tfds' names nothing"),
        ("digits", {"image_size": -5}, "--image_size=-5; expected at least 0 and at most 8,192"),
        ("digits", {"channels": 2}, "--channels=2; expected one of 0, 1, 3"),
        ("folder:/nowhere", {}, "--source='folder:/nowhere' does not exist"),
        ("npz:/nowhere", {}, "--source='npz:/nowhere' does not exist"),
        ("video:/nowhere", {}, "--source='video:/nowhere' matches nothing"),
        ("tfds:zzzzqqqq", {}, "--source='tfds:zzzzqqqq' is not a data set that TFDS knows"),
        ("digits", {"placement": "disk"}, "--placement='disk' is unknown"),
    ],
)
def test_an_error_names_options_as_each_command_spells_them(source, options, words):
    with pytest.raises(InputError) as error:
        data.load(source, **options)
    assert spelled_as_flag(error.value).startswith(words)
    assert str(error.value).startswith(words.replace("--", "config.data.", 1))


def test_resized_arrays_are_refused_with_the_option(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((9, 2)), y=np.zeros((9, 2)))
    with pytest.raises(InputError) as error:
        data.load(f"npz:{tmp_path}/a.npz", image_size=8, channels=3)
    assert "--image_size=8 is for images; " in spelled_as_flag(error.value)
    assert "config.data.image_size=8 is for images; " in str(error.value)
