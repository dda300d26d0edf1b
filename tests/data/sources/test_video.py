"""Patterns of paths of films: what exists by its name is meant."""

import os

import pytest
from clips import write_clip

from mi_coding.data.images import ImageSpec
from mi_coding.data.sources import open_source
from mi_coding.errors import InputError

TITLE = "Title [dQw4w9WgXcQ] *? {a}.mp4"  # as downloaders write


@pytest.fixture
def named(tmp_path, monkeypatch):
    """A folder in which patterns are taken, and a function of a pattern → names of what it finds there."""
    monkeypatch.chdir(tmp_path)

    def found(pattern):
        return [
            os.path.relpath(film.name, tmp_path) for film in open_source(f"video:{pattern}").load(ImageSpec()).films
        ]

    return tmp_path, found


@pytest.mark.parametrize("where", ["", "films [2024]/", "a*b/c?d/"])
def test_a_file_that_exists_is_that_file_whatever_its_name_contains(named, where):
    folder, found = named
    (folder / where).mkdir(parents=True, exist_ok=True)
    for name in (TITLE, "other.mp4", "Title d xx {a}.mp4"):
        (folder / where / name).touch()
    assert found(f"{where}{TITLE}") == [f"{where}{TITLE}"]
    assert found(f"{folder}/{where}{TITLE}") == [f"{where}{TITLE}"]
    assert found(f"{where}*.mp4") == sorted(f"{where}{name}" for name in (TITLE, "other.mp4", "Title d xx {a}.mp4"))
    assert found(f"./{where}o*.mp4") == [f"{where}other.mp4"]


def test_patterns_still_match_and_brackets_can_be_escaped(named):
    folder, found = named
    for name in ("a/1.mp4", "a/b/2.mp4", "c/3.mp4", "[x].mp4", "x.mp4"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    assert found("**/*.mp4") == ["[x].mp4", "a/1.mp4", "a/b/2.mp4", "c/3.mp4", "x.mp4"]
    assert found("[ac]/*.mp4") == ["a/1.mp4", "c/3.mp4"]
    assert found("[[]*.mp4") == ["[x].mp4"]


def test_what_matches_nothing_is_told_with_the_way_to_escape(named):
    folder, found = named
    with pytest.raises(InputError, match=r"matches nothing in .*; \[\[\] stands for \["):
        found("films [1].mp4")
    (folder / "films").mkdir()
    with pytest.raises(InputError, match="matches only folders"):
        found("films")


def test_a_film_with_a_name_like_a_pattern_is_decoded(named):
    folder, _ = named
    write_clip(folder / TITLE, range(0, 400, 40))
    (film,) = open_source(f"video:{TITLE}").load(ImageSpec()).films
    assert film.extent(0).num_frames == 10
