"""The Python face: an encoder of whatever a person has, in one call."""

import gc
import pickle
import re
import signal
import sys
import threading

import jax
import numpy as np
import pytest
from commands import make_folder
from PIL import Image

import mi_coding
from mi_coding import data
from mi_coding.data import ImageSpec
from mi_coding.data.sources.python import FromPython
from mi_coding.learn.choose import choose, describe
from mi_coding.runs.workdir import saved_step

RNG = np.random.default_rng(0)
SHORT = {"num_steps": 4, "optimizer.warmup_steps": 1, "batch_size": 8, "encoder.widths": (4,), "encoder.code_dim": 4}
SHORT |= {"encoder.feature_dim": 8, "encoder.head_width": 8}
SMALL = RNG.integers(0, 256, (40, 16, 16), dtype=np.uint8)


@pytest.fixture(scope="module")
def encoder():
    return mi_coding.fit(SMALL, evaluate=False, **SHORT)


def test_an_encoder_takes_arrays_of_any_size_files_and_pillow_images(encoder, tmp_path):
    path = tmp_path / "one.png"
    Image.fromarray(SMALL[0]).save(path)
    codes = encoder(SMALL)
    assert (codes.shape, codes.dtype, encoder.features(SMALL[:3]).shape) == ((40, 4), np.float32, (3, 8))
    for same in ([path], [str(path)], [Image.open(path)], SMALL[:1, :, :, None], SMALL[:1] / np.float32(255)):
        np.testing.assert_allclose(encoder(same), codes[:1], atol=1e-5)
    twice = np.repeat(np.repeat(SMALL[:2], 2, axis=1), 2, axis=2)
    assert encoder(twice).shape == encoder(np.stack([twice] * 3, axis=3)).shape == (2, 4)
    for wrong, words in (("a.png", "expected a list"), (["a.png"], "is not a file"), (np.zeros((2, 3)), "of shape")):
        with pytest.raises(ValueError, match=words):
            encoder(wrong)


def test_an_encoder_can_be_pickled_and_tells_what_it_is(encoder):
    again = pickle.loads(pickle.dumps(encoder))
    np.testing.assert_array_equal(again(SMALL), encoder(SMALL))
    assert repr(encoder) == "<encoder of arrays: 16 × 16 × 1 → 4 numbers (codes)>"
    assert "16 × 16 × 1" in encoder._repr_html_()
    assert (encoder.summary, encoder.report) == ({}, None)


def test_pairs_of_arrays_are_reported_and_every_step_is_told(tmp_path, capsys):
    x, told = RNG.normal(size=(80, 3)), []
    short = {key: SHORT[key] for key in ("num_steps", "optimizer.warmup_steps", "batch_size")}
    short |= {"evaluation.num_pairs": 16, "workdir": tmp_path / "run", "labels": np.arange(80) % 2}
    encoder = mi_coding.fit(x, x[:, :2], on_step=lambda *step: told.append(step), **short)
    assert [step for step, _ in told] == [1, 2, 3, 4]
    assert all(np.isfinite(metrics["loss"]) for _, metrics in told)
    assert encoder.summary["train/steps"] == 4
    assert encoder.report == tmp_path / "run" / "report.html"
    assert "probe/linear_accuracy" in encoder.summary
    assert "cpc_arrays for 80 pairs: batch_size 8, num_steps 4" in capsys.readouterr().out
    again = mi_coding.load_encoder(tmp_path / "run")
    np.testing.assert_array_equal(again(x), encoder(x))


def test_other_images_of_the_same_shape_are_no_continuation(tmp_path):
    first = mi_coding.fit(SMALL, evaluate=False, workdir=tmp_path / "run", **SHORT)
    again = mi_coding.fit(SMALL.copy(), evaluate=False, workdir=tmp_path / "run", **SHORT)
    np.testing.assert_array_equal(first(SMALL), again(SMALL))
    with pytest.raises(ValueError, match="the data has changed since the run began: CRC-32 of the examples was"):
        mi_coding.fit(255 - SMALL, evaluate=False, workdir=tmp_path / "run", **SHORT)


