"""The precisions of score products: their stated errors against float64, in every method."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contrast_program import AXIS, compile_and_run
from jax import lax
from jax.sharding import PartitionSpec as P

import mi_coding
from mi_coding.contrast import PRECISIONS, ContrastSpec, contract, contrast_sampled, tiles
from mi_coding.objectives.density_ratio import nwj_loss

PAIRS, DIM = 96, 128
STATED = {"highest": (2e-6, 2e-6), "high": (2e-5, 5e-5), "bfloat16": (2e-3, 1e-2)}
"""The largest errors of the loss in nats, and of its gradients relative to their largest entry."""


def codes(dtype="float32"):
    x, noise = np.random.default_rng(5).normal(size=(2, PAIRS, DIM))
    return jnp.asarray(x, dtype), jnp.asarray(0.6 * x + 0.8 * noise, dtype)


def loss(x, y, **options):
    return mi_coding.cpc(x, y, temperature=0.1, normalize=True, symmetric=True, **options).loss


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def in_three_passes(a, b, contract, dtype):
    """What "high" is on a TPU and on tensor cores; a CPU computes it in float32, which would show no error."""
    first, rest = zip(*((big := z.astype(jnp.bfloat16), (z - big).astype(jnp.bfloat16)) for z in (a, b)), strict=True)

    def of(a, b):
        return lax.dot_general(a, b, (((contract[0],), (contract[1],)), ((), ())), preferred_element_type=dtype)

    return of(*first) + of(first[0], rest[1]) + of(rest[0], first[1])


def forward(a, b, contract, dtype):
    assert contract == (1, 1)
    return in_three_passes(a, b, contract, dtype), (a, b)


def backward(contract, dtype, saved, d_out):
    a, b = saved
    return in_three_passes(d_out, b, (1, 0), dtype), in_three_passes(d_out, a, (0, 0), dtype)


in_three_passes.defvjp(forward, backward)


def code_products(a, b, precision, dtype, *, contract=(1, 1)):
    assert precision == "high"
    return in_three_passes(a, b, contract, dtype)


@pytest.mark.parametrize("precision", STATED)
@pytest.mark.parametrize("method", ["dense", "gather", "blockwise", "ring"])
def test_loss_and_gradients_are_off_by_no_more_than_is_stated(method, precision, monkeypatch):
    with jax.enable_x64(True):
        want, want_gradients = jax.device_get(jax.value_and_grad(loss, (0, 1))(*codes("float64")))
    if precision == "high":
        for room in (contract, tiles):
            monkeypatch.setattr(room, "code_products", code_products)
    options = {"method": method, "precision": precision, "block_size": 16}
    run = lambda x, y: jax.value_and_grad(loss_here, (0, 1))(x, y)  # noqa: E731
    axis = None if method in ("dense", "blockwise") else AXIS
    loss_here = lambda x, y: loss(x, y, axis_name=axis, **options)  # noqa: E731
    if axis:
        mesh = jax.make_mesh((4,), (AXIS,), axis_types=(jax.sharding.AxisType.Auto,))
        run = jax.shard_map(run, mesh=mesh, in_specs=P(AXIS), out_specs=(P(), P(AXIS)))
    found, gradients = compile_and_run(jax.jit(run), *codes())
    of_loss, of_gradient = STATED[precision]
    errors = [np.abs(g - w).max() / np.abs(w).max() for g, w in zip(gradients, want_gradients, strict=True)]
    assert abs(found - want) <= of_loss
    assert max(errors) <= of_gradient
    if precision != "highest":  # it is not computed in float32 after all
        assert max(errors) > STATED["highest"][1]
    assert all(gradient.dtype == jnp.float32 for gradient in gradients)


def test_drawn_distractors_have_the_precision():
    x, y = codes()
    draws = {"num_distractors": 5, "key": jax.random.key(0)}
    exact, rounded = (contrast_sampled(x, y, 0.1, ContrastSpec(precision=p), **draws) for p in ("highest", "bfloat16"))
    of_rounded = contrast_sampled(x.astype("bfloat16"), y.astype("bfloat16"), 0.1, **draws)
    np.testing.assert_array_equal(rounded.row_lse, of_rounded.row_lse)
    assert not np.array_equal(rounded.row_lse, exact.row_lse)


def test_the_bias_of_a_density_ratio_is_not_rounded_with_the_codes():
    x, y = jnp.zeros((2, 8, 4))
    for bias in (-7.01, 0.0, 3.33):
        loss = lambda b: nwj_loss(x, y, bias=b, temperature=0.07, precision="bfloat16").loss  # noqa: E731
        found, d_bias = jax.value_and_grad(loss)(bias)
        assert found == pytest.approx(np.exp(bias - 1) - bias, rel=3e-5)
        assert d_bias == pytest.approx(np.exp(bias - 1) - 1, rel=1e-2)


def test_wrong_precisions_are_one_line():
    with pytest.raises(ValueError, match=r"^precision='low' is unknown; choose one of 'highest', 'high', 'bfloat16'$"):
        mi_coding.cpc(*codes(), precision="low")
    with (
        jax.enable_x64(True),
        pytest.raises(ValueError, match=r"^precision='high' of float64 codes: expected 'highest'"),
    ):
        mi_coding.cpc(*codes("float64"), precision="high")
    assert list(PRECISIONS) == list(STATED)
