"""The benchmark of decoding: its films are films, every frame of them is decoded, and the bar is met from its side."""

import json
from pathlib import Path

import pytest
from clips import write_clip

from mi_coding.benchmarks import decoding as bench


def test_films_are_measured_one_by_one_and_together(tmp_path, capsys, monkeypatch):
    for name in "ab":
        write_clip(tmp_path / f"{name}.mp4", range(0, 400, 40))
    monkeypatch.setattr("shutil.which", lambda name: None)
    bench.main([f"--films={tmp_path}/*.mp4", "--image_size=8", "--repeats=1"])
    *shown, line = capsys.readouterr().out.strip().splitlines()
    assert list(json.loads(line)["rows"]) == ["a.mp4", "b.mp4", "all"]
    assert all("no ffmpeg here to compare with" in line for line in shown)
    assert bench.decode(sorted(tmp_path.glob("*.mp4")), 8) == 20


def test_the_films_that_are_made_move(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "PICTURES", ("testsrc2=size=64x48:rate=25",))
    (path,) = bench.make_films(tmp_path, seconds=0.4)
    assert bench.decode([path], 16) == 10


@pytest.mark.parametrize(("ratio", "verdict"), [(0.8, " met"), (0.79, "NOT MET")])
def test_the_bar_is_met_from_the_right_side(ratio, verdict):
    assert verdict in bench.describe("a", {bench.OURS: 8.0, bench.FFMPEG: 10.0, "ratio": ratio})


def test_a_pattern_without_files_is_refused(capsys):
    with pytest.raises(SystemExit):
        bench.main([f"--films={Path('nowhere')}/*.mp4"])
    assert "matches no file" in capsys.readouterr().err
