"""Statistics of discrete codes, against loops, closed forms and populations whose information is known."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from mi_coding.evaluation import code_statistics
from mi_coding.objectives import codes


def lopsided_codes(seed=0, n=400, shape=3, values=4, first=0.4):
    rng = np.random.default_rng(seed)
    z_x = np.minimum(rng.geometric(first, size=(n, shape)) - 1, values - 1)
    z_y = np.where(rng.random(z_x.shape) < 0.3, rng.integers(0, values, z_x.shape), z_x)
    return z_x, z_y


def test_information_is_the_difference_of_two_mean_code_lengths():
    z_x, z_y = lopsided_codes()
    prior, conditional = codes.markov(3, 4, order=1), codes.independent(3, 4, conditional=True)
    rng = np.random.default_rng(1)
    psi, phi = (rng.normal(size=shape) for shape in ((3, 4, 4), (3, 4, 1, 4)))
    phi = phi.reshape(3, 4, 4)
    log = lambda t: t - np.log(np.exp(t).sum(-1, keepdims=True))  # noqa: E731
    own = [-sum(log(psi)[m, z[m - 1] if m else 0, z[m]] for m in range(3)) for z in z_x]
    told = [-sum(log(phi)[m, t[m], z[m]] for m in range(3)) for z, t in zip(z_x, z_y, strict=True)]
    found = code_statistics.information(prior, conditional, jnp.float32(psi), jnp.float32(phi), z_x, z_y)
    gaps = np.subtract(own, told)
    assert found.entropy == pytest.approx(np.mean(own), rel=1e-5)
    assert found.conditional_entropy == pytest.approx(np.mean(told), rel=1e-5)
    assert found.mi == pytest.approx(gaps.mean(), abs=1e-5)
    assert found.standard_error == pytest.approx(gaps.std(ddof=1) / 20, rel=1e-4)


def test_plug_in_information_is_that_of_the_contingency_table():
    z_x, z_y = lopsided_codes(2)
    names = lambda z: z @ [16, 4, 1]  # noqa: E731
    assert code_statistics.plug_in_mi(z_x, z_y) == pytest.approx(mutual_info_score(names(z_x), names(z_y)), rel=1e-9)


def loop_precision(queries, query_labels, known, known_labels, count):
    """The mean over draws of an order among equals, exactly: each share of a level is taken as likely."""
    found = []
    for z, label in zip(queries, query_labels, strict=True):
        distances, left, right = (z != known).sum(1), count, 0.0
        for level in range(known.shape[1] + 1):
            at = np.flatnonzero(distances == level)
            take = min(left, len(at))
            right += take * np.mean(known_labels[at] == label) if len(at) else 0
            left -= take
        found.append(right / count)
    return np.mean(found)


@pytest.mark.parametrize("count", [1, 7, 60])
def test_precision_by_hamming_distance_is_that_of_a_loop(count, monkeypatch):
    monkeypatch.setattr(code_statistics, "_DISTANCES_AT_ONCE", 5 * 90)  # several blocks of queries
    rng = np.random.default_rng(0)
    known, labels = rng.integers(0, 2, (90, 6)), rng.integers(0, 3, 90)
    queries, own = known[:23] ^ (rng.random((23, 6)) < 0.2), labels[:23]
    ours = code_statistics.hamming_precision(queries, own, known, labels, count=count)
    assert ours == pytest.approx(loop_precision(queries, own, known, labels, count), rel=1e-9)


def test_precision_refuses_more_neighbours_than_there_are():
    z = np.zeros((3, 2), int)
    with pytest.raises(ValueError, match="3 known codes are fewer than 100 neighbours"):
        code_statistics.hamming_precision(z, z[:, 0], z, z[:, 0])


@pytest.mark.parametrize("clusters", [2, 4, 5])
def test_clustering_accuracy_is_the_best_of_all_matchings(clusters):
    rng = np.random.default_rng(clusters)
    z, labels = 3 * rng.integers(0, clusters, 60), rng.integers(0, 4, 60) + 7
    best = 0.0
    for names in itertools.permutations(range(max(clusters, 4)), clusters):  # cluster → label, or none
        best = max(best, np.mean([names[c // 3] == label - 7 for c, label in zip(z, labels, strict=True)]))
    assert code_statistics.clustering_accuracy(z, labels) == pytest.approx(best)


def test_what_an_independent_prior_cannot_express_is_no_lag():
    z = np.repeat(np.array([[0], [1], [1]] * 200), 3, axis=1)  # one bit three times: 1.9 nats by the marginals
    prior, shares = codes.independent(3, 2), jnp.log(jnp.float32([[[1 / 3, 2 / 3]]] * 3))
    lag = code_statistics.prior_lag(prior, shares, sure_log_q(z, 2), jax.random.key(0))
    assert lag.entropy == pytest.approx(3 * 0.6365, rel=1e-3)
    assert lag.nats == pytest.approx(0, abs=1e-3)


def sure_log_q(z, values):
    return jnp.where(jax.nn.one_hot(jnp.asarray(z), values) > 0, 0.0, -1e9)


@pytest.mark.parametrize(("symbols", "values"), [(1, 4), (9, 2)], ids=["listed", "fitted afresh"])
def test_a_prior_that_lags_behind_is_seen_and_a_good_one_is_not(symbols, values):
    z, _ = lopsided_codes(3, n=1000, shape=symbols, values=values, first=0.7)
    prior = codes.independent(symbols, values)
    shares = np.stack([(z == k).mean(0) for k in range(values)], axis=-1)[:, None]
    exact = -np.sum(shares * np.log(shares))
    log_q = sure_log_q(z, values)
    good = code_statistics.prior_lag(prior, jnp.log(jnp.float32(shares)), log_q, jax.random.key(0))
    assert good.entropy == pytest.approx(exact, rel=1e-3)
    assert not good.too_far
    assert abs(good.nats) < 0.01
    frozen = code_statistics.prior_lag(prior, prior.init(jax.random.key(0)), log_q, jax.random.key(0))
    assert frozen.nats == pytest.approx(symbols * math.log(values) - exact, rel=0.03)
    assert frozen.too_far
