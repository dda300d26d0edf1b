import jax
import jax.numpy as jnp
import numpy as np

from mi_coding.encoders import ACTIVATIONS, MLP, ConvNet, ProjectionHead, build

X = np.linspace(-0.2, 0.2, 4001, dtype=np.float32)
SMELU, BETA = ACTIVATIONS["smelu"], np.float32(0.05)


def test_smelu_is_relu_but_for_its_corner():
    outside = np.abs(X) >= BETA
    np.testing.assert_array_equal(SMELU(X)[outside], jax.nn.relu(X)[outside])
    np.testing.assert_allclose(SMELU(X)[~outside], np.square(X[~outside] + BETA) / (4 * BETA), rtol=1e-5, atol=1e-9)


def test_the_gradient_of_smelu_rises_evenly_over_its_corner():
    gradient = jax.jit(jax.vmap(jax.grad(SMELU)))(X)
    np.testing.assert_allclose(gradient, np.clip((X + BETA) / (2 * BETA), 0, 1), atol=1e-5)


def test_an_activation_keeps_the_type_of_what_it_bends():
    for activation in ACTIVATIONS.values():
        assert activation(jnp.bfloat16(X)).dtype == jnp.bfloat16


def gradient_jump(activation):
    """How far the gradient of an encoder moves when all its biases go from just below zero to just above."""
    head = ProjectionHead(width=8, code_dim=3, activation=activation)
    encoder = build(ConvNet(widths=(6,), feature_dim=10, activation=activation), head)
    blank = jnp.zeros((2, 9, 9, 1))  # without biases all its activations lie in relu's corner
    params, stats = encoder.init(jax.random.key(0), blank)

    @jax.jit
    def gradient(bias):
        near = jax.tree.map(lambda leaf: leaf + bias if leaf.ndim == 1 else leaf, params)
        return jax.grad(lambda p: jnp.sum(encoder.apply(p, stats, blank, True)[0][1]))(near)

    above, below = gradient(1e-7), gradient(-1e-7)
    return max(float(jnp.max(jnp.abs(a - b))) for a, b in zip(*map(jax.tree.leaves, (above, below)), strict=True))


def test_rounding_decides_about_the_gradient_of_relu_and_not_of_smelu():
    assert gradient_jump("relu") > 0.1
    assert gradient_jump("smelu") < 1e-5


def test_an_mlp_with_the_identity_is_linear_and_may_have_no_hidden_layer():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(5, 3)), jnp.float32)
    for widths in ((), (7,)):
        net = MLP(widths=widths, feature_dim=4, activation="identity")
        variables = net.init(jax.random.key(0), x, False)
        assert len(variables["params"]) == len(widths) + 1
        np.testing.assert_allclose(net.apply(variables, -2 * x, False), -2 * net.apply(variables, x, False), rtol=1e-5)
