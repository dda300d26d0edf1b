"""The nearest codes, by the command and from Python."""

import numpy as np
import pytest
from PIL import Image

import mi_coding
from mi_coding import embed, search
from mi_coding.runs.stored import nearest_codes, read_codes

RNG = np.random.default_rng(0)


def test_the_nearest_are_those_of_the_whole_matrix_of_cosines():
    codes, queries = RNG.normal(size=(500, 7)), RNG.normal(size=(6, 7))
    codes[3] = 0
    unit = codes / np.maximum(np.linalg.norm(codes, axis=1, keepdims=True), 1e-30)
    cosines = queries / np.linalg.norm(queries, axis=1, keepdims=True) @ unit.T
    positions, found = nearest_codes(queries, codes, 9)
    np.testing.assert_array_equal(positions, np.argsort(-cosines, axis=1)[:, :9])
    np.testing.assert_allclose(found, -np.sort(-cosines, axis=1)[:, :9], atol=1e-6)
    assert nearest_codes(queries, codes[:4], 9)[0].shape == (6, 4)
    assert nearest_codes(queries, np.ones((5, 7)), 3)[0][0].tolist() == [0, 1, 2]  # of equals the first


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of images, a run on them, and their codes in both kinds of file."""
    root = tmp_path_factory.mktemp("photos")
    for i in range(40):
        Image.fromarray(RNG.integers(0, 256, (16, 16), dtype=np.uint8)).save(root / f"{i:02d}.png")
    short = {"num_steps": 2, "optimizer.warmup_steps": 1, "batch_size": 8, "encoder.widths": (4,)}
    workdir = root.with_name("run")
    mi_coding.fit(f"folder:{root}", config="simclr", workdir=workdir, evaluate=False, **short)
    for suffix in ("npz", "parquet"):
        output = f"--output={workdir}/codes.{suffix}"
        assert embed.main(["embed", f"--workdir={workdir}", f"--source=folder:{root}", output]) == 0
    return root, workdir


@pytest.mark.parametrize("suffix", ["npz", "parquet"])
def test_a_file_or_a_name_is_its_own_nearest(photos, capsys, suffix):
    root, workdir = photos
    codes = f"--codes={workdir}/codes.{suffix}"
    for query in ([f"--query={root}/07.png", f"--workdir={workdir}"], ["--query=07.png"]):
        assert search.main(["search", codes, "--count=3", *query]) == 0
        first, *_, last = capsys.readouterr().out.splitlines()
        assert first.split() == ["1.0000", "07.png"]
        assert last.startswith("40 codes were searched in ")


def test_an_encoder_names_the_nearest(photos):
    root, workdir = photos
    encoder = mi_coding.load_encoder(workdir)
    (of_one,) = encoder.nearest([root / "05.png"], workdir / "codes.npz", 2)
    assert of_one[0] == ("05.png", pytest.approx(1.0, abs=1e-5))
    codes = read_codes(workdir / "codes.npz").codes
    assert encoder.nearest([root / "05.png"], codes, 3)[0][0][0] == 5
    with pytest.raises(ValueError, match=r"codes of shape \(40, 3\); expected \(n, 64\)"):
        encoder.nearest([root / "05.png"], codes[:, :3])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--codes=no.npz", "--query=a"], "no.npz is not a file; expected codes written by mi_coding.embed"),
        (["--codes=CODES", "--query=nobody"], "is neither a file nor a name in"),
        (["--codes=CODES", "--query=ROOT/07.png"], "for which --workdir is needed"),
        (
            ["--codes=CODES", "--query=ROOT/07.png", "--workdir=RUN", "--layer=features"],
            "codes and layer of one run",
        ),
        (["--codes=ROOT/07.png", "--query=a"], "cannot be read"),
        (["--codes=RUN/empty.npz", "--query=a"], "cannot be read"),
        (["--codes=CODES", "--query=07.png", "--count=0"], "expected at least 1"),
    ],
)
def test_mistakes_are_one_line(photos, capsys, arguments, words):
    root, workdir = photos
    places = {"CODES": f"{workdir}/codes.npz", "ROOT": str(root), "RUN": str(workdir)}
    (workdir / "empty.npz").touch()
    for name, place in places.items():
        arguments = [argument.replace(name, place) for argument in arguments]
    assert search.main(["search", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert words in error
