"""Distractors drawn at random: the draws themselves, and the loss over them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contrast_oracle import CASES, oracle
from contrast_program import AXIS
from jax.sharding import PartitionSpec as P

import mi_coding
from mi_coding.contrast.sampled import draw

PAIRS, KEY = 24, jax.random.key(7)


def codes(seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(PAIRS, 3)).astype(np.float32)
    return x, (x + rng.exponential(size=x.shape)).astype(np.float32)


def on_devices(devices, x, y, **options):
    """Loss, accuracy and gradients of codes and temperature on so many devices."""

    def run(x, y, temperature):
        def loss(x, y, temperature):
            out = mi_coding.cpc(x, y, temperature=temperature, axis_name=AXIS, key=KEY, **options)
            return out.loss, out.accuracy

        values, (d_x, d_y, d_t) = jax.value_and_grad(loss, (0, 1, 2), has_aux=True)(x, y, temperature)
        return (values, jax.lax.pmean(d_t, AXIS)), (d_x, d_y)

    mesh = jax.make_mesh((devices,), (AXIS,), axis_types=(jax.sharding.AxisType.Auto,))
    specs = {"in_specs": (P(AXIS), P(AXIS), P()), "out_specs": (P(), P(AXIS))}
    return jax.device_get(jax.jit(jax.shard_map(run, mesh=mesh, **specs))(x, y, 0.8))


def assert_same(found, expected, rtol=2e-5):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=2e-6), found, expected)


def test_draws_are_without_replacement_and_equally_likely():
    draws = np.asarray(jax.jit(jax.vmap(lambda key: draw(key, 7, 3)))(jax.random.split(KEY, 7000)))
    assert all(len(set(row)) == 3 for row in draws)
    sets, counts = np.unique(np.sort(draws, axis=1), axis=0, return_counts=True)
    assert len(sets) == 35  # 7 choose 3
    # Each set is expected 200 times, with a standard error of 14.
    assert np.all(np.abs(counts - 200) < 4.5 * 14)


def test_all_others_drawn_is_the_loss_over_all_others():
    x, y = codes()
    (values, d_t), gradients = on_devices(4, x, y, num_distractors=PAIRS - 1, symmetric=True)
    loss, num, right, d_x, d_y, want_d_t = oracle(CASES["all-symmetric-inner"], x, y, 0.8, 1)
    assert num == PAIRS
    assert_same(((values, d_t), gradients), (((loss, right), want_d_t), (d_x, d_y)))


def test_all_others_drawn_from_other_devices_leaves_the_own_device_out():
    x, y = codes()
    (values, d_t), gradients = on_devices(4, x, y, num_distractors=18, symmetric=True, distractors="other_devices")
    case = CASES["all-symmetric-inner"]._replace(distractors="other_devices")
    loss, num, right, d_x, d_y, want_d_t = oracle(case, x, y, 0.8, 4)
    assert num == 19
    assert_same(((values, d_t), gradients), (((loss, right), want_d_t), (d_x, d_y)))


def test_the_draws_do_not_depend_on_the_number_of_devices():
    x, y = codes()
    expected = on_devices(1, x, y, num_distractors=5, symmetric=True)
    for devices in (2, 8):
        assert_same(on_devices(devices, x, y, num_distractors=5, symmetric=True), expected)
    alone = mi_coding.cpc(x, y, temperature=0.8, symmetric=True, num_distractors=5, key=KEY)
    np.testing.assert_allclose(alone.loss, expected[0][0][0], rtol=2e-6)


def test_the_loss_is_unbiased_over_the_draws():
    # With K = 1 each of the 23 others is as likely, so the mean over draws is the mean of the pairwise losses.
    x, y = codes()
    scores = x.astype(np.float64) @ y.T.astype(np.float64)
    pairwise = np.log1p(np.exp(scores - np.diag(scores)[:, None]))[~np.eye(PAIRS, dtype=bool)]
    keys = jax.random.split(KEY, 2000)
    losses = jax.jit(jax.vmap(lambda key: mi_coding.cpc(x, y, num_distractors=1, key=key).loss))(keys)
    assert abs(np.mean(losses) - pairwise.mean()) < 4 * np.std(losses) / np.sqrt(2000)
    assert np.std(losses) > 0.01  # another key, another draw


def test_the_bound_has_the_ceiling_of_the_drawn_candidates():
    z = 20 * jnp.eye(PAIRS)
    out = mi_coding.cpc(z, z, num_distractors=7, key=KEY)
    assert (out.num_candidates, float(out.accuracy)) == (8, 1.0)
    np.testing.assert_allclose(out.mi_lower_bound, np.log(8), rtol=1e-6)


def test_rows_computed_in_groups_are_the_same_rows(monkeypatch):
    x, y = codes()
    whole = mi_coding.cpc(x, y, num_distractors=5, key=KEY)
    monkeypatch.setattr("mi_coding.contrast.sampled._CODES_AT_ONCE", 7 * 6 * 3)  # seven rows at a time
    assert_same(mi_coding.cpc(x, y, num_distractors=5, key=KEY), whole, rtol=2e-6)


def test_what_cannot_be_drawn_is_refused_in_words():
    x, y = codes()
    with pytest.raises(ValueError, match="num_distractors=24: rule 'all' leaves 23 to draw from"):
        mi_coding.cpc(x, y, num_distractors=24, key=KEY)
    with pytest.raises(ValueError, match="num_distractors=0"):
        mi_coding.cpc(x, y, num_distractors=0, key=KEY)
    with pytest.raises(ValueError, match="num_distractors and key go together"):
        mi_coding.cpc(x, y, num_distractors=3)
    with pytest.raises(ValueError, match="num_distractors and key go together"):
        mi_coding.cpc(x, y, key=KEY)
    with pytest.raises(ValueError, match="drawn candidates are always gathered"):
        mi_coding.cpc(x, y, num_distractors=3, key=KEY, method="ring")