def test_several_codes_without_an_evaluation_are_an_encoder_of_features():
    short = {key: value for key, value in SHORT.items() if key != "encoder.code_dim"} | {"code.num_heads": 2}
    with pytest.warns(UserWarning, match="none of its codes is chosen: this encoder gives features"):
        encoder = mi_coding.fit(SMALL, config="cotraining", evaluate=False, **short)
    assert encoder(SMALL).shape == (40, 8)
    codes = mi_coding.ContrastiveEncoder("cotraining", layer="codes", overrides={"code.num_heads": 2})
    with pytest.raises(ValueError, match="among which only an evaluation chooses; expected layer='features'"):
        codes.fit(SMALL)


@pytest.mark.parametrize(
    ("given", "options", "words"),
    [
        ((SMALL,), {"batch_size": 0}, "batch_size=0"),
        ((SMALL,), {"batch_size": "64"}, "batch_size='64'; expected a whole number"),
        ((SMALL,), {"num_steps": None}, "num_steps=None; expected a whole number"),
        (("folder:photos", np.zeros(3)), {}, "y is given with 'folder:photos', which is a source of its own"),
    ],
)
def test_values_are_checked_before_a_config_is_chosen_by_them(given, options, words):
    with pytest.raises(ValueError, match=re.escape(words)) as raised:
        mi_coding.fit(*given, **options)
    assert "\n" not in str(raised.value)


def test_epochs_that_are_asked_for_end_training():
    assert choose(describe(SMALL), {"num_epochs": 400.0}).overrides["num_steps"] == 0
    assert choose(describe(SMALL), {"num_epochs": 400.0, "num_steps": 7}).overrides["num_steps"] == 7


def test_ctrl_c_gives_the_encoder_so_far(tmp_path, capsys):
    def stop(step, metrics):
        if step == 2:
            signal.raise_signal(signal.SIGINT)

    run = tmp_path / "run"
    continues = rf"saved step \d; fit\(…, workdir={str(run)!r}\) continues"
    for workdir, words in ((None, r"stopped after step \d\n"), (run, continues)):
        encoder = mi_coding.fit(SMALL, on_step=stop, workdir=workdir, **SHORT | {"num_steps": 10_000})
        assert encoder(SMALL).shape == (40, 4)
        assert encoder.report is None
        assert re.search(words, capsys.readouterr().out)


def test_sigterm_saves_and_ends_the_process_as_its_handler_has_it(tmp_path, monkeypatch):
    def stop(step, metrics):
        if step == 2:
            signal.raise_signal(signal.SIGTERM)

    how = SHORT | {"num_steps": 10_000}
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(SystemExit, match="143"):
        mi_coding.fit(SMALL, on_step=stop, **how)
    assert not list(tmp_path.iterdir())

    handled, before = [], signal.signal(signal.SIGTERM, lambda *_: handled.append(True))
    try:
        run = mi_coding.train("cpc", tmp_path / "run", on_step=stop, **how | {"log.every_steps": 1000})
    finally:
        signal.signal(signal.SIGTERM, before)
    assert handled == [True]
    assert run.summary["train/steps"] == run.step == saved_step(tmp_path / "run") >= 2


@pytest.mark.parametrize(
    "moment", ["the last step", "evaluate_run", pytest.param("write_report", marks=pytest.mark.soak)]
)
def test_ctrl_c_once_it_is_trained_gives_the_encoder_without_a_report(moment, tmp_path, monkeypatch, capsys):
    stop = lambda *given: signal.raise_signal(signal.SIGINT)  # noqa: E731
    if moment != "the last step":
        monkeypatch.setattr(f"mi_coding.runs.execute.{moment}", stop)
    on_step = lambda step, metrics: step == 4 and moment == "the last step" and stop()  # noqa: E731
    encoder = mi_coding.fit(SMALL, on_step=on_step, workdir=tmp_path / "run", **SHORT)
    assert encoder(SMALL).shape == (40, 4)
    assert encoder.report is None
    assert re.search(r"\nSIGINT: saved step 4; fit\(…, workdir=.*\) continues from it", capsys.readouterr().out)


