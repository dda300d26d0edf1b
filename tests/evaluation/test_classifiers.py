import numpy as np
import pytest
from jax.scipy.linalg import solve_triangular
from sklearn.linear_model import LogisticRegression

from mi_coding.evaluation.classifiers import REGULARISERS, Examples, knn_probe, linear_probe, logistic_path


def clusters(n, spread, seed=0, dims=20):
    """Three classes around three corners; `spread` blurs them."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    features = np.eye(dims)[labels] + spread * rng.normal(size=(n, dims))
    return Examples(features.astype(np.float32), labels)


def lopsided(n, classes=7, dims=12, seed=0):
    """Classes of very different size that overlap, in features that depend on each other and have tails."""
    rng = np.random.default_rng(seed)
    labels = np.minimum(rng.geometric(0.4, n) - 1, classes - 1)
    features = rng.standard_t(4, (n, dims)) @ rng.normal(size=(dims, dims)) + rng.normal(size=(9, dims))[labels]
    return Examples(((features - features.mean(0)) / features.std(0)).astype(np.float32), labels)


def objective(weights, bias, examples, regulariser):
    """C · Σ cross-entropy + ½‖weights‖² in float64."""
    logits = examples.features.astype(np.float64) @ np.asarray(weights, np.float64).T + np.asarray(bias, np.float64)
    logits -= logits.max(1, keepdims=True)
    likelihood = logits[np.arange(len(logits)), examples.labels] - np.log(np.exp(logits).sum(1))
    return -regulariser * likelihood.sum() + 0.5 * np.sum(np.asarray(weights, np.float64) ** 2)


@pytest.fixture(scope="module")
def fits():
    """A path of three on lopsided examples, each with scikit-learn's converged fit of them in float64."""
    examples, regularisers = lopsided(500), (0.003, 0.1, 10.0)
    path = logistic_path(*examples, num_classes=7, regularisers=regularisers, tolerance=1e-11)
    reference = [
        LogisticRegression(C=c, tol=1e-10, max_iter=10_000).fit(examples.features.astype(np.float64), examples.labels)
        for c in regularisers
    ]
    return examples, list(zip(regularisers, path, reference, strict=True))


def test_a_linear_fit_reaches_the_optimum_that_scikit_learn_finds(fits):
    examples, triples = fits
    for c, fit, reference in triples:
        best = objective(reference.coef_, reference.intercept_, examples, c)
        assert objective(*fit, examples, c) == pytest.approx(best, rel=1e-6)
        np.testing.assert_allclose(fit.weights, reference.coef_, atol=2e-3 * np.abs(reference.coef_).max())
        # The bias is free of a penalty, so only differences between classes have a meaning.
        np.testing.assert_allclose(
            fit.bias - fit.bias.mean(), reference.intercept_ - reference.intercept_.mean(), atol=5e-3
        )


def test_the_tolerance_in_use_costs_little_of_the_objective(fits):
    examples, triples = fits
    path = logistic_path(*examples, num_classes=7, regularisers=[c for c, _, _ in triples])
    for (c, exact, _), fast in zip(triples, path, strict=True):
        assert objective(*fast, examples, c) < 1.005 * objective(*exact, examples, c)


def test_a_fit_does_not_depend_on_where_the_path_began(fits):
    examples, triples = fits
    for c, along, _ in triples:
        (alone,) = logistic_path(*examples, num_classes=7, regularisers=(c,), tolerance=1e-11)
        np.testing.assert_allclose(alone.weights, along.weights, atol=2e-3 * np.abs(along.weights).max())


def test_a_path_is_compiled_once(monkeypatch):
    traces = []
    traced = lambda *args, **kwargs: traces.append(1) or solve_triangular(*args, **kwargs)  # noqa: E731
    monkeypatch.setattr("mi_coding.evaluation.classifiers.solve_triangular", traced)
    list(logistic_path(*lopsided(61), num_classes=7))
    assert len(traces) == 1


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


