"""The sigmoid loss of SigLIP: each candidate is judged alone, with a learned temperature and bias."""

from dataclasses import dataclass

from mi_coding.methods.density_ratio import DensityRatio
from mi_coding.objectives.density_ratio import sigmoid_loss
from mi_coding.options import option


@dataclass(frozen=True, eq=False)
class Sigmoid(DensityRatio):
    """config.objective.name = "sigmoid": Source: arXiv:2303.15343."""

    bias: float = option("critic.bias", -10.0, "what is added to all scores at first; it is learnt")
    learn_temperature: bool = option("critic.learn_temperature", True, "critic.temperature is where it begins")

    ratio_loss = staticmethod(sigmoid_loss)
