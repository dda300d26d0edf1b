"""Laws of codes: the distribution that an encoder outputs, and models P_Ψ(z) and P_Φ(z|z′) of the population."""

from mi_coding.objectives.codes.autoregressive import autoregressive
from mi_coding.objectives.codes.continuous import coupling_flow, gaussian_mixture
from mi_coding.objectives.codes.encoded import (
    MOST_CODES,
    all_codes,
    entropy,
    pair_population,
    population,
    sample_codes,
)
from mi_coding.objectives.codes.markov import independent, markov
from mi_coding.objectives.codes.model import CodeModel, exact_entropy, log_prob, sample