def test_ctrl_c_before_the_first_step_is_one_line_and_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("mi_coding.runs.execute.train_run", lambda *_, **__: signal.raise_signal(signal.SIGINT))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(KeyboardInterrupt, match="nothing is kept") as raised:
        mi_coding.fit(SMALL, **SHORT)
    assert raised.value.__suppress_context__
    assert not list(tmp_path.iterdir())


def test_a_second_ctrl_c_says_what_is_saved(tmp_path, monkeypatch):
    stop = lambda *_, **__: signal.raise_signal(signal.SIGINT)  # noqa: E731
    monkeypatch.setattr(sys.modules["mi_coding.learn.train"], "execute", stop)
    (tmp_path / "run" / "checkpoints" / "4").mkdir(parents=True)
    with pytest.raises(KeyboardInterrupt, match=r"; step 4 is saved, and train\(…, workdir=.* continues from it"):
        mi_coding.train("simclr", tmp_path / "run")


def test_fit_leaves_no_state_behind_and_runs_in_any_thread():
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    cache, made = jax.config.jax_compilation_cache_dir, []
    thread = threading.Thread(target=lambda: made.append(mi_coding.fit(SMALL, evaluate=False, **SHORT)))
    thread.start()
    thread.join()
    assert made[0](SMALL).shape == (40, 4)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert jax.config.jax_compilation_cache_dir == cache
    folder = made[0]._run.workdir
    assert folder.is_dir()
    made.clear()
    gc.collect()
    assert not folder.exists()  # with the encoder


@pytest.mark.parametrize(
    ("make", "config", "expected"),
    [
        (lambda _: RNG.integers(0, 256, (10, 20, 20, 3)).astype(np.uint8), "simclr_photos", (4, 16, 375)),
        (lambda _: np.zeros((1797, 8, 8)), "simclr", (256, 16, 1052)),
        (lambda _: np.zeros((100_000, 4, 4, 1), np.uint8), "simclr", (256, 16, 1500)),
        (lambda _: np.zeros((2000, 200, 100, 3), np.uint8), "simclr_photos", (256, 96, 1171)),
        (lambda _: [Image.new("RGB", (50, 70), i) for i in range(30)], "simclr_photos", (8, 48, 562)),
        (lambda root: sorted(make_folder(root, count=9, side=40).rglob("*.png")), "simclr_photos", (4, 40, 675)),
    ],
)
def test_config_size_batch_and_steps_suit_the_data(tmp_path, make, config, expected):
    chosen = choose(describe(make(tmp_path)))
    assert "encoder.name" not in chosen.overrides
    batch, side, steps = (chosen.overrides[key] for key in ("batch_size", "data.image_size", "num_steps"))
    assert (chosen.config, batch, side, steps) == (config, *expected)
    assert f"batch_size {batch}" in chosen.line


def test_on_a_cpu_colour_images_are_small_and_soon_done(tmp_path):
    folder = f"folder:{make_folder(tmp_path, count=9, side=40)}"
    for given, side, seen in ((folder, 32, 45_000), (np.zeros((2000, 64, 64, 3), np.uint8), 32, 45_000)):
        chosen = choose(describe(given), on_cpu=True)
        assert (chosen.overrides["encoder.name"], chosen.overrides["data.image_size"]) == ("convnet", side)
        assert chosen.overrides["num_steps"] * chosen.overrides["batch_size"] == pytest.approx(seen, rel=0.01)
        assert chosen.line.endswith("; sized for a CPU")
    chosen = choose(describe(folder), {"encoder.name": "resnet18", "data.image_size": 64}, on_cpu=True)
    assert chosen.overrides["encoder.name"] == "resnet18"
    assert "encoder.widths" not in chosen.overrides
    assert chosen.overrides["num_steps"] == 100  # four times the pixels, a quarter of the steps, at least 100
    digits = choose(describe(np.zeros((1797, 8, 8))), on_cpu=True)
    assert digits == choose(describe(np.zeros((1797, 8, 8))))
    pairs = choose(describe(np.zeros((2000, 5)), np.zeros((2000, 5))))
    assert pairs.overrides["num_steps"] == 312  # forty times what there is


