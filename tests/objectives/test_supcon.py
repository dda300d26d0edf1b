from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from mi_coding.objectives.cpc import nt_xent
from mi_coding.objectives.supcon import supcon

LABELS = np.array([0, 2, 0, 1, -1, 2, 0, -1] * 3)


def codes():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(len(LABELS), 5))
    return x, x + rng.normal(size=x.shape)


def by_definition(x, y, temperature):
    """Loops over single views, float64."""
    z = np.concatenate([x, y])
    z, n = z / np.linalg.norm(z, axis=1, keepdims=True), len(x)
    labels, losses = np.concatenate([LABELS, LABELS]), []
    for i in range(2 * n):
        scores = z @ z[i] / temperature
        others = [j for j in range(2 * n) if j != i]
        true = [j for j in others if labels[j] == labels[i] >= 0] or [(i + n) % (2 * n)]
        lse = np.log(np.sum(np.exp(scores[others])))
        losses.append(np.mean([lse - scores[j] for j in true]))
    return np.mean(losses)


@pytest.mark.parametrize("method", ["dense", "gather", "blockwise", "ring"])
def test_the_loss_is_that_of_its_definition(method):
    with jax.enable_x64(True):
        out = supcon(*map(jnp.asarray, codes()), jnp.asarray(LABELS), num_classes=3, method=method, block_size=7)
        np.testing.assert_allclose(out.loss, by_definition(*codes(), 0.1), rtol=1e-10)


@pytest.mark.parametrize("method", ["gather", "ring"])
def test_on_eight_devices_loss_and_gradient_are_those_of_the_whole_batch(method):
    x, y = (jnp.asarray(z, jnp.float32) for z in codes())
    w = jnp.eye(5) + 0.1

    def program(w, x, y, labels, axis_name=None, method="dense"):
        options = {"num_classes": 3, "temperature": 0.3, "axis_name": axis_name, "method": method, "block_size": 4}
        return jax.value_and_grad(lambda w: supcon(x @ w, y @ w, labels, **options).loss)(w)

    mesh = jax.make_mesh((8,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    spread = partial(program, axis_name="d", method=method)
    mapped = jax.shard_map(spread, mesh=mesh, in_specs=(P(), P("d"), P("d"), P("d")), out_specs=P())
    labels = jnp.asarray(LABELS)
    chex.assert_trees_all_close(jax.jit(mapped)(w, x, y, labels), program(w, x, y, labels), rtol=1e-4, atol=1e-5)


def test_without_labels_it_is_nt_xent():
    x, y = (jnp.asarray(z, jnp.float32) for z in codes())
    unknown = supcon(x, y, jnp.full(len(x), -1), num_classes=3, temperature=0.5)
    chex.assert_trees_all_close(unknown, nt_xent(x, y, temperature=0.5), rtol=1e-5)


@pytest.mark.parametrize("precision", ["highest", "high", "bfloat16"])
def test_with_a_class_for_each_pair_it_is_nt_xent_in_every_precision(precision):
    x, y = (jnp.asarray(z, jnp.float32) for z in codes())
    how = {"temperature": 0.01, "precision": precision}  # scores of up to 100 show codes that are rounded differently
    alone = supcon(x, y, jnp.arange(len(x)), num_classes=len(x), **how)
    chex.assert_trees_all_close(alone, nt_xent(x, y, **how), rtol=1e-5)


def test_labels_of_another_length_are_refused():
    with pytest.raises(ValueError, match=r"labels of shape \(3,\) for 4 pairs"):
        supcon(jnp.ones((4, 2)), jnp.ones((4, 2)), jnp.zeros(3, int), num_classes=2)
