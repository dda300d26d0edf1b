import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mi_coding
from mi_coding.evaluation.heldout import HeldoutBound, bound_summary, make_heldout_bound, make_pair_codes
from mi_coding.objectives.cpc import CPCOutput
from mi_coding.pairs import PairFunctions, sample_pairs
from mi_coding.pairs.given import Given

RHO = 0.9
INFORMATION = -math.log(1 - RHO**2)  # of two independent coordinates


def correlated(key, image):
    x, noise = jax.random.normal(key, (2, *image.shape))
    return x, RHO * x + math.sqrt(1 - RHO**2) * noise


def log_ratio(params, x, y):
    """The best critic for a correlated Gaussian pair, as an inner product."""
    z_y = jnp.concatenate([RHO * y, -(RHO**2) * y**2 / 2], axis=1) / (1 - RHO**2)
    return mi_coding.cpc(jnp.concatenate([x, jnp.ones_like(x)], axis=1), z_y)


def measure(contrast, batch_size=64, num_pairs=20_000, kind=correlated):
    pair_codes = make_pair_codes(
        partial(sample_pairs, pairs=PairFunctions(kind, None)), lambda params, stats, x, y: (x, y)
    )
    heldout_bound = make_heldout_bound(pair_codes, contrast)
    return heldout_bound(({}, {}), jax.random.key(0), jnp.zeros((10, 2)), batch_size=batch_size, num_pairs=num_pairs)


def test_bound_is_below_the_information_and_near_it_with_the_best_critic():
    bound = measure(log_ratio)
    assert bound.mi_lower_bound <= INFORMATION + 3 * bound.standard_error
    assert bound.mi_lower_bound >= INFORMATION - 0.15  # what N = 64 costs at 1.66 nats
    assert bound.num_candidates == 64
    assert bound.ceiling == pytest.approx(math.log(64))
    assert not bound.near_ceiling


def test_a_bound_is_the_mean_over_batches_with_its_standard_error():
    def pair_codes(variables, key, images, rows):
        return jax.random.normal(key, (len(rows), 2)), rows

    def first_number(params, x, y):
        return CPCOutput(jnp.zeros(()), mi_lower_bound=x[0, 0], accuracy=x[0, 1], num_candidates=jnp.array(8))

    key = jax.random.key(0)
    bound = make_heldout_bound(pair_codes, first_number)(({}, {}), key, None, batch_size=8, num_pairs=100)
    numbers = np.array([jax.random.normal(k, (8, 2))[0] for k in jax.random.split(key, 13)])  # 12 batches are too few
    assert bound.mi_lower_bound == pytest.approx(numbers[:, 0].mean(), rel=1e-5)
    assert bound.accuracy == pytest.approx(numbers[:, 1].mean(), rel=1e-5)
    assert bound.standard_error == pytest.approx(numbers[:, 0].std(ddof=1) / math.sqrt(13), rel=1e-5)


def test_standard_error_shrinks_with_the_number_of_pairs():
    few, many = (measure(log_ratio, num_pairs=n).standard_error for n in (2_000, 32_000))
    assert 2.5 < few / many < 6.5  # a factor of 4 expected from 31 and 500 batches


def test_each_step_ahead_has_its_bound_and_their_mean_its_own_error():
    def each(params, x, y):
        outs = [log_ratio(params, x, part) for part in (y, -y)]
        bounds, accuracies = (
            jnp.stack([getattr(out, name) for out in outs]) for name in ("mi_lower_bound", "accuracy")
        )
        return outs[0]._replace(mi_lower_bound=bounds, accuracy=accuracies)

    both, alone = measure(each, num_pairs=1_000), measure(log_ratio, num_pairs=1_000)
    assert both.ahead[0] == alone
    assert both.ahead[1].mi_lower_bound < -1
    assert both.mi_lower_bound == pytest.approx((alone.mi_lower_bound + both.ahead[1].mi_lower_bound) / 2)
    assert 0 < both.standard_error < both.ahead[1].standard_error
    assert [len(one.ahead) for one in (both, alone, *both.ahead)] == [2, 0, 0, 0]
    names = bound_summary(both, "heldout").keys() - bound_summary(alone, "heldout").keys()
    assert names == {
        f"heldout/{name}_ahead_{k}"
        for name in ("mi_lower_bound_nats", "mi_standard_error_nats", "accuracy")
        for k in (1, 2)
    }


def test_bound_of_mispaired_codes_is_below_zero():
    wrong = measure(lambda params, x, y: log_ratio(params, x, jnp.roll(y, 1, axis=0)))
    assert wrong.mi_lower_bound < -1


def test_codes_are_those_of_their_rows_and_have_one_program():
    sampler, traced = partial(sample_pairs, pairs=PairFunctions(correlated, None)), []

    def encode_pairs(params, stats, x, y):
        traced.append(len(x))
        return 2 * x + params, 3 * y + params

    pair_codes = make_pair_codes(sampler, encode_pairs, at_once=10)
    key, images = jax.random.key(0), jnp.zeros((10, 2))
    x, y = sampler(key, images, jnp.arange(27))
    for rows in (np.arange(27), np.arange(20), np.arange(7, 17), np.arange(3, 7)):
        z_x, z_y = pair_codes((1.0, {}), key, images, rows)
        np.testing.assert_allclose(z_x, 2 * x[rows] + 1, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(z_y, 3 * y[rows] + 1, rtol=1e-5, atol=1e-6)
    assert traced == [10, 4]


def test_a_bound_within_five_percent_of_its_ceiling_is_marked():
    assert HeldoutBound(5.3, 0.01, 256, math.log(256), 0.9).near_ceiling
    assert not HeldoutBound(5.2, 0.01, 256, math.log(256), 0.9).near_ceiling


def test_halves_are_coded_each_by_its_own_encoder_and_stay_together():
    x = jnp.arange(20.0)[:, None]
    y = jnp.stack([10 * x[:, 0], 20 * x[:, 0], 30 * x[:, 0]], 1)  # of another shape
    pair_codes = make_pair_codes(Given().sample, lambda params, stats, x, y: (params["x"] * x, params["y"] * y[:, :1]))
    z_x, z_y = pair_codes(({"x": 3.0, "y": 7.0}, {}), jax.random.key(0), (x, y), jnp.arange(600))
    np.testing.assert_allclose(z_y / 70, z_x / 3, rtol=1e-6)
    assert len(np.unique(z_x)) == 20
