"""The Python interface: `fit` trains an encoder on the user's data, `train` runs a config."""

from mi_coding.learn.fit import fit
from mi_coding.learn.train import TrainedRun, train
from mi_coding.learn.transformer import ContrastiveEncoder

__all__ = ["ContrastiveEncoder", "TrainedRun", "fit", "train"]