IMAGES, VECTORS = np.zeros((200, 28, 28, 1), np.uint8), np.zeros((200, 5))


@pytest.mark.parametrize(
    ("halves", "typed", "expected"),
    [
        ((VECTORS, VECTORS), {}, {}),
        ((IMAGES, IMAGES), {}, {"encoder.name": "convnet"}),
        ((IMAGES, VECTORS), {}, {"encoder.name": "convnet", "encoder_y.name": "mlp"}),
        ((VECTORS, IMAGES), {}, {"encoder_y.name": "convnet"}),
        ((VECTORS, IMAGES), {"encoder.name": "mlp"}, {"encoder.name": "mlp"}),
    ],
)
def test_halves_of_pairs_that_are_images_get_an_encoder_of_images(halves, typed, expected):
    overrides = choose(describe(*halves), typed).overrides
    assert {key: value for key, value in overrides.items() if key.endswith(".name")} == expected


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("here", "did you mean 'folder:here'"),
        (np.zeros((4, 5, 6, 7)), r"x has shape \(4, 5, 6, 7\); expected images"),
        ([], r"x has shape \(0,\); expected images"),
        ((SMALL, SMALL[:, :3]), r"x is a tuple of 2 whose parts have no common shape; expected fit\(x, y\)"),
        (["no.png"], "1 of 1 paths are not files, such as no.png"),
        ("folde:photos", "did you mean 'folder'"),
    ],
)
def test_what_cannot_be_learnt_from_is_one_line(tmp_path, monkeypatch, given, words):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=words) as error:
        mi_coding.fit(given)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("given", "labels", "words"),
    [
        ("digits", [1, 2], "labels are given with 'digits', which has its own"),
        ([__file__, __file__], [1, 2, 3], r"labels of shape \(3,\) for 2 paths; expected one whole number each"),
        (SMALL, [1, 2, 3], "arrays of different lengths: images 40, labels 3"),
        (SMALL, [0.5] * 40, "expected whole numbers, one per row"),
    ],
)
def test_labels_that_do_not_fit_are_told(given, labels, words):
    with pytest.raises(ValueError, match=words):
        mi_coding.fit(given, labels=labels)


@pytest.fixture
def photos(tmp_path):
    """Paths of 40 small images."""
    paths = [tmp_path / f"{i}.png" for i in range(40)]
    for i, path in enumerate(paths):
        Image.fromarray(np.full((16, 16), i, np.uint8)).save(path)
    return paths


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.linspace(0, 1, 40), "labels is float64.*expected whole numbers, one per row"),
        (["cat", "dog"] * 20, "labels is <U3.*expected whole numbers, one per row"),
        (np.arange(40) - 2, "labels run from -2 to 37; expected classes from 0 on, or -1 where hidden"),
    ],
)
def test_labels_of_paths_are_checked_as_those_of_arrays(photos, labels, words):
    with pytest.raises(ValueError, match=words):
        mi_coding.fit(photos, labels=labels)


def test_images_with_hidden_labels_are_for_training(photos):
    labels = np.array([0, 1] * 10 + [-1] * 20)
    dataset = FromPython(given={"labels": labels}, paths=tuple(photos)).load(ImageSpec())
    assert [int((split.labels < 0).sum()) for split in dataset.splits] == [20, 0, 0]


