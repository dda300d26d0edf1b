"""Folders of sound files: rates, channels, lengths, formats, and what cannot be decoded."""

import numpy as np
import pytest

from mi_coding import data
from mi_coding.errors import InputError

soundfile = pytest.importorskip("soundfile")
RATE = 8000


def tone(seconds, hertz=440.0, rate=RATE):
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


@pytest.fixture
def folder(tmp_path):
    """Two classes of five files each, of 0.1 to 0.5 s."""
    for name, hertz in (("high", 880.0), ("low", 220.0)):
        (tmp_path / name).mkdir()
        for i in range(1, 6):
            soundfile.write(tmp_path / name / f"{i}.wav", tone(i / 10, hertz), RATE, subtype="FLOAT")
    return tmp_path


def listed(folder, **options):
    return data.list_all(f"folder:{folder}", **options)


def test_files_are_sequences_that_end_in_padding_with_classes_and_names(folder):
    split, class_names, account = listed(folder)
    assert (split.examples.shape, split.examples.dtype, class_names) == ((10, 4000, 1), np.float32, ["high", "low"])
    assert split.lengths.tolist() == [800, 1600, 2400, 3200, 4000] * 2
    assert list(split.names[:2]) == ["high/1.wav", "high/2.wav"]
    np.testing.assert_array_equal(split.examples[1, :1600, 0], tone(0.2, 880.0).astype(np.float32))
    assert account.facts["sample_rate"] == RATE
    assert account.facts["seconds"] == 3.0
    assert account.lines()[0].startswith("data: 10 sound files; sample rate 8,000, seconds 3.0, ")
    loaded = data.load(f"folder:{folder}")
    assert [data.num_examples(part) for part in loaded.splits] == [6, 2, 2]
    assert {part.examples.shape[1:] for part in loaded.splits} == {(4000, 1)}


@pytest.mark.parametrize(
    ("name", "written", "tolerance"),
    [
        ("a.wav", {"subtype": "PCM_16"}, 1e-4),
        ("a.wav", {"subtype": "PCM_24"}, 1e-6),
        ("a.wav", {"subtype": "PCM_U8"}, 1e-2),
        ("a.wav", {"subtype": "ULAW"}, 2e-2),
        ("a.flac", {}, 1e-4),
        ("a.aiff", {}, 1e-4),
        ("a.ogg", {}, 0.1),
        ("a.mp3", {}, 0.1),
        ("without_suffix", {"format": "WAV"}, 1e-4),
    ],
)
def test_every_format_gives_the_samples_that_were_written(tmp_path, name, written, tolerance):
    wave = tone(0.5)
    for i in range(2):
        soundfile.write(tmp_path / f"{i}{name}", wave, RATE, **written)
    split, _, account = listed(tmp_path)
    assert account.found == 2
    assert not account.left_out
    found = split.examples[0, :, 0]
    assert found.shape == wave.shape
    assert np.abs(found[1000:-1000] - wave[1000:-1000]).max() < tolerance


def test_other_rates_are_resampled_to_that_of_most_files_and_noted(folder):
    soundfile.write(folder / "low" / "6.wav", tone(0.5, 220.0, rate=44_100), 44_100, subtype="FLOAT")
    split, _, account = listed(folder)
    wave = split.examples[-1, :4000, 0]
    assert split.lengths[-1] == 4000
    assert np.abs(wave[100:-100] - tone(0.5, 220.0)[100:-100]).max() < 1e-3
    assert "1 files such as low/6.wav are resampled to 8,000 samples per second" in account.notes


def test_stereo_is_kept_or_its_mean_is_taken(tmp_path):
    left, right = tone(0.1), tone(0.1, 100.0)
    for i in range(3):
        soundfile.write(tmp_path / f"{i}.wav", np.stack([left, right], 1), RATE, subtype="FLOAT")
    assert listed(tmp_path).split.examples.shape == (3, 800, 2)
    mono = listed(tmp_path, channels=1).split.examples
    np.testing.assert_allclose(mono[0, :, 0], (left + right) / 2, atol=1e-6)
    soundfile.write(tmp_path / "3.wav", left, RATE)
    with pytest.raises(InputError, match=r"have 1 and 2 channels; expected --config.data.channels=1"):
        listed(tmp_path)


@pytest.mark.parametrize("damage", ["cut.wav", "cut.flac", "cut.mp3", "nothing.wav", "noise.wav", "nan.wav"])
def test_a_file_that_cannot_be_decoded_whole_is_left_out_and_counted(folder, damage):
    for i in range(6, 12):  # one of ten may be unreadable
        soundfile.write(folder / "high" / f"{i}.wav", tone(0.1), RATE)
    path = folder / "high" / damage
    if damage == "nan.wav":
        soundfile.write(path, np.full(800, np.nan), RATE, subtype="FLOAT")
    elif damage == "noise.wav":
        path.write_bytes(b"RIFF\x00\x00\x00\x00WAVE" + bytes(range(200)))
    else:
        soundfile.write(path, tone(0.0 if damage == "nothing.wav" else 0.5), RATE)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // (1 if damage == "nothing.wav" else 2)])
    split, _, account = listed(folder)
    assert len(split.examples) == 16
    assert account.summary() | {"data/left_out/cannot_be_decoded": 1, "data/found": 17} == account.summary()


def test_too_many_broken_files_and_none_at_all_are_told(folder):
    for i in range(4):
        (folder / "low" / f"broken{i}.wav").write_bytes(b"RIFF\x00\x00\x00\x00WAVE")
    with pytest.raises(InputError, match=r"4 of 14 sound files cannot be decoded: low/broken0.wav"):
        listed(folder)
    for path in [*folder.glob("*/[0-9].wav")]:
        path.unlink()
    with pytest.raises(InputError, match=r"none of 4 sound files can be decoded, such as low/broken0.wav"):
        listed(folder)


def test_sounds_beside_images_are_counted_and_a_size_is_for_images(folder):
    with pytest.raises(InputError, match=r"config.data.image_size=32 is for images"):
        listed(folder, image_size=32)
    from PIL import Image

    for i in range(3):
        Image.new("L", (8, 8), i).save(folder / f"{i}.png")
    _, _, account = listed(folder)
    assert account.left_out["not an image, .wav"].count == 10
