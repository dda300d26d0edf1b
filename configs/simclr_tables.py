"""SimCLR on the rows of a table: x is a row, and in y some values come from other rows (SCARF, arXiv:2106.15147).

    python -m mi_coding.main --config=simclr_tables --config.data.source=npz:PATH

np.savez("table.npz", x=x) writes such a file, with numbers [n, D]; optionally labels=…, class numbers from 0, for the
probes. Columns are standardised to mean 0 and variance 1. The rate of replaced values, the temperature and the network
are the paper's.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """The recipe of the paper."""
    config = ConfigDict({"objective": {"name": "nt_xent"}, "batch_size": 128, "num_steps": 1500})
    config.data = {"source": "npz:table.npz"}  # a file with an array x
    config.pairs = {"name": "corrupted", "rate": 0.6}
    config.encoder = {"name": "mlp", "widths": (256, 256, 256), "code_dim": 256}
    config.critic = {"temperature": 1.0}
    config.optimizer = {"learning_rate": 1e-3, "weight_decay": 1e-4}
    return config
