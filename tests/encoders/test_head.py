"""The projection head: dense layers, and the norms between them."""

from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import filled, shapes_of

from mi_coding.encoders import ProjectionHead


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_head_is_dense_layers_with_relu_between_them(layers):
    head = ProjectionHead(width=6, code_dim=3, layers=layers)
    x = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    variables = filled(shapes_of(partial(head.init, train=False), x))
    kernels = [variables["params"][f"Dense_{i}"] for i in range(layers)]
    widths = [7, *[6] * (layers - 1), 3]
    assert [k["kernel"].shape for k in kernels] == list(pairwise(widths))
    assert len(variables["params"]) == layers
    expected = np.float64(x)
    for number, k in enumerate(kernels):
        expected = np.maximum(expected, 0) if number else expected
        expected = expected @ np.float64(k["kernel"]) + np.float64(k["bias"])
    np.testing.assert_allclose(head.apply(variables, x, True), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_head_normalises_its_hidden_layers_and_never_the_code(layers):
    head = ProjectionHead(width=6, code_dim=3, layers=layers, batch_norm=True)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(50, 7)), jnp.float32)
    variables = shapes_of(partial(head.init, train=False), x)
    assert len(variables.get("batch_stats", {})) == layers - 1
    biases = ["bias" in variables["params"][f"Dense_{i}"] for i in range(layers)]
    assert biases == [False] * (layers - 1) + [True]
    codes, _ = jax.jit(lambda v: head.apply(v, x, True, mutable=["batch_stats"]))(filled(variables))
    moved, _ = jax.jit(lambda v: head.apply(v, 7 * x, True, mutable=["batch_stats"]))(filled(variables))
    assert np.allclose(codes, moved, atol=1e-3) == (layers > 1)  # a norm forgets the contrast of its input


@pytest.mark.parametrize("layers", [0, 4])
def test_a_head_of_no_layers_or_too_many_is_refused(layers):
    with pytest.raises(ValueError, match=f"head cannot have {layers} layers; expected 1 to 3"):
        ProjectionHead(width=8, code_dim=4, layers=layers)
