import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi_coding.encoders import ENCODERS, build_sequence

STEPS = {"mlp": (6, 3, 2), "convnet": (6, 9, 8, 1), "signal": (6, 16, 2), "vit_tiny": (6, 8, 8, 1)}  # T, and a step
SMALL = {name: {"widths": (4, 5), "feature_dim": 7} for name in ("mlp", "convnet", "signal")} | {
    "vit_tiny": {"depth": 1}
}


@pytest.fixture(scope="module", params=STEPS)
def encoder(request):
    built = build_sequence(ENCODERS[request.param](**SMALL[request.param]), code_dim=3, context_dim=6)
    x = jax.random.normal(jax.random.key(0), (2, *STEPS[request.param]))
    params = built.init(jax.random.key(1), x)
    return jax.jit(lambda x: built.apply(params, x)), x


def test_the_future_does_not_change_a_bit_of_an_earlier_context_or_code(encoder):
    apply, x = encoder
    contexts, codes = apply(x)
    for first in range(1, x.shape[1]):
        changed_contexts, changed_codes = apply(x.at[:, first:].set(-3.5))
        np.testing.assert_array_equal(changed_contexts[:, :first], contexts[:, :first])
        np.testing.assert_array_equal(changed_codes[:, :first], codes[:, :first])
        assert (changed_contexts[:, first:] != contexts[:, first:]).any(axis=-1).all()


def test_the_past_reaches_every_later_context_but_no_other_code(encoder):
    apply, x = encoder
    contexts, codes = apply(x)
    changed_contexts, changed_codes = apply(x.at[:, 0].add(1.5))
    assert (changed_contexts != contexts).any(axis=-1).all()
    np.testing.assert_array_equal(changed_codes[:, 1:], codes[:, 1:])
    assert (changed_codes[:, 0] != codes[:, 0]).any(axis=-1).all()


def test_a_sequence_has_the_codes_it_has_alone(encoder):
    apply, x = encoder
    for together, alone in zip(apply(x), apply(jnp.concatenate([x[1:], x[:1]])), strict=True):
        np.testing.assert_allclose(together[0], alone[1], rtol=1e-5, atol=1e-6)


def test_no_encoder_of_a_step_keeps_statistics_of_its_batch():
    alone = {name for name, kind in ENCODERS.items() if kind.encodes_each_alone}
    assert set(STEPS) | {"vit_small", "vit_base"} == alone  # the latter are a larger vit_tiny
    for name, shape in STEPS.items():
        module = ENCODERS[name](**SMALL[name])
        assert set(module.init(jax.random.key(0), jnp.zeros((2, *shape[1:])), True)) == {"params"}
