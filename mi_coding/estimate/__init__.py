"""How much information do two arrays share? I(x; y) in nats, with no tuning.

`estimator.py` turns the arrays into an `MIEstimate`; `features.py`, `series.py` and `several.py` apply it, or counts in
cells, to tables, series and more than two arrays; every other file implements one part of it.
"""

from mi_coding.estimate.estimator import EFFORTS, estimate_mi
from mi_coding.estimate.features import FeatureRanking, MIMatrix, mi_matrix, rank_features
from mi_coding.estimate.result import Bound, MIEstimate
from mi_coding.estimate.series import LagScan, lag_scan, transfer_entropy
from mi_coding.estimate.several import interaction_information, total_correlation

__all__ = [
    "EFFORTS",
    "Bound",
    "FeatureRanking",
    "LagScan",
    "MIEstimate",
    "MIMatrix",
    "estimate_mi",
    "interaction_information",
    "lag_scan",
    "mi_matrix",
    "rank_features",
    "total_correlation",
    "transfer_entropy",
]
