"""How much information do two arrays share? I(x; y) in nats, with no tuning.

`estimator.py` goes from the arrays to an `MIEstimate`; every other file is one part of that.
"""

from mi_coding.estimate.estimator import EFFORTS, estimate_mi
from mi_coding.estimate.result import Bound, MIEstimate

__all__ = ["EFFORTS", "Bound", "MIEstimate", "estimate_mi"]
