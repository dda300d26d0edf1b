"""Codes of everything there is, by the whole command: which, in which order, and what each mistake is told."""

import csv

import numpy as np
import pytest
from commands import ROOT, begun, make_folder
from PIL import Image
from pyarrow import parquet

import mi_coding
from mi_coding import data, embed
from mi_coding.reporting.codes_file import CODES_FILES

SIMCLR = ROOT / "configs" / "simclr.py"
PLAIN = ["path", "codes", "label", "class", "split"]  # columns without a map
COUNT = 150  # images of each class: more than a batch in all


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images of 9 × 9 with one among them that is torn."""
    folder = make_folder(tmp_path_factory.mktemp("embed") / "images", count=COUNT, side=9, classes=("bee", "ant"))
    (folder / "ant" / "0100.png").write_bytes(b"torn")
    return folder


@pytest.fixture(scope="module")
def workdir(folder, tmp_path_factory):
    """A run on these images."""
    workdir = tmp_path_factory.mktemp("embed") / "run"
    begun(workdir, f"--config.data.source=folder:{folder}", "--config.data.image_size=8", config=SIMCLR)
    return workdir


def run(workdir, source, output, *more):
    return embed.main(["embed", f"--workdir={workdir}", f"--source={source}", f"--output={output}", *more])


@pytest.fixture(scope="module")
def names():
    return [f"{name}/{i:04d}.png" for name in ("ant", "bee") for i in range(COUNT) if (name, i) != ("ant", 100)]


@pytest.fixture(scope="module")
def expected(workdir, folder, names):
    """The codes, one image at a time."""
    encode = mi_coding.load_encoder(workdir)
    images = [np.asarray(Image.open(folder / name).resize((8, 8), Image.Resampling.BILINEAR)) for name in names]
    return encode(np.stack(images))


def test_an_unreadable_image_is_skipped_and_every_code_has_its_own_path(
    workdir, folder, names, expected, tmp_path, capsys
):
    output = tmp_path / "codes.npz"
    assert run(workdir, f"folder:{folder}", output) == 0
    with np.load(output) as file:
        assert file["paths"].tolist() == names
        np.testing.assert_allclose(file["codes"], expected, rtol=1e-5, atol=1e-6)
        assert file["codes"].dtype == np.float32
        assert file["class_names"][file["labels"]].tolist() == [name[:3] for name in names]
    printed = capsys.readouterr()
    assert "no code for 1 example(s) that cannot be decoded: ant/0100.png" in printed.err
    assert f"{output}: 299 codes of 4 numbers, 1 skipped, in " in printed.out
    assert "waiting for input" in printed.out.splitlines()[-1]


def test_features_go_into_a_csv_as_well(workdir, folder, names, tmp_path):
    assert run(workdir, f"folder:{folder}", tmp_path / "f.csv", "--layer=features") == 0
    with (tmp_path / "f.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == names
    features = mi_coding.load_encoder(workdir, layer="features")
    image = np.asarray(Image.open(folder / names[-1]).resize((8, 8), Image.Resampling.BILINEAR))
    np.testing.assert_allclose([float(rows[-1][f"z{i}"]) for i in range(16)], features(image[None])[0], rtol=1e-5)


def test_much_waiting_for_input_is_warned_of(workdir, folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(embed, "MOST_WAITING", -1.0)
    assert run(workdir, f"folder:{folder}", tmp_path / "codes.npz") == 0
    assert "waiting" not in capsys.readouterr().err  # of a job of a second
    monkeypatch.setattr(embed, "LEAST_SECONDS", -1.0)
    assert run(workdir, f"folder:{folder}", tmp_path / "codes.npz") == 0
    assert "of the time was spent waiting for input, more than" in capsys.readouterr().err


def one_line(capsys):
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"--output": "codes.txt"}, "--output=codes.txt ends in .txt; expected .npz, .parquet, .csv, .tsv"),
        ({"--output": "/nowhere/at/all/codes.npz"}, "which is not a folder; make it first"),
        ({"--output": None}, "no --output given"),
        ({"--source": "foldr:here"}, "--source='foldr:here' is unknown"),
        ({"--source": "folder:/nowhere/at/all"}, "--source='folder:/nowhere/at/all' does not exist"),
        ({"--source": None, "--workdir": None}, "no --workdir and no --source given"),
        ({"--workdir": "/nowhere/at/all"}, "--workdir=/nowhere/at/all is not a directory"),
        ({"--map": "perhaps"}, "--map=perhaps; expected auto, yes or no"),
        ({"--layer": "logits"}, "layer='logits' is unknown"),
        ({"--half": "z"}, "half='z' is unknown"),
        ({"--image_size": "9"}, "examples of shape (9, 9, 3); the run was trained on (8, 8, 3): --image_size=8"),
        ({"--image_size": "large"}, "--image_size"),
        ({"--colour": "red"}, "colour"),
        ({"stray": ""}, "unexpected argument"),
        ({"--size": "8"}, "--size is not an option; did you mean --image_size?"),
        ({"--zzz": "8"}, "--zzz is not an option; expected --workdir, --source, --output,"),
    ],
)
def test_a_mistake_is_told_in_one_line_and_nothing_is_written(workdir, folder, tmp_path, capsys, changes, words):
    given = {"--workdir": workdir, "--source": f"folder:{folder}", "--output": tmp_path / "codes.npz"} | changes
    options = [f"{name}={value}" if name[0] == "-" else name for name, value in given.items() if value is not None]
    assert embed.main(["embed", *options]) == 2
    assert words in one_line(capsys)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", CODES_FILES)
def test_an_image_of_another_size_half_way_leaves_no_file(workdir, tmp_path, capsys, suffix):
    folder = make_folder(tmp_path / "images", count=20, side=8)
    Image.new("RGB", (12, 8)).save(folder / "bee" / "0007.png")
    (tmp_path / "out").mkdir()
    output = tmp_path / "out" / f"codes{suffix}"
    assert run(workdir, f"folder:{folder}", output, "--image_size=0") == 2
    told = one_line(capsys)
    assert "bee/0007.png has 8 × 12 pixels" in told
    assert "--image_size=8 resizes and crops" in told
    assert list(output.parent.iterdir()) == []


def test_ctrl_c_leaves_no_file(workdir, folder, tmp_path, capsys, monkeypatch):
    def interrupted(self, parts):
        next(iter(parts))
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr("mi_coding.runs.trained_encoder.TrainedEncoder.each", interrupted)
    assert run(workdir, f"folder:{folder}", tmp_path / "codes.npz") == 130
    assert "interrupted" in one_line(capsys)
    assert list(tmp_path.iterdir()) == []


def test_help_says_what_the_options_are(capsys):
    assert embed.main(["embed", "--help"]) == 0
    assert "--layer" in capsys.readouterr().out


def test_a_grey_picture_among_colours_has_the_channels_of_the_run(workdir, folder, tmp_path):
    Image.open(folder / "bee" / "0003.png").convert("L").save(tmp_path / "grey.png")
    Image.open(folder / "bee" / "0003.png").save(tmp_path / "in_colour.png")
    codes = tmp_path / "codes.npz"
    assert run(workdir, f"folder:{tmp_path}", codes) == 0
    image = Image.open(tmp_path / "grey.png").convert("RGB").resize((8, 8), Image.Resampling.BILINEAR)
    with np.load(codes) as file:
        assert file["paths"].tolist() == ["grey.png", "in_colour.png"]
        np.testing.assert_allclose(file["codes"][0], mi_coding.load_encoder(workdir)(np.asarray(image)[None])[0], 1e-5)


def deep(folder, brightest, count=40):
    """Grey PNGs of 16 bits, 9 × 9, with values up to `brightest`."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        values = rng.integers(0, brightest + 1, (9, 9)).astype(np.uint16)
        values[0, 0] = brightest
        Image.fromarray(values).save(folder / f"{number:02d}.png")
    return f"folder:{folder}"


