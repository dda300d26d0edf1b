"""Mutual information coding: codes that carry information about the other half of a pair, in nats."""

from mi_coding.objectives.cpc import CPCOutput, cpc, cpc_loss_floor, nt_xent

__all__ = ["CPCOutput", "cpc", "cpc_loss_floor", "nt_xent"]
__version__ = "0.1.0"
