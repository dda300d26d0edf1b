"""All evaluations of one run: which are chosen, what they find, what the report shows of it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi_coding.data import Dataset, Split, load
from mi_coding.encoders import ENCODERS
from mi_coding.evaluation import EVALUATORS, Trained, chosen, evaluate, report_sections, validation
from mi_coding.evaluation.base import LabelledViews, subsample
from mi_coding.evaluation.bound import BOUND, HeldoutBounds
from mi_coding.evaluation.discrete import DiscreteCodes
from mi_coding.evaluation.health import Health
from mi_coding.evaluation.probes import LabelProbes
from mi_coding.methods import METHODS, Parts
from mi_coding.methods.cotraining import CodeOptions
from mi_coding.options import options_of
from mi_coding.pairs import PAIRS
from mi_coding.reporting.results import collect_tiles, group_results

PURPOSES = ("init", "train", "validation", "test", "probe", "report")


def key(purpose):
    return jax.random.fold_in(jax.random.key(0), PURPOSES.index(purpose))


def trained_on_digits(method, pairs, *, labels=True, batch_size=16):
    """An untrained method on a few digits, as an evaluator sees it."""
    digits = load("digits")
    splits = (subsample(split, 60) for split in digits.splits)
    dataset = Dataset("digits", *(split if labels else split._replace(labels=None) for split in splits))
    encoder, num_classes = ENCODERS["mlp"](widths=(8,), feature_dim=8), 10 if labels else 0
    online_classes = num_classes if method.probe_learning_rate or method.learns_labels else 0
    method = method.made_of(Parts(encoder, pairs, batch_size, 1, 10, (8, 8, 1), online_classes))
    example = pairs.streamed_batch(jax.random.key(0), jnp.asarray(dataset.train.examples[:2]), jnp.arange(2))
    init = jax.jit(lambda: method.init(key("init"), *example))
    return Trained(method, pairs, dataset, init(), init, key, [].append, batch_size, 10, num_classes, {})


def few_pairs(kinds):
    """Evaluators on few pairs and few views."""
    own = {
        HeldoutBounds: HeldoutBounds(num_pairs=32),
        DiscreteCodes: DiscreteCodes(num_pairs=64, labelled=LabelledViews(most_images=40)),
        LabelProbes: LabelProbes(labelled=LabelledViews(most_images=40), knn_neighbours=3),
        Health: Health(num_pairs=32),
    }
    return [own.get(kind) or kind() for kind in kinds]


CASES = {
    "cpc": (
        lambda: METHODS["cpc"](code_dim=4),
        lambda: PAIRS["frames"](window=10),
        {"bound", "probes", "pairs", "codes", "neighbours"},
    ),
    "cotraining": (
        lambda: METHODS["cotraining"](code=CodeOptions(num_heads=2, num_values=3)),
        lambda: PAIRS["frames"](window=10),
        {"information", "plane", "by_code", "probes", "pairs", "codes", "neighbours"},
    ),
    "supervised": (
        lambda: METHODS["supervised"](),
        lambda: PAIRS["frames"](window=10),
        {"probes", "pairs", "codes", "neighbours"},
    ),
    "cpc_ahead": (
        lambda: METHODS["cpc_ahead"](num_ahead=2, code_dim=4, context_dim=6),
        lambda: PAIRS["sequences"](),
        {"bound", "bound_ahead", "probes", "pairs", "codes", "neighbours"},
    ),
}


@pytest.fixture(scope="module", params=CASES)
def case(request):
    method, pairs, names = CASES[request.param]
    trained = trained_on_digits(method(), pairs())
    evaluators = few_pairs(chosen(trained.method, trained.pairs))
    return trained, evaluators, evaluate(evaluators, trained), names


def test_every_entry_of_a_summary_has_a_row_of_its_evaluator(case):
    _, evaluators, summary, _ = case
    groups = group_results(summary, evaluators)
    assert "other results" not in [group.title for group in groups]
    assert all(sum(key in group.keys for group in groups) == 1 for key in summary)
    assert np.isfinite([value for value in summary.values()]).all()
    assert collect_tiles(summary, evaluators)


def test_a_report_shows_the_figures_of_every_evaluator(case):
    trained, evaluators, summary, names = case
    sections = report_sections(evaluators, trained, summary)
    assert {section.name for section in sections} == names
    assert len(sections) == len(names)


def test_the_same_evaluation_again_finds_the_same(case):
    trained, evaluators, summary, _ = case
    assert evaluate(evaluators, dataclasses.replace(trained)) == summary


def test_validation_writes_held_out_figures_and_the_online_probe(case):
    trained, evaluators, summary, _ = case
    scalars = validation(evaluators, trained)(3, trained.variables)
    assert all(name.startswith("validation/") for name in scalars)
    assert np.isfinite(list(scalars.values())).all()
    assert ("validation/mi_nats" in scalars) == ("heldout/mi_nats" in summary)
    assert (BOUND in scalars) == ("heldout/mi_lower_bound_nats" in summary)
    assert ("validation/online_probe_accuracy" in scalars) == trained.method.uses_labels


def test_without_labels_there_are_no_probes_and_all_else():
    trained = trained_on_digits(METHODS["cpc"](code_dim=4), PAIRS["frames"](window=10), labels=False)
    evaluators = few_pairs(chosen(trained.method, trained.pairs))
    summary = evaluate(evaluators, trained)
    assert not any(name.startswith("probe/") for name in summary)
    assert {"heldout/mi_lower_bound_nats", "health/alignment"} <= summary.keys()
    assert "probes" not in [section.name for section in report_sections(evaluators, trained, summary)]


def test_every_evaluation_that_a_method_or_a_kind_of_pairs_names_exists():
    named = {name for kind in (*METHODS.values(), *PAIRS.values()) for name in kind.evaluations}
    assert named == {name for name, kind in EVALUATORS.items() if not kind.for_every_method}


def test_evaluations_that_share_an_option_agree_on_it():
    found = {}
    for kind in EVALUATORS.values():
        for spec in options_of(kind):
            found.setdefault(spec.key, set()).add((spec.default, spec.type_name, spec.meaning))
    assert {name: len(specs) for name, specs in found.items()} == dict.fromkeys(
        [
            "evaluation.num_pairs",
            "evaluation.views",
            "evaluation.most_images",
            "evaluation.knn_neighbours",
            "evaluation.knn_temperature",
            "evaluation.few_labels_scratch",
        ],
        1,
    )


def test_a_bound_near_its_ceiling_and_overfitting_are_warned_of(monkeypatch):
    monkeypatch.setattr("mi_coding.evaluation.heldout.TOO_NEAR", 2.0)  # an untrained encoder does not come near
    trained, warnings = trained_on_digits(METHODS["cpc"](code_dim=4), PAIRS["frames"](window=10)), []
    curves = {BOUND: (np.array([1, 2]), np.array([2.0, 1.0]))}
    HeldoutBounds(num_pairs=32).evaluate(dataclasses.replace(trained, warn=warnings.append, curves=curves))
    assert "memorised (overfitting)" in warnings[0]
    assert [warning.split("ceiling ")[1].split(" =")[0] for warning in warnings[1:]] == ["ln 16", "ln 60"]


def test_a_subsample_is_the_same_every_time_and_keeps_the_order():
    split = Split(np.arange(50, dtype=np.float32)[:, None], np.arange(50))
    once, again = subsample(split, 20), subsample(split, 20)
    np.testing.assert_array_equal(once.labels, again.labels)
    assert (np.diff(once.labels) > 0).all()
    assert len(subsample(split, 70).labels) == 50


def test_labels_are_read_as_names_of_classes_which_are_cut_where_they_are_long():
    trained = trained_on_digits(METHODS["cpc"](code_dim=4), PAIRS["frames"](window=10))
    named = dataclasses.replace(trained, dataset=trained.dataset._replace(class_names=["ant", "hippopotamus"]))
    labels = np.array([[0, 1], [-1, 0]])
    assert named.label_names(labels, longest=6).tolist() == [["ant", "hippo…"], ["unkno…", "ant"]]
    unnamed = dataclasses.replace(trained, dataset=trained.dataset._replace(class_names=None))
    assert unnamed.label_names(labels).tolist() == [["0", "1"], ["unknown", "0"]]


def test_copies_of_training_images_are_shown_beside_their_originals():
    trained = trained_on_digits(METHODS["cpc"](code_dim=4), PAIRS["frames"](window=10))
    assert EVALUATORS["copies"]().sections(trained, {}) == []
    dataset = trained.dataset._replace(copies={"test": [(3, 7), (5, 0)], "validation": [(1, 1)]})
    (section,) = EVALUATORS["copies"]().sections(dataclasses.replace(trained, dataset=dataset), {})
    assert section.text.startswith("2 of 60 test images are copies or near-copies of training images")
    images = [image.get_array() for image in section.figure.axes[0].images]
    expected = [*dataset.test.examples[[3, 5]], *dataset.train.examples[[7, 0]]]
    for shown, example in zip(images, expected, strict=True):
        np.testing.assert_allclose(shown[..., :1], example, atol=1e-6)
