"""CPC of sequences against loops in float64 that are written from the definition."""

import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from mi_coding.objectives.ahead import cpc_ahead, pair_ahead
from mi_coding.training.devices import AXIS

B, T, K, H, D = 8, 6, 3, 4, 5


def lopsided(seed=0):
    """Contexts, codes and weights without any symmetry: every step and every sequence has a mean of its own."""
    rng = np.random.default_rng(seed)
    contexts = rng.normal(size=(B, T, H)) + np.arange(B)[:, None, None] / 5 - np.arange(T)[:, None] / 3
    codes = rng.normal(size=(B, T, D)) - np.arange(B)[:, None, None] / 7 + np.arange(T)[:, None] / 2
    return contexts, codes, rng.normal(size=(K, H, D))


def by_loops(contexts, codes, weights, temperature=1.0, other_times=False):
    """Loss and accuracy float64[K]: for each k, step s and sequence i, pick codes[i, s] from contexts[i, s − k]."""
    losses, rights = np.zeros(len(weights)), np.zeros(len(weights))
    steps = range(len(weights), codes.shape[1])
    for k, weight in enumerate(weights, start=1):
        for s in steps:
            for i in range(len(codes)):
                query = contexts[i, s - k] @ weight / temperature
                places = [(j, r) for j in range(len(codes)) for r in (steps if other_times else [s])]
                scores = {place: query @ codes[place] for place in places}
                losses[k - 1] += math.log(sum(math.exp(v - scores[i, s]) for v in scores.values()))
                rights[k - 1] += all(v < scores[i, s] for place, v in scores.items() if place != (i, s))
    count = len(codes) * len(steps)
    return losses / count, rights / count


def by_definition(contexts, codes, weights, **options):
    shifted, targets = pair_ahead(jnp.asarray(contexts), jnp.asarray(codes), len(weights))
    return cpc_ahead(jnp.einsum("kbnh,khd->kbnd", shifted, weights), targets, **options)


@pytest.mark.parametrize("other_times", [False, True])
def test_every_distance_has_the_values_of_loops_over_the_definition(other_times):
    arrays = lopsided()
    out = by_definition(*arrays, temperature=1.7, other_times=other_times)
    losses, rights = by_loops(*arrays, temperature=1.7, other_times=other_times)
    np.testing.assert_allclose(out.loss, losses, rtol=1e-5)
    np.testing.assert_allclose(out.accuracy, rights, rtol=1e-6)
    assert out.num_candidates == (B * (T - K) if other_times else B)
    np.testing.assert_allclose(out.mi_lower_bound, math.log(out.num_candidates) - losses, rtol=1e-4, atol=1e-5)


def test_one_step_after_another_gives_the_same():
    arrays = lopsided()
    chex.assert_trees_all_close(by_definition(*arrays, one_by_one=True), by_definition(*arrays), rtol=1e-5)


def test_gradients_are_those_of_finite_differences_of_the_loops():
    arrays, rng = lopsided(), np.random.default_rng(1)
    gradients = jax.grad(lambda a: jnp.mean(by_definition(*a).loss))(tuple(map(jnp.asarray, arrays)))
    for number, gradient in enumerate(gradients):
        direction = rng.normal(size=arrays[number].shape)

        def loss_at(distance, number=number, direction=direction):
            moved = list(arrays)
            moved[number] = moved[number] + distance * direction
            return by_loops(*moved)[0].mean()

        slope = (loss_at(1e-5) - loss_at(-1e-5)) / 2e-5
        np.testing.assert_allclose(np.sum(np.asarray(gradient, np.float64) * direction), slope, rtol=1e-4)


def test_a_context_is_paired_with_exactly_the_step_that_comes_k_later():
    """Contexts that know only the step d later: the bound of k = d is at its ceiling, and all others are 0."""
    codes = 12 * np.eye(B * T).reshape(B, T, B * T)
    for d in range(1, K + 1):
        contexts = np.zeros_like(codes)
        contexts[:, :-d] = codes[:, d:]
        out = by_definition(contexts, codes, np.stack([np.eye(B * T)] * K))
        expected = [1.0 if k == d else 0.0 for k in range(1, K + 1)]
        np.testing.assert_allclose(out.mi_lower_bound / math.log(B), expected, atol=1e-3)


def test_every_distance_predicts_the_same_steps():
    steps = jnp.broadcast_to(jnp.arange(float(T))[None, :, None], (2, T, 1))
    contexts, targets = pair_ahead(steps, steps, K)
    assert targets[0, :, 0].tolist() == [3.0, 4.0, 5.0]
    for k in range(1, K + 1):
        np.testing.assert_array_equal(targets - contexts[k - 1], k)


@pytest.mark.parametrize("other_times", [False, True])
@pytest.mark.parametrize("method", ["gather", "ring"])
def test_eight_devices_give_the_value_and_the_gradient_of_one(method, other_times):
    arrays = tuple(jnp.asarray(array, jnp.float32) for array in lopsided())
    mesh = jax.make_mesh((8,), (AXIS,), axis_types=(jax.sharding.AxisType.Auto,))

    def loss(contexts, codes, weights, **options):
        out = by_definition(contexts, codes, weights, other_times=other_times, symmetric=True, **options)
        return jnp.mean(out.loss), out.mi_lower_bound

    def on_each(contexts, codes, weights):
        sharded = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)
        (value, bounds), gradients = sharded(contexts, codes, weights, method=method, axis_name=AXIS)
        return value, bounds, gradients

    shard, whole = PartitionSpec(AXIS), PartitionSpec()
    mapped = jax.shard_map(on_each, mesh=mesh, in_specs=(shard, shard, whole), out_specs=(whole, whole, shard))
    ours = jax.jit(mapped)(*arrays)
    (value, bounds), gradients = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(*arrays)
    chex.assert_trees_all_close(ours, (value, bounds, gradients), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("num_ahead", [0, T, T + 1])
def test_distances_that_the_sequence_does_not_have_are_refused(num_ahead):
    with pytest.raises(ValueError, match=f"{num_ahead} steps ahead in sequences of {T}: expected 1 to {T - 1}"):
        pair_ahead(jnp.zeros((2, T, H)), jnp.zeros((2, T, D)), num_ahead)


def test_queries_that_do_not_belong_to_the_keys_are_refused():
    with pytest.raises(ValueError, match=r"expected \[K, b, n, D\] and \[b, n, D\]"):
        cpc_ahead(jnp.zeros((K, B, 2, D)), jnp.zeros((B, 3, D)))
