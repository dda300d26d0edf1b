"""Exported encoders: the same codes as of the run, by every format, for every kind of run, and without this package."""

import json
import subprocess
import sys
from itertools import product

import numpy as np
import pytest
from finished_runs import RECIPES

import mi_coding
from mi_coding import embed, export
from mi_coding.runs.exports import FORMATS, MOST_DIFFERENCE, largest_difference, open_export, write_export

ALONE = """
import sys
sys.modules["mi_coding"] = None  # which cannot be imported from here on
import jax, json, numpy as np
exported = jax.export.deserialize(bytearray(open(sys.argv[1], "rb").read()))
assert exported.platforms == ("cpu", "cuda", "tpu")
examples = np.load(sys.argv[2])
np.save(sys.argv[3], np.concatenate([exported.call(examples[:3]), exported.call(examples[3:])]))
"""


def examples_of(encoder, count=5):
    drawn = np.random.default_rng(0).random((count, *encoder.shape))
    return np.rint(255 * drawn).astype(np.uint8) if encoder.dtype == "uint8" else drawn.astype(np.float32)


NOT_CONVERTED = ("sequences", ".onnx")
"""jax2onnx 0.17 has no gather of slices that lie at another place in each sequence of a batch."""


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        pytest.param(*both, marks=pytest.mark.soak if both[1] == ".stablehlo" and both[0] != "cpc" else ())
        for both in product(RECIPES, FORMATS)
        if both != NOT_CONVERTED
    ],
)
def test_an_exported_encoder_gives_the_codes_of_its_run(finished_runs, tmp_path, name, ending):
    encoder = mi_coding.load_encoder(finished_runs(name).workdir)
    path = tmp_path / f"encoder{ending}"
    info = write_export(encoder, path)
    program = open_export(path, encoder)
    for count in (1, 5):
        assert largest_difference(encoder, program, examples_of(encoder, count)) <= MOST_DIFFERENCE
    written = json.loads((tmp_path / f"encoder{ending}.json").read_text())
    assert written == json.loads(json.dumps(info))
    assert written["input"]["shape"] == ["batch", *encoder.shape]
    assert written["output"]["shape"] == ["batch", encoder.dim]


def test_an_encoder_that_cannot_be_converted_is_told_with_what_can(finished_runs, tmp_path):
    name, ending = NOT_CONVERTED
    encoder = mi_coding.load_encoder(finished_runs(name).workdir)
    with pytest.raises(ValueError, match=r"jax2onnx \S+ cannot convert this encoder: .*; choose \.stablehlo"):
        write_export(encoder, tmp_path / f"encoder{ending}")
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_cannot_import_this_package_runs_it(finished_runs, tmp_path):
    encoder = mi_coding.load_encoder(finished_runs("films").workdir, layer="features")
    write_export(encoder, tmp_path / "encoder.stablehlo")
    np.save(tmp_path / "examples.npy", examples_of(encoder))
    paths = [str(tmp_path / name) for name in ("encoder.stablehlo", "examples.npy", "codes.npy")]
    subprocess.run([sys.executable, "-c", ALONE, *paths], check=True, timeout=300)
    expected = encoder(examples_of(encoder))
    np.testing.assert_allclose(np.load(paths[2]), expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_codes_are_embedded_by_an_exported_file_that_is_shown_to_be_of_the_run(finished_runs, tmp_path, capsys):
    run, path = finished_runs("simclr").workdir, tmp_path / "encoder.stablehlo"
    assert export.main(["export", f"--workdir={run}", f"--output={path}"]) == 0
    assert f"{path}: float32[batch, 16, 16, 1] in [0, 1] → float32[batch, 4]" in capsys.readouterr().out
    written = [tmp_path / f"{name}.npz" for name in ("run", "file")]
    typed = ["embed", f"--workdir={run}", "--source=digits"]
    for output, more in zip(written, ([], [f"--backend={path}"]), strict=True):
        assert embed.main([*typed, f"--output={output}", *more]) == 0
    assert "differ from those of the run by" in capsys.readouterr().out
    own, through = (np.load(output)["codes"] for output in written)
    np.testing.assert_allclose(through, own, rtol=1e-5, atol=1e-5 * np.abs(own).max())

    assert embed.main([*typed, f"--output={written[0]}", "--layer=features", f"--backend={path}"]) == 2
    assert "gives codes that differ from those of the run by inf of the largest" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--output={}/encoder.pt"], "ends in .pt; expected one of .stablehlo, .safetensors, .onnx"),
        (["--output={}/nowhere/encoder.onnx"], "is not a file in an existing folder"),
        (["--output={}/encoder.onnx", "--workdir={}"], "holds no config.json, so it is not a run"),
    ],
)
def test_mistakes_are_told_in_one_line(tmp_path, capsys, arguments, said):
    arguments = [argument.format(tmp_path) for argument in arguments]
    workdir = [] if len(arguments) > 1 else [f"--workdir={tmp_path}"]
    assert export.main(["export", *workdir, *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", FORMATS)
def test_a_broken_file_is_told_in_one_line(finished_runs, tmp_path, ending):
    path = tmp_path / f"encoder{ending}"
    path.write_bytes(b"torn")
    with pytest.raises(ValueError, match=r"cannot be read: .*; export it again"):
        open_export(path, mi_coding.load_encoder(finished_runs("arrays").workdir))


def test_weights_of_another_run_are_refused_by_name(finished_runs, tmp_path):
    path = tmp_path / "encoder.safetensors"
    write_export(mi_coding.load_encoder(finished_runs("simclr").workdir), path)
    with pytest.raises(ValueError, match=r"has params\..*; the run has .*: it is from another run"):
        open_export(path, mi_coding.load_encoder(finished_runs("arrays").workdir))
