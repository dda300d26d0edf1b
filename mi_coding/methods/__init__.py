"""How codes are learnt: one method per file.

A method whose loss is a function of the codes of both halves is a `TwoHalves` that defines `codes_loss`, or a
`Statistics`, which has held-out bounds and defines `statistic`.
"""

from mi_coding.methods.barlow_twins import BarlowTwins
from mi_coding.methods.base import Encoded, Method, OutputCodes, Parts, Variables
from mi_coding.methods.cotraining import CoTraining
from mi_coding.methods.cpc import CPC
from mi_coding.methods.cpc_ahead import CPCAhead
from mi_coding.methods.gaussian import Gaussian
from mi_coding.methods.jensen_shannon import JensenShannon
from mi_coding.methods.nnclr import NNCLR
from mi_coding.methods.nt_xent import NTXent
from mi_coding.methods.nwj import NWJ
from mi_coding.methods.sigmoid import Sigmoid
from mi_coding.methods.smile import SMILE
from mi_coding.methods.statistics import Statistics
from mi_coding.methods.supcon import SupCon
from mi_coding.methods.supervised import Supervised
from mi_coding.methods.two_halves import TwoHalves
from mi_coding.methods.vicreg import VICReg

METHODS: dict[str, type[Method]] = {
    "cpc": CPC,
    "nt_xent": NTXent,
    "cpc_ahead": CPCAhead,
    "nnclr": NNCLR,
    "supcon": SupCon,
    "nwj": NWJ,
    "jensen_shannon": JensenShannon,
    "smile": SMILE,
    "sigmoid": Sigmoid,
    "vicreg": VICReg,
    "barlow_twins": BarlowTwins,
    "gaussian": Gaussian,
    "cotraining": CoTraining,
    "supervised": Supervised,
}
"""Names of `config.objective.name`."""
