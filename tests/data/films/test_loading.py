"""Films as a data set and as a list of frames: no frame is lost, moved or in two splits."""

import pickle
import shutil
from pathlib import Path

import numpy as np
from clips import STEP, load_clips, write_clip

from mi_coding import data
from mi_coding.data.films.frames import Frames
from mi_coding.data.films.video_file import VideoFile
from mi_coding.data.images import ImageSpec


def test_list_all_returns_every_frame_in_presentation_order(cached, clips):
    lines = []
    listed = data.list_all(
        f"video:{clips}/*.mp4",
        image_size=8,
        channels=1,
        video=data.VideoOptions(cache_dir=str(cached[0])),
        log=lines.append,
    )
    split = listed.split
    assert lines == []  # decoded before
    shown = np.array([round(split.examples.read(i).mean() / STEP) for i in range(data.num_examples(split))])
    np.testing.assert_array_equal(shown, [*range(30), *[0] * 25, *range(31)])
    names = list(data.names(split))
    assert [names[i] for i in (0, 30, 55)] == [f"{clips}/{name}.mp4 at 0.000 s" for name in "abc"]
    assert names[1] == f"{clips}/a.mp4 at {split.films.times[1]:.3f} s"
    assert split.labels is None


def test_list_all_lists_no_frame_that_only_the_container_announces(clips, tmp_path):
    video = data.VideoOptions(frame_rate=10.0, cache_dir=str(tmp_path))  # of which some more are announced
    split = data.list_all(f"video:{clips}/*.mp4", image_size=8, channels=1, video=video, log=str).split
    names = list(data.names(split))
    assert len(set(names)) == len(names) == split.films.count.sum()
    assert all(np.all(np.diff(times) > 0) for times in np.split(split.films.times, split.films.first[1:]))


def test_frames_of_all_splits_match_the_files_and_their_times(cached):
    dataset = cached[1]
    for split in dataset.splits:
        films = split.films
        for number, path in enumerate(films.names):
            times, name = [], Path(path).stem
            VideoFile(Path(path), ImageSpec(8, 1)).decode(
                lambda time, frame, times=times: times.append(time), frame_rate=0.0, threads=1
            )
            frames = slice(films.first[number], films.first[number] + films.count[number])
            places = np.searchsorted(times, films.times[frames])
            np.testing.assert_allclose(np.array(times)[places], films.times[frames])
            if name != "b":
                shown = np.round(split.examples[frames].mean(axis=(1, 2, 3)) / STEP).astype(int)
                np.testing.assert_array_equal(shown, np.minimum(places, 255 // STEP))
            assert split.names[films.first[number]] == f"{path} at {films.times[frames][0]:.3f} s"


def test_size_on_disk_and_splits_are_logged(cached):
    cache, _, lines = cached
    assert lines[0].startswith("decoding 3 film(s): 86 frames of 8 × 8 × 1 take 0.0 MiB in ")
    assert str(cache) in lines[0]
    assert lines[1] == "3 film(s): each film cut in time, 70 : 10 : 20, 0.1 s apart"


def test_frames_on_disk_equal_those_in_memory_and_pickle_small(clips, cached):
    cache, in_memory, _ = cached
    streamed, _ = load_clips(clips, cache, placement="stream")
    frames = streamed.validation.examples
    assert isinstance(frames, Frames)
    assert len(pickle.dumps(frames)) < 10_000
    again = pickle.loads(pickle.dumps(frames))
    for i in (0, len(frames) - 1):
        np.testing.assert_array_equal(again.read(i), in_memory.validation.examples[i])


def test_a_gap_shorter_than_a_frame_raises_a_warning(clips, cached):
    _, lines = load_clips(clips, cached[0], gap=0.01)
    assert any("a gap of 0.01 s is shorter than the 0.0" in line for line in lines)
    assert not any("shorter than" in line for line in cached[2])


def test_short_films_are_left_out_with_a_warning(clips, cached, tmp_path):
    folder = shutil.copytree(clips, tmp_path / "clips")
    write_clip(folder / "short.mp4", [0, 40])
    dataset, lines = load_clips(folder, tmp_path / "cache")
    assert f"1 of 4 film(s) are too short for a gap of 0.1 s and are left out: {folder}/short.mp4" in lines
    assert len(set(dataset.train.films.names)) == 3


def test_sample_films_returns_beginnings_longer_than_the_gap(cached):
    train = cached[1].train
    sample = data.sample_films(train, max_frames=20, gap=0.2)
    assert len(sample.examples) < len(train.examples)
    assert np.all(sample.films.seconds > 0.4)
    for k, name in enumerate(sample.films.names):
        whole = train.films.names.index(name)
        first = train.films.first[whole]
        ours = slice(sample.films.first[k], sample.films.first[k] + sample.films.count[k])
        np.testing.assert_array_equal(sample.examples[ours], train.examples[first : first + sample.films.count[k]])
    everything = data.sample_films(train, max_frames=10_000, gap=0.2)
    np.testing.assert_array_equal(everything.examples, train.examples)
