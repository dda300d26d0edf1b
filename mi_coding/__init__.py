"""Mutual information coding: codes that carry information, measured in nats, about the other half of a pair."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mi_coding.objectives import bounds
    from mi_coding.objectives.cpc import CPCOutput, cpc, cpc_loss_floor, nt_xent

__all__ = [
    "CPCOutput",
    "ContrastiveEncoder",
    "MIEstimate",
    "bounds",
    "compare",
    "cpc",
    "cpc_loss_floor",
    "estimate_mi",
    "fit",
    "interaction_information",
    "lag_scan",
    "load_encoder",
    "mi_matrix",
    "nt_xent",
    "rank_features",
    "total_correlation",
    "train",
    "transfer_entropy",
]
__version__ = "0.1.0"

_WHEN_ASKED_FOR = {
    "CPCOutput": "mi_coding.objectives.cpc",
    "bounds": "mi_coding.objectives",
    "cpc": "mi_coding.objectives.cpc",
    "cpc_loss_floor": "mi_coding.objectives.cpc",
    "nt_xent": "mi_coding.objectives.cpc",
    "MIEstimate": "mi_coding.estimate",
    "transfer_entropy": "mi_coding.estimate",
    "total_correlation": "mi_coding.estimate",
    "rank_features": "mi_coding.estimate",
    "mi_matrix": "mi_coding.estimate",
    "lag_scan": "mi_coding.estimate",
    "interaction_information": "mi_coding.estimate",
    "estimate_mi": "mi_coding.estimate",
    "compare": "mi_coding.runs.compare",
    "ContrastiveEncoder": "mi_coding.learn.transformer",
    "fit": "mi_coding.learn.fit",
    "train": "mi_coding.learn.train",
    "load_encoder": "mi_coding.runs.trained_encoder",
}
"""Name → the module that defines it, imported on first use: a command handles signals before the slow imports."""


def __getattr__(name: str) -> Any:
    if name not in _WHEN_ASKED_FOR:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(__import__(_WHEN_ASKED_FOR[name], fromlist=[name]), name)  # as `from … import name`, modules too


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
