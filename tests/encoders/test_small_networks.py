"""A residual network of nine layers, and the convolutional network of signals."""

import jax
import jax.numpy as jnp
import numpy as np
from networks import filled, lopsided_images, shapes_of

from mi_coding.encoders import ENCODERS
from mi_coding.encoders.resnet9 import ResNet9
from mi_coding.encoders.signal import SignalNet


def test_a_resnet9_has_its_parameters_and_halves_three_times():
    shapes = shapes_of(lambda key, x: ENCODERS["resnet9"]().init(key, x, False), jnp.zeros((1, 32, 32, 3)))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) == 6_568_000
    net = ResNet9(width_multiplier=1 / 16)
    assert [net.can_take(shape) for shape in ((8, 8, 3), (7, 8, 3), (28, 28, 1), (8,))] == [True, False, True, False]


def test_both_ways_of_convolving_give_the_same_features():
    images = lopsided_images(3, side=16)
    for net, x in (
        (ResNet9(width_multiplier=1 / 16), images),
        (SignalNet(widths=(4, 6), feature_dim=5), images[:, :, :, 0]),
    ):
        variables = filled(shapes_of(lambda key, x, net=net: net.init(key, x, False), x))
        ours, theirs = (n.apply(variables, x, False) for n in (net.on("cpu"), net.on("gpu")))
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_a_signal_has_the_features_of_what_is_in_it_wherever_it_is():
    net = SignalNet(widths=(4, 6), feature_dim=5)
    signal = np.zeros((2, 64, 2), np.float32)
    signal[0, 16:24, 0] = signal[1, 32:40, 0] = np.hanning(8)  # sixteen samples later, four steps of the network
    variables = filled(shapes_of(lambda key, x: net.init(key, x, False), jnp.asarray(signal)))
    early, late = net.apply(variables, signal, False)
    np.testing.assert_allclose(early, late, rtol=1e-5)
    assert net.can_take((64, 2))
    assert not net.can_take((64,))
