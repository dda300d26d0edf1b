"""A trained encoder as a function: which codes it gives, what it takes, and what each mistake is told."""

import json
import pickle
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from commands import begun

import mi_coding
from mi_coding.data import Dataset, Split
from mi_coding.errors import InputError
from mi_coding.evaluation.classifier import ClassifierAccuracy
from mi_coding.evaluation.health import Health
from mi_coding.runs import restore
from mi_coding.runs.evaluate import run_on
from mi_coding.runs.examples import in_classes_of
from mi_coding.training.checkpoints import Checkpoints
from mi_coding.training.devices import data_parallel

IMAGES = np.random.default_rng(0).random((21, 8, 8, 1)).astype(np.float32)
FRAMES = np.pad(IMAGES, ((0, 0), (4, 4), (4, 4), (0, 0)))  # in the middle of a window of 16 pixels


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A work directory of CPC on moving digits, how it was built, and the state that it holds."""
    workdir = tmp_path_factory.mktemp("restore") / "run"
    return workdir, *begun(workdir)


@pytest.fixture(scope="module")
def encode(run):
    return mi_coding.load_encoder(run[0])


def test_a_digit_is_coded_as_the_frame_that_shows_it_in_its_middle(run, encode):
    _, built, state = run
    expected = built.method.encode(state.params, state.stats, jnp.asarray(FRAMES)).codes
    np.testing.assert_allclose(encode(IMAGES), expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(encode(FRAMES), expected, rtol=1e-5, atol=1e-7)  # a frame is taken as one, too


def test_features_are_those_before_the_head(run):
    workdir, built, state = run
    features = mi_coding.load_encoder(str(workdir), layer="features")
    expected = built.method.encode(state.params, state.stats, jnp.asarray(FRAMES)).features
    np.testing.assert_allclose(features(IMAGES), expected, rtol=1e-5, atol=1e-7)
    assert features.dim == 16


def test_places_are_arrays_of_features_that_survive_pickling(run):
    workdir, built, state = run
    places = mi_coding.load_encoder(workdir, layer="places")
    expected = built.method.places(state.params, state.stats, jnp.asarray(FRAMES))
    assert places.places == expected.shape[1:]
    assert places.dim == np.prod(places.places)
    for encode in (places, pickle.loads(pickle.dumps(places))):
        np.testing.assert_allclose(encode(IMAGES), expected, rtol=1e-5, atol=1e-7)
    assert places(IMAGES[:0]).shape == (0, *places.places)
    assert places.features(IMAGES).shape == (21, 16)


@pytest.mark.parametrize("count", [0, 1, 300])
def test_any_number_of_examples_is_coded_by_one_compiled_program(run, count):
    encode = mi_coding.load_encoder(run[0])
    many = np.resize(IMAGES, (count, 8, 8, 1))
    codes = encode(many)
    assert (codes.shape, codes.dtype) == ((count, 4), np.float32)
    np.testing.assert_array_equal(codes[-2:], encode(many)[-2:])
    assert encode._encode._cache_size() <= 1


def test_bytes_and_floats_of_any_width_have_the_same_codes(encode):
    pixels = np.random.default_rng(1).integers(0, 256, (5, 8, 8, 1)).astype(np.uint8)
    codes = encode(pixels)
    for examples in (pixels / 255, jnp.asarray(pixels / np.float32(255)), pixels.astype(int)):
        np.testing.assert_allclose(encode(examples), codes, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("examples", "words"),
    [
        (IMAGES[0], r"examples of shape \(8, 8, 1\); expected \(n, 8, 8, 1\) or \(n, 16, 16, 1\)"),
        (IMAGES[..., 0], r"shape \(21, 8, 8\)"),
        (IMAGES[:, :7], r"shape \(21, 7, 8, 1\)"),
        (np.float32(3), r"shape \(\)"),
        (np.full((2, 8, 8, 1), 256), "numbers from 256 to 256; expected images from 0 to 255"),
        (255 * np.ones((2, 8, 8, 1)), r"floats from 255 to 255; expected images in \[0, 1\]"),
        (IMAGES - 0.5, r"expected images in \[0, 1\]"),
        (np.where(IMAGES[3, 2, 1] == IMAGES, np.nan, IMAGES), "NaN or infinity"),
    ],
)
def test_examples_that_cannot_be_coded_are_told(encode, examples, words):
    with pytest.raises(ValueError, match=words):
        encode(examples)


def test_a_layer_or_a_half_that_is_not_there_is_told(run):
    with pytest.raises(InputError, match="layer='logits' is unknown; expected one of codes, features, places"):
        mi_coding.load_encoder(run[0], layer="logits")
    with pytest.raises(InputError, match="half='y' is unknown; expected x: the run has one encoder for both halves"):
        mi_coding.load_encoder(run[0], half="y")


def test_the_moving_average_is_used_where_it_is_kept(tmp_path):
    def change(state):
        return state._replace(average=jax.tree.map(lambda leaf: leaf + 0.01, state.average))

    built, state = begun(tmp_path / "run", "--config.optimizer.average_decay=0.9", change=change)
    expected = built.method.encode(*state.average, jnp.asarray(FRAMES)).codes
    np.testing.assert_allclose(mi_coding.load_encoder(tmp_path / "run")(IMAGES), expected, rtol=1e-5, atol=1e-7)
    assert not np.allclose(expected, built.method.encode(state.params, state.stats, jnp.asarray(FRAMES)).codes)


def test_candidates_on_other_devices_are_those_of_training_wherever_it_is_read(tmp_path, monkeypatch):
    built, _ = begun(tmp_path / "run", "--config.objective.distractors=other_devices")
    monkeypatch.setattr(jax, "local_device_count", lambda: 1)
    found = restore.restore(tmp_path / "run", pytest.fail)
    assert found.method.num_candidates == built.method.num_candidates > 1


def in_three_classes(names):
    splits = [Split(np.zeros((3, 1)), np.array(labels)) for labels in ([0, 1, -1], [1, 0, 1], [0, 0, 1])]
    return Dataset("other", *splits, class_names=names)


def test_labels_of_other_data_mean_the_classes_that_the_classifier_learnt():
    dataset, lacking = in_classes_of(in_three_classes(["cat", "ant"]), ["ant", "bee", "cat"])
    assert [split.labels.tolist() for split in dataset.splits] == [[2, 0, -1], [0, 2, 0], [2, 2, 0]]
    assert (dataset.class_names, lacking) == (["ant", "bee", "cat"], [])
    assert in_classes_of(in_three_classes(["cow", "ant"]), ["ant", "bee", "cat"])[1] == ["cow"]
    for names, own in ((None, ["cow", "ant"]), (["ant"], None)):  # of an older run; of arrays
        dataset, lacking = in_classes_of(in_three_classes(own), names)
        assert (dataset.train.labels.tolist(), lacking) == ([0, 1, -1], [])


def test_a_classifier_is_not_judged_on_classes_that_it_has_not_learnt(tmp_path):
    begun(tmp_path / "run")
    found, warnings = restore.restore(tmp_path / "run", pytest.fail), []
    found = found._replace(plan=found.plan._replace(evaluators=(ClassifierAccuracy(), Health())))  # names are digits
    known, other = (run_on(found, in_three_classes(names), warnings.append) for names in (["7", "3"], ["7", "ant"]))
    assert known.dataset.train.labels.tolist() == [7, 3, -1]
    assert len(known.plan.evaluators) == 2
    assert other.plan.evaluators == (Health(),)
    assert warnings == ["the classifier is not judged: the data has classes that it has not learnt: 'ant'"]


def test_a_run_of_eight_devices_is_read_on_one(run, tmp_path):
    workdir, _, state = run
    eight = tmp_path / "eight"
    eight.mkdir()
    (eight / "config.json").write_text((workdir / "config.json").read_text())
    known = json.loads((workdir / "checkpoints" / "0" / "progress" / "metadata").read_text())
    checkpoints = Checkpoints(eight / "checkpoints", keep=1, metadata={k: known[k] for k in ("data", "num_candidates")})
    checkpoints.save(data_parallel("shard_map").replicate(state), 0.0)
    checkpoints.close()
    np.save(tmp_path / "images.npy", IMAGES)
    program = (
        "import jax, mi_coding, numpy as np; assert jax.device_count() == 1; "
        f"np.save('codes.npy', mi_coding.load_encoder({str(eight)!r})(np.load('images.npy')))"
    )
    environment = {"JAX_PLATFORMS": "cpu", "PYTHONPATH": ":".join(sys.path), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    np.testing.assert_allclose(
        np.load(tmp_path / "codes.npy"), mi_coding.load_encoder(workdir)(IMAGES), rtol=1e-4, atol=1e-6
    )


def test_importing_the_package_imports_nothing_heavy():
    heavy = ["flax", "orbax", "optax", "grain", "sklearn", "matplotlib", "PIL", "absl.flags"]
    program = f"import sys, mi_coding; print([name for name in {heavy} if name in sys.modules])"
    environment = {"PYTHONPATH": ":".join(sys.path), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    with pytest.raises(AttributeError, match="no attribute 'load_decoder'"):
        _ = mi_coding.load_decoder


def refused(workdir):
    with pytest.raises(InputError) as error:
        mi_coding.load_encoder(workdir)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_directory_that_holds_no_run_is_told(run, tmp_path):
    assert "is not a directory" in refused(tmp_path / "nowhere")
    assert "holds no config.json, so it is not a run" in refused(tmp_path)
    (tmp_path / "config.json").write_text("[1, 2]")
    assert "is not the config of a run" in refused(tmp_path)
    (tmp_path / "config.json").write_text((run[0] / "config.json").read_text())
    assert "no checkpoint that can be read; a run writes its first after config.checkpoint.every_steps" in refused(
        tmp_path
    )
    (tmp_path / "checkpoints").mkdir()
    assert "has no checkpoint that can be read" in refused(tmp_path)


def test_a_config_of_another_version_is_told(run, tmp_path):
    begun(tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    config = json.loads(path.read_text())
    config["encoder"]["grid"] = "fine"
    path.write_text(json.dumps(config))
    assert "cannot be built by this version: " in refused(tmp_path / "run")


def save_older(workdir, state):
    """A checkpoint as versions wrote it that did not say what the examples look like."""
    with ocp.CheckpointManager((workdir / "checkpoints").absolute()) as manager:
        items = {"state": ocp.args.StandardSave(state), "progress": ocp.args.JsonSave({"seconds": 1.0})}
        manager.save(0, args=ocp.args.Composite(**items))


def test_a_run_of_an_older_version_is_told(run, tmp_path):
    (tmp_path / "config.json").write_text((run[0] / "config.json").read_text())
    save_older(tmp_path, run[2])
    assert "was trained by an older version" in refused(tmp_path)


def test_a_damaged_checkpoint_is_told_and_an_older_one_is_read(tmp_path):
    _, state = begun(tmp_path / "run")
    checkpoints = tmp_path / "run" / "checkpoints"
    newer = Checkpoints(checkpoints, keep=9, metadata=json.loads((checkpoints / "0/progress/metadata").read_text()))
    newer.save(state._replace(step=state.step + 7), 1.0)
    newer.close()
    for path in (checkpoints / "7" / "state").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:10])
    said = []
    assert restore.restore(tmp_path / "run", said.append).step == 0
    assert len(said) == 1
    assert said[0].startswith("checkpoint 7 cannot be read, trying an older one: ")
    with pytest.warns(UserWarning, match="checkpoint 7 cannot be read"):
        mi_coding.load_encoder(tmp_path / "run")