def test_wrong_options_are_one_line_in_the_words_of_python_and_nothing_is_left(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for wrong, words in (
        ({"seeed": 1}, "^seeed is not an option of any kind; did you mean seed"),
        ({"optimizer.learning_rate": -1.0}, "^optimizer.learning_rate=-1.0; expected a number >"),
        ({"config": "simclrr"}, "is not a file; did you mean --config=simclr"),
    ):
        with pytest.raises(ValueError, match=words):
            mi_coding.fit(SMALL, **wrong)
    with pytest.raises(ValueError, match=r"^data.source='digit' is unknown"):
        mi_coding.train("simclr", tmp_path / "run", **{"data.source": "digit"})
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out == ""


@pytest.mark.soak
def test_train_is_the_command_in_this_process(tmp_path):
    short = SHORT | {"evaluation.num_pairs": 16, "evaluation.most_images": 60, "evaluation.every_steps": 4}
    run = mi_coding.train("simclr", tmp_path / "run", **short)
    assert run.summary["train/steps"] == run.step == 4
    assert run.report.is_file()
    assert {"pairs", "probes"} <= run.figures.keys()
    assert run.figures["probes"].get_axes()
    assert run.encoder(np.zeros((2, 16, 16, 1), np.uint8)).shape == (2, 4)
    assert {"fit", "train", "load_encoder"} <= set(dir(mi_coding))


@pytest.mark.parametrize(
    ("values", "white"),
    [
        (lambda images: images, 0),
        (lambda images: images.astype(np.int64), 255),
        (lambda images: images.astype(np.float32), 255),
        (lambda images: images / 255, 0),
        (lambda images: images.astype(np.uint16) * 16 + 15, 4095),
        (lambda images: images // 16 / 1, 15),
    ],
    ids=["bytes", "whole", "floats to 255", "floats to 1", "12 bits", "floats to 15"],
)
@pytest.mark.parametrize("side", [16, 20])
def test_images_of_any_range_are_scaled_before_they_are_resized(values, white, side):
    images = np.random.default_rng(5).integers(0, 256, (30, side, side, 1), dtype=np.uint8)
    images[:, 0, 0] = 255
    shown, expected = (
        data.load(describe(array).source, image_size=16, channels=1) for array in (values(images), images)
    )
    assert shown.account.facts.get("white", 0) == white
    found = shown.train.examples / (255 if shown.train.examples.dtype == np.uint8 else 1)
    np.testing.assert_allclose(found, expected.train.examples / 255, atol=0.07 if white == 15 else 0.01)


def test_an_encoder_takes_numbers_of_the_range_it_was_fitted_to():
    images = np.random.default_rng(5).integers(0, 17, (30, 16, 16))  # as scikit-learn's digits are
    images[0, 0, 0] = 16
    encoder = mi_coding.fit(images / 1.0, evaluate=False, **SHORT)
    codes = encoder(images / 16)
    for same in (images, images / 1.0, images.astype(np.uint16), list(map(np.asarray, images))):
        np.testing.assert_allclose(encoder(same), codes, atol=1e-5)
    with pytest.raises(ValueError, match="numbers from 0 to 255; expected images from 0 to 16"):
        encoder(np.arange(256).reshape(1, 16, 16))
    with pytest.raises(ValueError, match="floats from -0"):
        encoder(images[..., None] / 17 - 0.5)


def test_an_encoder_of_a_table_takes_its_numbers_in_any_dtype():
    table = RNG.integers(0, 200, (60, 6))
    encoder = mi_coding.fit(table, evaluate=False, **SHORT)
    codes = encoder(table.astype(np.float32))
    for dtype in (np.uint8, np.int64, np.float64):
        np.testing.assert_array_equal(encoder(table.astype(dtype)), codes)
    with pytest.raises(ValueError, match="NaN or infinity in float32; expected finite numbers"):
        encoder(np.full((1, 6), 1e39))
    with pytest.raises(ValueError, match="examples of <U21; expected numbers"):
        encoder(table.astype(str))
