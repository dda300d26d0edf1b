"""The Python face: `fit` learns an encoder of what a person has, `train` carries out a config."""

from mi_coding.learn.fit import fit
from mi_coding.learn.train import TrainedRun, train
from mi_coding.learn.transformer import ContrastiveEncoder

__all__ = ["ContrastiveEncoder", "TrainedRun", "fit", "train"]
