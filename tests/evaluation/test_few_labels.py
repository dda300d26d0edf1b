import numpy as np
import pytest
from test_evaluators import trained_on_digits

from mi_coding.data import Split
from mi_coding.evaluation import few_labels
from mi_coding.evaluation.base import labelled_sample
from mi_coding.evaluation.classifiers import Examples, knn_probe
from mi_coding.evaluation.few_labels import SCRATCH, FewLabels, few_labels_chart
from mi_coding.evaluation.probes import TRAINED
from mi_coding.methods import METHODS
from mi_coding.pairs import PAIRS


def blobs(count, seed, distance=6.0):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    return Examples((distance * np.eye(3)[labels] + rng.normal(size=(count, 3))).astype(np.float32), labels)


def test_classes_far_apart_need_few_labels_and_labels_that_lie_tell_nothing():
    pool, test = few_labels._standardised(blobs(300, 0), blobs(300, 1))
    rows = few_labels._draw(pool.labels, 5, seed=0)
    assert few_labels._ridge_accuracies(pool, test, [rows])[0] > 0.98
    shuffled = Examples(pool.features, np.random.default_rng(2).permutation(pool.labels))
    draws = [few_labels._draw(shuffled.labels, 50, seed) for seed in range(5)]
    accuracies = few_labels._ridge_accuracies(shuffled, test, draws)
    assert abs(np.mean(accuracies) - 1 / 3) < 0.12


def test_draws_have_as_many_of_each_class_and_differ_by_seed():
    labels = np.repeat([4, 7], [20, 50])
    draws = [few_labels._draw(labels, 10, seed) for seed in (0, 1)]
    assert [np.unique(labels[rows], return_counts=True)[1].tolist() for rows in draws] == [[10, 10]] * 2
    assert draws[0].tolist() != draws[1].tolist()


@pytest.fixture(scope="module")
def found():
    views = PAIRS["augmentations"](preset="gray28", size=8, num_small=2, small_size=4)
    trained = trained_on_digits(METHODS["nt_xent"](code_dim=4), views)
    return trained, FewLabels(scratch=2).evaluate(trained)


def test_numbers_of_labels_that_some_class_lacks_are_left_out(found):
    _, summary = found
    assert {key.split("_")[-2] for key in summary if key.endswith("accuracy")} == {"1"}  # of 60 digits
    assert summary["few_labels/scratch_draws"] == 2
    assert 0 <= summary["few_labels/scratch_1_accuracy"] <= 1


def test_the_table_shows_every_kind_with_its_deviation(found):
    (group,) = FewLabels().groups(found[1])
    assert [row[0] for row in group.rows] == ["trained encoder", "untrained encoder", "raw input", SCRATCH]
    assert group.columns == ("features", "1 per class")
    assert "±" in group.rows[0][1]
    assert "2 of these draws" in group.note
    assert FewLabels().groups({}) == []
    assert FewLabels().sections(found[0], found[1]) == []  # of one point


def test_hidden_labels_are_not_drawn():
    split = Split(np.arange(4)[:, None], np.array([1, -1, 0, -1]))
    assert labelled_sample(split, 4).labels.tolist() == [1, 0]
    assert len(labelled_sample(split, 1).labels) == 1


def test_an_encoder_that_has_learnt_from_labels_is_not_judged_with_few():
    method = METHODS["supcon"]("supcon", code_dim=4)
    assert FewLabels().evaluate(trained_on_digits(method, PAIRS["augmentations"](preset="gray28", size=8))) == {}


def test_the_chart_has_a_line_for_each_kind():
    figure = few_labels_chart({TRAINED: {1: (0.5, 0.1), 10: (0.8, 0.02)}, SCRATCH: {1: (0.3, 0.0), 10: (0.6, 0.0)}})
    assert len(figure.axes[0].lines) >= 2


@pytest.mark.parametrize("labels", [[5, 6, 7], [-9, 2, 0], [0, 1, 2]])
def test_a_class_without_a_vote_ranks_after_all_that_have_one(labels):
    first, second, none = labels
    train = Examples(np.array([[1, 0], [0, 1], [-1, 0]], np.float32), np.array([first, second, none]))
    test = Examples(np.array([[1, 0.01]], np.float32), np.array([second]))
    top = [knn_probe(train, test, neighbours=2, temperature=t).top5_accuracy for t in (0.07, 1e-4)]
    assert top == [1.0, 1.0]
    many = Examples(np.eye(8, dtype=np.float32), np.arange(8))
    voted = Examples(np.array([[1, 0, 0, 0, 0, 0, 0, 0.5]], np.float32), np.array([7]))
    assert knn_probe(many, voted, neighbours=2, temperature=1e-4).top5_accuracy == 1.0  # its vote underflows
