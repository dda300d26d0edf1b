"""Tables are brought to one scale by the training split."""

import numpy as np

from mi_coding.data import Split, apply_scale, fit_scale


def test_columns_of_training_have_mean_0_and_deviation_1_and_others_the_same_map():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3)) * (1e-3, 1, 1e6) + (5, 0, 1e7)
    train, test = Split((x[:150], x[:150, :1]), None), Split((x[150:], x[150:, :1]), None)
    scale = fit_scale(train)
    scaled = apply_scale(train, scale).examples[0]
    np.testing.assert_allclose(scaled.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(scaled.std(0), 1, atol=1e-6)
    expected = (x[150:] - x[:150].mean(0)) / x[:150].std(0)
    np.testing.assert_allclose(apply_scale(test, scale).examples[0], expected, rtol=1e-5, atol=1e-6)


def test_images_bytes_and_sequences_keep_their_values():
    assert fit_scale(Split(np.zeros((3, 4, 4, 1), np.float32), None)) is None
    assert fit_scale(Split((np.zeros((3, 4), np.uint8), np.zeros((3, 5, 2), np.float32)), None)) is None
