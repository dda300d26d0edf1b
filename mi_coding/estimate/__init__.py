"""How much information do two arrays share? I(x; y) in nats, with no tuning.

* `estimator.py`     `estimate_mi`: the whole estimate, from arrays to an `MIEstimate`
* `columns.py`       checks of the arrays, ranks, normal scores, features
* `correlation.py`   kernel canonical correlation: codes that straighten what was bent, mixed or turned
* `copula.py`        the closed form: Gaussian and Student-t copulas
* `start.py`         which closed form, chosen by held-out score
* `folds.py`         the splits of the rows
* `crossfit.py`      networks that correct the closed form, scored on pairs they never saw
* `neighbours.py`    nearest neighbours, for few dimensions
* `independence.py`  a permutation test
* `result.py`        what an estimate is
"""

from mi_coding.estimate.estimator import EFFORTS, estimate_mi
from mi_coding.estimate.result import Bound, MIEstimate

__all__ = ["EFFORTS", "Bound", "MIEstimate", "estimate_mi"]