def test_weaker_penalties_are_fitted_until_one_is_clearly_worse(monkeypatch):
    """A hundred features for 300 examples: what a weak penalty learns besides is noise."""
    fitted = []

    def path(*args, **kwargs):
        for fit in logistic_path(*args, **kwargs):
            fitted.append(fit)
            yield fit

    monkeypatch.setattr("mi_coding.evaluation.classifiers.logistic_path", path)
    train, validation = clusters(300, 1.0, 0, dims=100), clusters(4000, 1.0, 1, dims=100)
    found = linear_probe(train, validation, validation)
    assert found.regulariser == 0.01
    assert len(fitted) == 5  # C = 0.01, 0.1, 1.0 score 0.514, 0.508, 0.489: a standard error is 0.008
    few = Examples(*(part[:15] for part in validation))  # of which a standard error is 0.13
    fitted.clear()
    linear_probe(train, few, validation)
    assert len(fitted) == len(REGULARISERS)


def test_of_equals_the_stronger_penalty_is_chosen():
    parts = [clusters(4000, 0.01, seed) for seed in range(3)]  # every penalty separates so many
    assert linear_probe(*parts).regulariser == min(REGULARISERS)


def test_labels_are_any_integers_and_a_class_without_training_is_wrong():
    parts = [clusters(300, 0.1, seed) for seed in range(3)]
    renamed = [part._replace(labels=np.array([900, -7, 31])[part.labels]) for part in parts]
    assert linear_probe(*renamed)[:2] == linear_probe(*parts)[:2] == (1, 1)
    assert knn_probe(renamed[0], renamed[2], neighbours=5, temperature=0.1)[:2] == (1, 1)
    seen = parts[0].labels < 2
    fewer = Examples(parts[0].features[seen], parts[0].labels[seen])
    known = np.mean(parts[2].labels < 2)
    assert linear_probe(fewer, *parts[1:])[:2] == pytest.approx((known, known))
    assert knn_probe(fewer, parts[2], neighbours=5, temperature=0.1)[:2] == pytest.approx((known, known))


def test_one_class_in_training_is_always_the_answer():
    train, test = clusters(30, 0.1), clusters(90, 0.1, 1)
    train = train._replace(labels=np.full(30, 2))
    assert linear_probe(train, test, test).accuracy == pytest.approx(np.mean(test.labels == 2))


def test_top5_counts_the_five_highest_logits():
    train, validation, test = (lopsided(400, classes=9, seed=0) for _ in range(3))
    probe = linear_probe(train, validation, test)
    reference = LogisticRegression(C=probe.regulariser, max_iter=2000).fit(train.features, train.labels)
    five = np.argsort(-reference.decision_function(test.features), axis=1)[:, :5]
    assert probe.top5_accuracy == pytest.approx(np.mean((five == test.labels[:, None]).any(1)), abs=0.01)
    assert probe.accuracy == pytest.approx(reference.score(test.features, test.labels), abs=0.01)
    assert probe.accuracy + 0.05 < probe.top5_accuracy < 1


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


def test_collapsed_features_are_probed_without_a_nan():
    """All of 100 features are one: the second moments have rank 1, far from what float32 can factor by itself."""
    parts = [part._replace(features=np.repeat(part.features[:, :1], 100, axis=1)) for part in [clusters(200, 0.01)] * 3]
    (fit,) = logistic_path(parts[0].features - 0.5, parts[0].labels, num_classes=3, regularisers=(10.0,))
    assert np.isfinite(fit.weights).all()
    # One feature finds class 0; of the other two it knows nothing.
    larger = max(np.mean(parts[0].labels == k) for k in (1, 2))
    assert linear_probe(*parts).accuracy == pytest.approx(np.mean(parts[0].labels == 0) + larger)
    zeros = [part._replace(features=np.zeros((200, 100), np.float32)) for part in parts]
    assert linear_probe(*zeros).accuracy == pytest.approx(np.bincount(parts[0].labels).max() / 200)


def knn_by_loops(train, test, neighbours, temperature):
    """Ranked classes of each query, in float64."""
    ranked = []
    for query in test.features.astype(np.float64):
        cosines = [x @ query / np.linalg.norm(x) / np.linalg.norm(query) for x in train.features.astype(np.float64)]
        votes = dict.fromkeys(sorted(set(train.labels.tolist())), 0.0)
        for i in sorted(range(len(cosines)), key=lambda i: -cosines[i])[:neighbours]:
            votes[train.labels[i]] += np.exp(cosines[i] / temperature)
        ranked.append(sorted(votes, key=lambda label: -votes[label]))
    return ranked


