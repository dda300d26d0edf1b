"""Codes that are all alike, few, constant or not finite: every figure and probe is made or left out with its reason."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from commands import ROOT, TINY, fitting
from PIL import Image

from mi_coding import main
from mi_coding.evaluation import EVALUATORS, evaluate, report_sections
from mi_coding.evaluation.base import Evaluator
from mi_coding.evaluation.classifiers import Examples, knn_probe, linear_probe
from mi_coding.evaluation.codes import map_codes, nearest, unit, why_they_tell_nothing
from mi_coding.evaluation.discrete import _ROWS as DISCRETE_ROWS
from mi_coding.evaluation.health import _ROWS as HEALTH_ROWS
from mi_coding.evaluation.health import effective_rank, likely_why, uniformity
from mi_coding.evaluation.heldout import AHEAD_KEYS, SUMMARY_KEYS
from mi_coding.evaluation.map import CodeMap, code_map
from mi_coding.evaluation.probes import FEATURES
from mi_coding.reporting.page import Section, write_plots
from mi_coding.reporting.results import collect_tiles, group_results

RNG = np.random.default_rng(0)
ALIKE = {
    "ones": np.ones((40, 3), np.float32),
    "zeros": np.zeros((40, 3), np.float32),
    "one direction": np.ones((40, 3), np.float32) * RNG.uniform(1, 2, (40, 1)).astype(np.float32),
}
POOR = {
    "two codes": np.repeat(np.eye(3, dtype=np.float32)[:2], 20, axis=0),
    "one component": np.pad(RNG.normal(size=(40, 1)), [(0, 0), (0, 2)]).astype(np.float32),
    "four codes": RNG.normal(size=(4, 3)).astype(np.float32),
    "copies of one and another": np.concatenate([np.ones((39, 3)), -np.ones((1, 3))]).astype(np.float32),
    "codes of one number": RNG.normal(size=(40, 1)).astype(np.float32),
    "lengths beyond the squares of float32": RNG.normal(size=(40, 3)).astype(np.float32) * np.float32(1e25),
    "one code beyond them": np.concatenate([RNG.normal(size=(39, 3)), np.full((1, 3), 1e30)]).astype(np.float32),
}


@pytest.mark.parametrize("name", ALIKE)
def test_codes_that_are_all_alike_make_no_map_and_say_so(name):
    assert why_they_tell_nothing(ALIKE[name]) == "the 40 codes are all alike"
    with pytest.raises(ValueError, match="the 40 codes are all alike"):
        map_codes(ALIKE[name])


def test_codes_that_are_not_finite_or_few_make_no_map():
    codes = RNG.normal(size=(9, 2))
    codes[3, 1] = np.nan
    with pytest.raises(ValueError, match="1 of 9 codes is not finite"):
        map_codes(codes)
    with pytest.raises(ValueError, match="3 codes are too few; a map needs 4"):
        map_codes(np.eye(3))


@pytest.mark.parametrize("name", POOR)
def test_poor_codes_make_a_map_that_is_finite(name):
    assert why_they_tell_nothing(POOR[name]) == ""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        points = map_codes(POOR[name])
    assert np.isfinite(points).all()
    code_map(points, np.arange(len(points)) % 2, title="")


@pytest.mark.parametrize("name", ALIKE | POOR)
def test_every_probe_and_figure_of_health_is_finite_on_poor_codes(name):
    codes = (ALIKE | POOR)[name]
    examples = Examples(codes, np.arange(len(codes)) % 2)
    for probe in (
        linear_probe(examples, examples, examples),
        knn_probe(examples, examples, neighbours=3, temperature=1),
    ):
        assert 0 <= probe.accuracy <= 1
    assert np.isfinite([uniformity(codes), effective_rank(codes)]).all()
    positions, cosines = nearest(codes, codes, count=3)
    assert positions.shape == cosines.shape == (len(codes), 3)
    assert np.isfinite(cosines).all()


def test_directions_do_not_depend_on_the_scale_of_codes():
    codes = np.array([[3.0, 4.0], [0.0, 0.0], [-4.0, 3.0]], np.float32)
    expected = [[0.6, 0.8], [0, 0], [-0.8, 0.6]]
    for scale in (1e-3, 1, 1e25, 8e37):
        np.testing.assert_allclose(unit(codes * np.float32(scale)), expected, rtol=1e-6)


def of_codes(codes, labels=None):
    """A run whose test examples have these codes."""
    return SimpleNamespace(shown_codes=codes, shown=SimpleNamespace(labels=labels), warn=pytest.fail)


@pytest.mark.parametrize(
    ("codes", "why"),
    [(np.ones((9, 2)), "the 9 codes are all alike"), (np.eye(3), "3 codes are too few; a map needs 4")],
)
def test_a_map_that_cannot_be_made_says_why_in_its_place(codes, why):
    (section,) = report_sections((CodeMap(),), of_codes(codes), {})
    assert (section.heading, section.figure) == ("Map of codes", None)
    assert section.text == f"No map: {why}."


def test_the_cause_of_codes_that_are_not_finite_is_not_called_a_collapse():
    images = np.arange(9.0)[:, None]
    assert "not finite" in likely_why(np.full((9, 2), np.nan), images)
    assert "collapsed" in likely_why(np.ones((9, 2)), images)
    assert "all alike, too" in likely_why(np.ones((9, 2)), np.ones((9, 1)))


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), 0, -1.0])
def test_results_are_shown_whichever_value_is_missing_or_not_finite(value):
    prefixes = ("heldout", "heldout_largest", "heldout_within")
    keys = {f"{prefix}/{key}" for prefix in prefixes for key in (*SUMMARY_KEYS, *(f"{k}_ahead_1" for k in AHEAD_KEYS))}
    keys |= {*DISCRETE_ROWS, *HEALTH_ROWS, *(key for pair in FEATURES.values() for key in pair)}
    evaluators = [kind() for kind in EVALUATORS.values()]
    for key in sorted(keys):
        complete = dict.fromkeys(keys, 1.0)
        without = {name: 1.0 for name in keys if name != key}
        for summary in (complete | {key: value}, without, {key: value}):
            assert sum(len(group.rows) for group in group_results(summary, evaluators)) >= 1
            collect_tiles(summary, evaluators)


class FailsEverywhere(Evaluator):
    def evaluate(self, trained):
        raise RuntimeError("no\nanswer")

    def sections(self, trained, summary):
        raise ValueError("no figure")


class CannotBeDrawn(Evaluator):
    def evaluate(self, trained):
        return {"drawn": 1.0}

    def sections(self, trained, summary):
        def fail(*args, **options):
            raise MemoryError("of the figure")

        return [Section("Heading", "Text.", SimpleNamespace(savefig=fail), "figure")]


def test_a_part_that_fails_is_named_in_its_place_and_the_others_stay(tmp_path):
    told = []
    trained, evaluators = SimpleNamespace(warn=told.append), (FailsEverywhere(), CannotBeDrawn())
    assert evaluate(evaluators, trained) == {"drawn": 1.0}
    sections = report_sections(evaluators, trained, {})
    assert [section.heading for section in sections] == ["Fails everywhere", "Cannot be drawn"]
    assert told == [
        "Fails everywhere failed, and is left out: RuntimeError: no answer",
        "Fails everywhere failed, and is left out: ValueError: no figure",
        "Cannot be drawn failed, and is left out: MemoryError: of the figure",
    ]
    write_plots(tmp_path / "plots", sections)
    assert list((tmp_path / "plots").iterdir()) == []


@pytest.mark.soak
def test_a_run_on_black_images_ends_with_a_report_that_says_what_is_wrong(tmp_path, capsys):
    (tmp_path / "black").mkdir()
    for i in range(40):
        Image.new("RGB", (16, 16)).save(tmp_path / "black" / f"{i:02d}.png")
    config, run = str(ROOT / "configs" / "simclr.py"), tmp_path / "run"
    small = fitting(config, *TINY, "--config.num_steps=2", "--config.optimizer.warmup_steps=2")
    source = f"--config.data.source=folder:{tmp_path / 'black'}"
    assert main.main(["main", f"--config={config}", f"--workdir={run}", *small, source]) == 0
    told = capsys.readouterr().err
    line = "codes are all alike: they carry no information; the 8 test examples are all alike, too: look at the data"
    assert line in told
    assert "failed" not in told
    report = (run / "report.html").read_text()
    assert "codes are all alike: they carry no information" in report
    assert "No map: the 8 codes are all alike." in report
