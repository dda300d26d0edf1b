"""Small networks, their inputs, and functions of eight devices, for the tests of encoders."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, PartitionSpec

from mi_coding.encoders import ProjectionHead, ResNet18
from mi_coding.training.devices import AXIS

KEY = jax.random.key(0, impl="rbg")  # whose draws compile ten times faster than threefry's on CPU
TINY = ResNet18(stem="cifar", width_multiplier=1 / 16)
HEAD = ProjectionHead(width=8, code_dim=4)
WAYS = ("shard_map", "shard_map unchecked", "pmap")


def shapes_of(init, *arguments):
    return jax.eval_shape(init, KEY, *arguments)


def filled(shapes, seed=0):
    """Numbers near the usual ones, but no scale zero, no bias zero and no two channels alike."""
    rng = np.random.default_rng(seed)

    def fill(path, leaf):
        name = path[-1].key
        if name == "kernel":
            values = rng.normal(size=leaf.shape) * np.sqrt(2 / np.prod(leaf.shape[:-1]))
        else:
            values = rng.uniform(0.5, 1.5, leaf.shape) - (name in ("bias", "mean"))
        return jnp.asarray(values, leaf.dtype)

    return jax.tree_util.tree_map_with_path(fill, shapes)


def lopsided_images(num, side=8, seed=0):
    """Every image has its own mean and contrast, so that a device's statistics are far from the batch's."""
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(num, side, side, 3)) * np.linspace(0.3, 2, num)[:, None, None, None]
    return jnp.asarray(images + np.linspace(-2, 3, num)[:, None, None, None], jnp.float32)


def on_eight_devices(how, fn):
    """fn(replicated, shard) → tree, run on eight devices: (replicated, batch) → tree with a row for each device.

    It waits for the end: whatever runs beside eight virtual devices takes threads that their exchanges wait for.
    """
    if how == "pmap":
        mapped = jax.pmap(fn, axis_name=AXIS, in_axes=(None, 0))
        return lambda tree, batch: jax.block_until_ready(mapped(tree, batch.reshape(8, -1, *batch.shape[1:])))
    mesh = jax.make_mesh((8,), (AXIS,), axis_types=(AxisType.Auto,))
    mapped = jax.jit(
        jax.shard_map(
            lambda tree, shard: jax.tree.map(lambda leaf: leaf[None], fn(tree, shard)),
            mesh=mesh,
            in_specs=(PartitionSpec(), PartitionSpec(AXIS)),
            out_specs=PartitionSpec(AXIS),
            check_vma=how == "shard_map",
        )
    )
    return lambda tree, batch: jax.block_until_ready(mapped(tree, batch))


def the_same_everywhere(tree):
    """The tree of one device, once it is certain that all devices hold the very same bits."""
    jax.tree.map(lambda leaf: np.testing.assert_array_equal(leaf, np.broadcast_to(leaf[:1], leaf.shape)), tree)
    return jax.tree.map(lambda leaf: leaf[0], tree)


def outputs(net, x, *, train=False, variables=None):
    """The output of every layer by its path, and that of the network under ""; shapes alone without variables."""

    captured = {"capture_intermediates": True, "mutable": True}
    if variables is None:
        tree = shapes_of(partial(net.init_with_output, train=train, **captured), x)[1]["intermediates"]
    else:
        tree = jax.jit(lambda variables: net.apply(variables, x, train, **captured)[1]["intermediates"])(variables)
    return {
        "/".join(key.key for key in path[:-2]): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
        if path[-2].key == "__call__"  # before a position; others were kept on purpose, see `Backbone.keep_places`
    }