def test_a_darker_set_has_the_white_of_the_run_or_the_one_that_is_given(tmp_path, capsys):
    workdir, codes = tmp_path / "run", tmp_path / "codes.npz"
    begun(
        workdir, f"--config.data.source={deep(tmp_path / 'bright', 4000)}", "--config.data.image_size=0", config=SIMCLR
    )
    dark = deep(tmp_path / "dark", 1000, count=2)
    for options, white in (([], 4095), (["--white=1023"], 1023)):
        capsys.readouterr()
        assert run(workdir, dark, codes, *options) == 0
        assert f"values up to 1,000; {white:,} is white" in capsys.readouterr().out
        values = np.asarray(Image.open(tmp_path / "dark" / "00.png"), float)
        image = (values * 256 / (white + 1)).astype(np.uint8)[None, :, :, None]
        with np.load(codes) as file:
            np.testing.assert_allclose(file["codes"][0], mi_coding.load_encoder(workdir)(image)[0], rtol=1e-5)


def test_the_layout_that_is_given_is_taken_and_told(workdir, folder, tmp_path, capsys):
    make_folder(tmp_path / "all", count=2, side=8, classes=("train", "test"))
    for options, labels in ((["--layout=classes"], [0, 0, 1, 1]), ([], None)):
        assert run(workdir, f"folder:{tmp_path / 'all'}", tmp_path / "codes.npz", *options) == 0
        with np.load(tmp_path / "codes.npz") as file:
            assert (file["labels"].tolist() if "labels" in file else None) == labels
    assert run(workdir, "digits", tmp_path / "codes.npz", "--layout=classes") == 2
    assert "--layout='classes' is for a folder, and the source is digits" in capsys.readouterr().err


