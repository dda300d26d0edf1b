"""The sigmoid loss of SigLIP: each candidate is judged alone, with a learned temperature and bias."""

from dataclasses import dataclass

from mi_coding.methods.density_ratio import DensityRatio
from mi_coding.objectives.density_ratio import sigmoid_loss
from mi_coding.options import option


@dataclass(frozen=True, eq=False)
class Sigmoid(DensityRatio):
    """config.objective.name = "sigmoid". Source: arXiv:2303.15343."""

    bias: float = option("critic.bias", -10.0, "initial value of the learnt bias that is added to all scores")
    learn_temperature: bool = option("critic.learn_temperature", True, "learn it, starting from critic.temperature")

    ratio_loss = staticmethod(sigmoid_loss)
