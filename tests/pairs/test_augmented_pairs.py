"""Augmentation pairs from options: each option reaches the preset, and has its own default."""

import inspect
from functools import wraps

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi_coding.encoders import ENCODERS
from mi_coding.errors import InputError
from mi_coding.pairs.augmentations import PRESETS
from mi_coding.pairs.augmented import Augmentations

CHANGED = {
    "size": 12,
    "strength": 0.1,
    "min_area": 0.9,
    "max_area": 0.95,
    "flip": 1.0,
    "jitter": 0.0,
    "gray": 1.0,
    "blur": 1.0,
    "mask": 1.0,
    "order": "fixed",
}
CASES = [(name, option) for name, preset in PRESETS.items() for option in inspect.signature(preset).parameters]


@pytest.mark.parametrize(("preset", "option"), CASES)
def test_every_option_of_a_preset_reaches_it_and_changes_no_other(preset, option, monkeypatch):
    given, build = [], PRESETS[preset]
    monkeypatch.setitem(PRESETS, preset, wraps(build)(lambda **options: given.append(options) or build(**options)))
    sampler = Augmentations(preset=preset)
    Augmentations(preset=preset, **{option: CHANGED[option]})
    assert given[1] == given[0] | {option: CHANGED[option]} != given[0]
    image = jnp.linspace(0, 1, 256 * 3).reshape(16, 16, 3)
    if given[0]["size"] is None:
        ours, expected = (jax.make_jaxpr(kind.pair)(jax.random.key(0), image) for kind in (sampler, build(**given[0])))
        assert str(ours) == str(expected)  # one program, which need not be compiled
        assert all(map(np.array_equal, ours.consts, expected.consts))


@pytest.mark.parametrize("preset", PRESETS)
def test_options_that_are_left_out_are_those_of_the_paper(preset):
    sampler = Augmentations(preset=preset)
    for name, parameter in inspect.signature(PRESETS[preset]).parameters.items():
        assert getattr(sampler, name) == (parameter.default if parameter.default is not None else 0)


def test_an_option_that_a_preset_lacks_must_be_zero():
    assert Augmentations(preset="gray28", blur=0.0).blur == 0
    with pytest.raises(InputError, match=r"'gray28' has no blur=0\.5; set it to 0"):
        Augmentations(preset="gray28", blur=0.5)


def test_one_encoder_must_encode_views_of_every_size():
    first, other = Augmentations(preset="gray28", size=6, num_small=2, small_size=4).encoded_shapes([(8, 8, 1)])
    assert (first, other) == ((6, 6, 1), (4, 4, 1))
    small = {"widths": (4,), "feature_dim": 5}
    assert ENCODERS["convnet"](**small).encodes_both(first, other)
    assert ENCODERS["vit_tiny"](patch=2).encodes_both(first, other)
    assert not ENCODERS["mlp"](**small).encodes_both(first, other)
    for features in (0, 5):  # one grid cell for each place, of which there are fewer in a smaller crop
        assert not ENCODERS["convnet"](widths=(4,), feature_dim=features, grid=4).encodes_both(first, other)