def test_a_source_of_which_too_much_is_unreadable_is_refused_as_in_training(workdir, tmp_path, capsys):
    folder = make_folder(tmp_path / "images", count=20, side=8)
    for number in range(5):
        (folder / "ant" / f"{number:04d}.png").write_bytes(b"torn")
    (tmp_path / "out").mkdir()
    assert run(workdir, f"folder:{folder}", tmp_path / "out" / "codes.npz") == 2
    assert "5 of 40 images cannot be decoded: ant/0000.png, ant/0001.png, ant/0002.png, …; that is 12.5%" in one_line(
        capsys
    )
    assert list((tmp_path / "out").iterdir()) == []


def test_a_parquet_file_has_a_map_and_the_nearest_example(workdir, folder, names, expected, tmp_path):
    assert run(workdir, f"folder:{folder}", tmp_path / "codes.parquet") == 0
    table = parquet.read_table(tmp_path / "codes.parquet")
    assert table.column_names == ["path", "codes", "label", "class", "x", "y", "nearest", "split"]
    loaded = data.load(f"folder:{folder}", image_size=8, channels=3, placement="stream")
    for which in ("train", "validation", "test"):
        of_split = [name for name, split in zip(names, table["split"].to_pylist(), strict=True) if split == which]
        assert of_split == sorted(set(data.names(getattr(loaded, which))) - {"ant/0100.png"}), which
    assert table["path"].to_pylist() == names
    np.testing.assert_allclose(np.stack(table["codes"].to_pylist()), expected, rtol=1e-5, atol=1e-6)

    rows = np.arange(len(names))
    directions = expected / np.linalg.norm(expected, axis=1, keepdims=True)
    cosines = directions @ directions.T - 9 * np.eye(len(names))
    found = [names.index(name) for name in table["nearest"].to_pylist()]
    np.testing.assert_allclose(cosines[rows, found], cosines.max(axis=1), atol=1e-5)
    places = np.stack([table["x"].to_numpy(), table["y"].to_numpy()], axis=1)
    distances = np.linalg.norm(places[:, None] - places, axis=2)
    assert np.mean(distances[rows, found]) < 0.2 * distances.mean()

    assert run(workdir, f"folder:{folder}", tmp_path / "plain.parquet", "--map=no") == 0
    assert parquet.read_table(tmp_path / "plain.parquet").column_names == PLAIN


def test_the_projector_of_tensorboard_has_codes_metadata_and_a_config(workdir, folder, names, expected, tmp_path):
    assert run(workdir, f"folder:{folder}", tmp_path / "codes.tsv", "--map=no") == 0
    np.testing.assert_allclose(np.loadtxt(tmp_path / "codes.tsv", delimiter="\t"), expected, rtol=1e-5, atol=1e-6)
    first, *rows = (tmp_path / "codes.metadata.tsv").read_text().splitlines()
    assert first == "path\tlabel\tclass\tsplit"
    assert [row.split("\t")[0] for row in rows] == names
    config = (tmp_path / "projector_config.pbtxt").read_text()
    assert 'tensor_path: "codes.tsv"' in config
    assert 'metadata_path: "codes.metadata.tsv"' in config
    assert len(list(tmp_path.iterdir())) == 3


def test_more_examples_than_are_mapped_have_no_map_which_is_said(workdir, folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(embed, "_MOST_MAPPED", 100)
    assert run(workdir, f"folder:{folder}", tmp_path / "codes.parquet") == 0
    assert "no map of 300 examples, more than 100; --map=yes makes one" in capsys.readouterr().out
    assert parquet.read_table(tmp_path / "codes.parquet").column_names == PLAIN
