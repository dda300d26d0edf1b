import numpy as np
import pytest

from mi_coding.evaluation.probes import REGULARISERS, Examples, knn_probe, linear_probe


def clusters(n, spread, seed=0, dims=20):
    """Three classes around three corners; `spread` blurs them."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    features = np.eye(dims)[labels] + spread * rng.normal(size=(n, dims))
    return Examples(features.astype(np.float32), labels)


def test_linear_probe_separates_what_a_line_can_and_guesses_noise():
    parts = [clusters(300, 0.1, seed) for seed in range(3)]
    assert linear_probe(*parts).accuracy > 0.99
    noise = [part._replace(labels=np.random.default_rng(9).permutation(part.labels)) for part in parts]
    assert 0.2 < linear_probe(*noise).accuracy < 0.47


def test_regulariser_is_chosen_on_validation_and_not_on_test():
    train, validation, test = clusters(40, 1.0, 0), clusters(400, 1.0, 1), clusters(400, 1.0, 2)
    chosen = linear_probe(train, validation, test).regulariser
    shuffled = test._replace(labels=np.random.default_rng(0).permutation(test.labels))
    assert linear_probe(train, validation, shuffled).regulariser == chosen
    assert chosen in REGULARISERS
    # A validation set that rewards memory of the training noise wants a weaker penalty than one of fresh noise.
    assert linear_probe(train, train, test).regulariser > chosen


def test_features_are_brought_to_one_scale_by_training_examples_only():
    parts = [clusters(200, 0.5, seed) for seed in range(3)]
    factors = np.float32(10.0) ** np.linspace(-3, 3, 20)
    scaled = [part._replace(features=part.features * factors + 7) for part in parts]
    assert linear_probe(*scaled).accuracy == pytest.approx(linear_probe(*parts).accuracy, abs=0.02)
    far = scaled[2]._replace(features=scaled[2].features + 1e4 * factors)  # test features that training never saw
    assert linear_probe(scaled[0], scaled[1], far).accuracy < 0.6


def test_a_constant_feature_does_no_harm():
    parts = [
        part._replace(features=np.pad(part.features, ((0, 0), (0, 1)))) for part in map(clusters, [200] * 3, [0.1] * 3)
    ]
    assert linear_probe(*parts).accuracy > 0.99


def test_neighbours_are_near_by_cosine_and_not_by_distance():
    train = Examples(np.array([[10.0, 1.0], [1.0, 0.5]]), np.array([0, 1]))
    test = Examples(
        np.array([[1.0, 0.1]]), np.array([0])
    )  # the direction of the first, the neighbourhood of the second
    assert knn_probe(train, test, neighbours=1, temperature=0.1) == 1


def test_temperature_weighs_near_neighbours_more():
    angles = np.array([0.0, 0.5, 0.5])
    train = Examples(np.stack([np.cos(angles), np.sin(angles)], 1), np.array([0, 1, 1]))
    test = Examples(np.array([[1.0, 0.0]]), np.array([0]))
    assert knn_probe(train, test, neighbours=3, temperature=0.01) == 1  # weights 1 against 2 · exp(−12)
    assert knn_probe(train, test, neighbours=3, temperature=10.0) == 0  # nearly one vote each


def test_more_neighbours_than_examples_are_all_examples():
    assert knn_probe(clusters(5, 0.1), clusters(20, 0.1, 1), neighbours=200, temperature=0.1) > 0.3
