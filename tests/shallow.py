"""Residual networks that are quick to compile."""

from contextlib import contextmanager

import pytest

from mi_coding.encoders import resnet


@contextmanager
def one_block_a_stage():
    """The 18 layers are ten, the 50 are 14, with each kind of block and of norm: less than half to compile."""
    with pytest.MonkeyPatch.context() as patch:
        for depth in (18, 50):
            patch.setitem(resnet._STAGES, depth, (resnet._STAGES[depth][0], (1, 1, 1, 1)))
        yield
