"""An estimate of a few rounds of training: what is tested is the way, not the accuracy."""

import pytest

from mi_coding.estimate import EFFORTS, estimator
from mi_coding.estimate.folds import Training


@pytest.fixture(scope="module")
def short_training():
    """Training of a few rounds where effort="quick" is asked for."""
    patch = pytest.MonkeyPatch()
    patch.setitem(EFFORTS, "quick", estimator.Effort(3, Training(16, 1, 8, 8, 128, 3e-3), 39))
    yield
    patch.undo()
