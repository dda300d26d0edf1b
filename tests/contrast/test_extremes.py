"""Shapes, sizes and temperatures at the edge of what is allowed, in every method."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contrast_oracle import CASES, oracle
from contrast_program import AXIS, loss_of
from jax.sharding import PartitionSpec as P

import mi_coding
from mi_coding import contrast as rooms

METHODS = ("dense", "gather", "blockwise", "ring")


def codes(pairs, dim, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(pairs, dim)).astype(np.float32)
    return x, (x + rng.exponential(size=x.shape)).astype(np.float32)


@pytest.mark.parametrize("method", METHODS)
def test_codes_that_collapsed_to_points_are_never_ranked_right(method):
    # A tie is an error. Rounding must not break it, so the true score has to round as the others do.
    points = np.random.default_rng(0).normal(size=(7, 33)).astype(np.float32)
    run = jax.jit(lambda z: mi_coding.cpc(z, z, method=method, block_size=16))
    assert run(np.tile(points, (11, 1))).accuracy == 0
    out = run(np.tile(points[:1], (77, 1)))
    assert out.accuracy == 0
    np.testing.assert_allclose(out.loss, np.log(77), rtol=1e-6)


@partial(jax.jit, static_argnames="method")
def losses_and_gradients(x, y, temperature, *, method):
    """The sum of losses of every kind, and its gradient to both codes."""

    def losses(x, y):
        cases = ("all-symmetric-inner", "all-symmetric-cosine", "pool-cosine")
        return sum(loss_of(CASES[c], x, y, temperature, method=method, block_size=8).loss for c in cases)

    return jax.value_and_grad(losses, (0, 1))(x, y)


@pytest.mark.parametrize("temperature", [1e-30, 1e-3, 1e30])
@pytest.mark.parametrize("method", METHODS)
def test_loss_and_code_gradients_stay_finite_at_any_temperature(method, temperature):
    value, gradients = losses_and_gradients(*codes(23, 4), temperature, method=method)
    assert np.isfinite(value)
    for gradient in gradients:
        assert np.all(np.isfinite(gradient))


@pytest.mark.parametrize("method", ["blockwise", "ring"])
def test_scores_times_200_give_the_float64_loss(method):
    x, y = codes(23, 4)
    loss, _, _, d_x, d_y, _ = oracle(CASES["all-symmetric-inner"], x, y, 1 / 200, 1)

    def tiled(x, y):
        return mi_coding.cpc(x, y, temperature=1 / 200, symmetric=True, method=method, block_size=8).loss

    value, gradients = jax.jit(jax.value_and_grad(tiled, (0, 1)))(x, y)
    np.testing.assert_allclose(value, loss, rtol=2e-6)
    for found, expected in zip(gradients, (d_x, d_y), strict=True):
        np.testing.assert_allclose(found, expected, atol=2e-4 * np.abs(expected).max())  # scores of 10³ round to 6e-5


@pytest.mark.parametrize(
    ("pairs", "dim", "block_size"),
    [(2, 1, None), (5, 1, 1), (13, 3, 13), (13, 3, 64), (13, 3, 12), (24, 7, 8), (101, 2, 32)],
)
@pytest.mark.parametrize("case", ["all-symmetric-inner", "pool-cosine"])
def test_any_shape_in_tiles_of_any_size_gives_the_float64_loss(case, pairs, dim, block_size):
    x, y = codes(pairs, dim)
    case = CASES[case]

    def tiled(x, y, temperature):
        out = loss_of(case, x, y, temperature, method="blockwise", block_size=block_size)
        return out.loss, out.accuracy

    (loss, accuracy), gradients = jax.jit(jax.value_and_grad(tiled, (0, 1, 2), has_aux=True))(x, y, 0.8)
    want, _, right, *expected = oracle(case, x, y, 0.8, 1)
    np.testing.assert_allclose(loss, want, rtol=2e-6)
    if not (dim == 1 and case.normalize):  # the cosine of two numbers is ±1: all ties, which float64 need not see
        np.testing.assert_allclose(accuracy, right, atol=1e-6)
    for found, value in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(found, value, atol=4e-6 * max(np.abs(value).max(), 1e-2))


@pytest.mark.parametrize("method", ["gather", "blockwise", "ring"])
def test_one_pair_on_each_device_has_the_others_as_distractors(method):
    x, y = codes(6, 3)
    mapped = jax.vmap(
        lambda x, y: mi_coding.cpc(x, y, method=method, distractors="other_devices", axis_name=AXIS)[:2],
        axis_name=AXIS,
    )
    loss, bound = jax.jit(mapped)(x[:, None], y[:, None])
    want = oracle(CASES["all-inner"], x, y, 1.0, 1)[0]
    np.testing.assert_allclose(loss, [want] * 6, rtol=2e-6)
    np.testing.assert_allclose(bound, [np.log(6) - want] * 6, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", ["gather", "blockwise", "ring"])
def test_an_axis_of_one_device_is_one_device(method):
    x, y = codes(13, 3)
    want = oracle(CASES["all-symmetric-inner"], x, y, 1.0, 1)[0]
    mapped = jax.vmap(
        lambda x, y: mi_coding.cpc(x, y, symmetric=True, method=method, block_size=5, axis_name=AXIS)[:2],
        axis_name=AXIS,
    )
    np.testing.assert_allclose(jax.jit(mapped)(x[None], y[None])[0], [want], rtol=2e-6)


@pytest.mark.parametrize("method", ["dense", "blockwise"])
@pytest.mark.parametrize("check_vma", [True, False])
def test_a_loss_of_one_device_alone_works_inside_shard_map(method, check_vma):
    x, y = codes(26, 3)
    mesh = jax.make_mesh((2,), (AXIS,), axis_types=(jax.sharding.AxisType.Auto,))

    def local(x, y, temperature):
        loss = lambda t: jnp.mean(mi_coding.cpc(x, y, temperature=t, method=method, block_size=5).loss)  # noqa: E731
        gradient = jax.grad(lambda t: jax.lax.pmean(loss(t), AXIS))(temperature)
        return jax.lax.pmean(gradient, AXIS)

    mapped = jax.shard_map(local, mesh=mesh, in_specs=(P(AXIS), P(AXIS), P()), out_specs=P(), check_vma=check_vma)
    halves = [oracle(CASES["all-inner"], x[i : i + 13], y[i : i + 13], 0.8, 1)[-1] for i in (0, 13)]
    np.testing.assert_allclose(jax.jit(mapped)(x, y, 0.8), np.mean(halves), rtol=2e-5)


def test_axes_of_the_mesh_that_the_loss_does_not_know_are_left_alone():
    x, y = codes(12, 3)
    mesh = jax.make_mesh((2, 2), (AXIS, "other"), axis_types=(jax.sharding.AxisType.Auto,) * 2)

    def one(x, y):
        return mi_coding.cpc(x[0], y[0], method="ring", block_size=2, axis_name=AXIS).loss[None]

    specs = {"in_specs": (P("other", AXIS), P("other", AXIS)), "out_specs": P("other")}
    both = x.reshape(2, 6, 3), y.reshape(2, 6, 3)
    expected = [oracle(CASES["all-inner"], a, b, 1.0, 1)[0] for a, b in zip(*both, strict=True)]
    np.testing.assert_allclose(jax.jit(jax.shard_map(one, mesh=mesh, **specs))(*both), expected, rtol=2e-6)


@pytest.mark.parametrize("method", METHODS)
def test_columns_that_nobody_wants_are_not_there(method):
    x, y = codes(5, 3)
    contrast = jax.jit(partial(rooms.contrast, method=method), static_argnames="spec")
    full, rows = (contrast(x, y, spec=rooms.ContrastSpec(columns=columns, block_size=2)) for columns in (True, False))
    assert rows.column_lse is None
    np.testing.assert_allclose(full.row_lse, rows.row_lse, rtol=1e-6)
    np.testing.assert_array_equal(full.rank, rows.rank)
    scores = np.asarray(x, np.float64) @ np.asarray(y, np.float64).T
    np.testing.assert_allclose(full.column_lse, np.log(np.sum(np.exp(scores), axis=0)), rtol=1e-6)
    np.testing.assert_array_equal(full.rank, np.sum(scores >= np.diag(scores)[:, None], axis=1) - 1)


@pytest.mark.parametrize(("pairs", "alone", "together"), [(64, "dense", "gather"), (2048, "blockwise", "ring")])
def test_auto_goes_by_size(monkeypatch, pairs, alone, together):
    chosen = []
    for name, method in rooms.METHODS.items():
        spy = lambda *args, name=name, method=method: chosen.append(name) or method(*args)  # noqa: E731
        monkeypatch.setitem(rooms.METHODS, name, spy)
    shape = jax.ShapeDtypeStruct((pairs, 2), jnp.float32)
    jax.eval_shape(rooms.contrast, shape, shape)
    shape = jax.ShapeDtypeStruct((2, pairs, 2), jnp.float32)
    spec = rooms.ContrastSpec(axis_name=AXIS)
    jax.eval_shape(jax.vmap(lambda x, y: rooms.contrast(x, y, spec=spec)[:2], axis_name=AXIS), shape, shape)
    assert chosen == [alone, together]


def test_what_cannot_be_is_refused_in_words():
    x, y = codes(4, 3)
    with pytest.raises(ValueError, match="method='sparse' is unknown; choose one of 'auto', 'dense', 'gather'"):
        mi_coding.cpc(x, y, method="sparse")
    with pytest.raises(ValueError, match="block_size=0"):
        mi_coding.cpc(x, y, method="ring", block_size=0)
    with pytest.raises(ValueError, match="leaves no distractor"):
        mi_coding.cpc(x, y, distractors="other_devices")
    with pytest.raises(ValueError, match="works on one device only"):
        jax.vmap(lambda x, y: mi_coding.cpc(x, y, method="dense", axis_name=AXIS).loss, axis_name=AXIS)(
            x.reshape(2, 2, 3), y.reshape(2, 2, 3)
        )
