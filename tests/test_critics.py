import jax
import jax.numpy as jnp
import numpy as np

from mi_coding.critics import CRITICS


def test_bilinear_scores_are_the_double_loop():
    rng = np.random.default_rng(0)
    z_x, z_y, weight = rng.normal(size=(4, 3)), rng.normal(size=(4, 3)), rng.normal(size=(3, 3))
    queries, keys = CRITICS["bilinear"]().apply({"weight": jnp.float32(weight)}, jnp.float32(z_x), jnp.float32(z_y))
    scores = [[sum(x[a] * weight[a, b] * y[b] for a in range(3) for b in range(3)) for y in z_y] for x in z_x]
    np.testing.assert_allclose(queries @ keys.T, scores, rtol=1e-4, atol=1e-5)


def test_bilinear_begins_as_the_inner_product():
    z_x, z_y = jax.random.normal(jax.random.key(0), (2, 5, 4))
    scores = []
    for name in ("bilinear", "inner_product"):
        critic = CRITICS[name]()
        queries, keys = critic.apply(critic.init(jax.random.key(1), 4), z_x, z_y)
        scores.append(queries @ keys.T)
    np.testing.assert_allclose(*scores, rtol=1e-6)