@pytest.mark.parametrize(("neighbours", "temperature"), [(1, 0.1), (20, 0.07), (20, 5.0), (500, 0.5)])
def test_votes_are_those_of_a_double_loop(neighbours, temperature):
    train, test = lopsided(160), lopsided(90, seed=1)
    ranked = knn_by_loops(train, test, neighbours, temperature)
    first = np.mean([ranks[0] == label for ranks, label in zip(ranked, test.labels, strict=True)])
    five = np.mean([label in ranks[:5] for ranks, label in zip(ranked, test.labels, strict=True)])
    assert knn_probe(train, test, neighbours=neighbours, temperature=temperature)[:2] == pytest.approx((first, five))
    assert first < five <= 1


def test_blocks_of_queries_change_no_vote(monkeypatch):
    train, test = lopsided(160), lopsided(90, seed=1)
    whole = knn_probe(train, test, neighbours=20, temperature=0.1)
    monkeypatch.setattr("mi_coding.evaluation.classifiers._VOTES_AT_ONCE", 7 * 13)
    monkeypatch.setattr("mi_coding.evaluation.codes.COSINES_AT_ONCE", 160 * 11)
    assert knn_probe(train, test, neighbours=20, temperature=0.1) == whole


def test_a_tiny_temperature_leaves_the_vote_to_the_nearest():
    train, test = lopsided(160), lopsided(90, seed=1)
    alone = knn_probe(train, test, neighbours=1, temperature=1.0).accuracy
    assert knn_probe(train, test, neighbours=50, temperature=1e-30).accuracy == alone


def test_neighbours_are_near_by_cosine_and_not_by_distance():
    train = Examples(np.array([[10.0, 1.0], [1.0, 0.5]]), np.array([0, 1]))
    # The direction of the first, the neighbourhood of the second.
    test = Examples(np.array([[1.0, 0.1]]), np.array([0]))
    assert knn_probe(train, test, neighbours=1, temperature=0.1).accuracy == 1


def test_temperature_weighs_near_neighbours_more():
    angles = np.array([0.0, 0.5, 0.5])
    train = Examples(np.stack([np.cos(angles), np.sin(angles)], 1), np.array([0, 1, 1]))
    test = Examples(np.array([[1.0, 0.0]]), np.array([0]))
    assert knn_probe(train, test, neighbours=3, temperature=0.01).accuracy == 1  # weights 1 against 2 · exp(−12)
    assert knn_probe(train, test, neighbours=3, temperature=10.0).accuracy == 0  # nearly one vote each


def test_of_equal_votes_the_smaller_label_wins():
    train = Examples(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([5, 2]))
    query = np.array([[1.0, 0.0]])
    assert knn_probe(train, Examples(query, np.array([2])), neighbours=2, temperature=0.1).accuracy == 1
    assert knn_probe(train, Examples(query, np.array([5])), neighbours=2, temperature=0.1).accuracy == 0
    assert knn_probe(train, Examples(query, np.array([5])), neighbours=1, temperature=0.1).accuracy == 1  # the first


def test_more_neighbours_than_examples_are_all_examples():
    assert knn_probe(clusters(5, 0.1), clusters(20, 0.1, 1), neighbours=200, temperature=0.1).accuracy > 0.3


def test_examples_that_cannot_be_probed_are_named():
    good = clusters(20, 0.1)
    narrow, unlabelled = good._replace(features=good.features[:, :3]), good._replace(labels=good.labels[:5])
    sick = good._replace(features=np.where(good.features > 0.5, np.nan, good.features))
    empty = Examples(good.features[:0], good.labels[:0])
    with pytest.raises(ValueError, match=r"test: features \(20, 3\) .* expected \(n, 20\)"):
        linear_probe(good, good, narrow)
    with pytest.raises(ValueError, match=r"validation: .* labels \(5,\)"):
        linear_probe(good, unlabelled, good)
    with pytest.raises(ValueError, match=r"train: .* n at least 1"):
        linear_probe(empty, good, good)
    with pytest.raises(ValueError, match="train: features must be finite"):
        knn_probe(sick, good, neighbours=3, temperature=0.1)


@pytest.mark.parametrize(("neighbours", "temperature"), [(0, 0.1), (3, 0.0), (3, float("nan"))])
def test_a_vote_without_voters_or_temperature_is_refused(neighbours, temperature):
    with pytest.raises(ValueError, match=f"neighbours {neighbours} must be at least 1 and temperature"):
        knn_probe(clusters(5, 0.1), clusters(5, 0.1), neighbours=neighbours, temperature=temperature)
