import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import KEY, filled, lopsided_images, shapes_of

from mi_coding.encoders import ENCODERS
from mi_coding.encoders.vit import ViT
from mi_coding.errors import InputError

SMALL = ViT(width=12, heads=3, depth=2, patch=4)
COUNTS = {"vit_tiny": 5_524_416, "vit_small": 21_665_664, "vit_base": 85_798_656}


def variables_of(net, x):
    return filled(shapes_of(lambda key, x: net.init(key, x, False), x))


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_are_as_many_as_published(name):
    net = ENCODERS[name](patch=16, pool="class")
    shapes = shapes_of(lambda key, x: net.init(key, x, False), jnp.zeros((1, 224, 224, 3)))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == COUNTS[name]


def attention(x, p, heads):
    """Softmax attention of places float64[n, D], one head after the other."""
    out = 0
    for head in range(heads):
        q, k, v = (x @ p[part]["kernel"][:, head] + p[part]["bias"][head] for part in ("query", "key", "value"))
        scores = q @ k.T / np.sqrt(q.shape[1])
        weights = np.exp(scores - scores.max(1, keepdims=True))
        out = out + weights / weights.sum(1, keepdims=True) @ v @ p["out"]["kernel"][head]
    return out + p["out"]["bias"]


def norm(x, p):
    return (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-6) * p["scale"] + p["bias"]


@pytest.mark.parametrize("pool", ["mean", "class"])
def test_it_is_a_transformer_of_patches(pool):
    x, net = lopsided_images(2), SMALL.clone(pool=pool)
    variables = variables_of(net, x)
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables["params"])
    for image, features in zip(np.asarray(x, np.float64), net.apply(variables, x, False), strict=True):
        rows = [image[i : i + 4, j : j + 4].reshape(-1) for i in (0, 4) for j in (0, 4)]
        places = np.array(rows) @ p["embed"]["kernel"] + p["embed"]["bias"] + p["positions"].reshape(4, -1)
        if pool == "class":
            places = np.concatenate([p["class_token"].sum(0)[None], places])
        for block in (p["block1"], p["block2"]):
            places = places + attention(norm(places, block["norm1"]), block["attention"], 3)
            hidden = norm(places, block["norm2"]) @ block["dense1"]["kernel"] + block["dense1"]["bias"]
            hidden = 0.5 * hidden * (1 + np.tanh(np.sqrt(2 / np.pi) * (hidden + 0.044715 * hidden**3)))
            places = places + hidden @ block["dense2"]["kernel"] + block["dense2"]["bias"]
        places = norm(places, p["norm"])
        np.testing.assert_allclose(features, places[0] if pool == "class" else places.mean(0), rtol=1e-3, atol=1e-3)


def test_remat_changes_no_number():
    x = lopsided_images(3)
    variables = variables_of(SMALL, x)
    gradients = [
        jax.jit(jax.grad(lambda v, net=net: jnp.sum(jnp.sin(net.apply(v, x, True)))))(variables)
        for net in (SMALL, SMALL.clone(remat=True))
    ]
    chex.assert_trees_all_close(*gradients, rtol=1e-4, atol=1e-5)


def test_positions_are_resized_for_images_of_another_size():
    x = lopsided_images(2)
    variables = variables_of(SMALL, x)
    flat = variables["params"]["positions"] * 0 + jnp.arange(12.0)  # the same at every place: so it is at any size
    variables = {"params": variables["params"] | {"positions": flat}}
    larger = jnp.concatenate([x, x], axis=1)  # every place twice: the mean over places is the same
    np.testing.assert_allclose(SMALL.apply(variables, larger, False), SMALL.apply(variables, x, False), rtol=1e-4)


def test_bfloat16_is_near_float32_and_its_features_are_float32():
    x = lopsided_images(4)
    variables = SMALL.init(KEY, x, False)
    rounded = SMALL.clone(dtype="bfloat16").apply(variables, x, False)
    assert rounded.dtype == jnp.float32
    np.testing.assert_allclose(rounded, SMALL.apply(variables, x, False), atol=0.1)


@pytest.mark.parametrize(
    ("shape", "takes"), [((8, 8, 3), True), ((8, 10, 1), False), ((8, 8), False), ((8, 8, 2), False)]
)
def test_it_takes_images_whose_sides_are_multiples_of_a_patch(shape, takes):
    assert SMALL.can_take(shape) == takes


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(InputError, match=r"heads=5 does not divide the width 12 .* one of 1, 2, 3, 4, 6, 12"):
        ViT(width=12, heads=5)
