"""CPC on given pairs: row i of an array x belongs to row i of an array y, such as two recordings of one moment.

    python -m mi_coding.main --config=configs/cpc_arrays.py --config.data.source=npz:PATH

np.savez("pairs.npz", x=x, y=y) writes such a file: vectors or images, uint8 or floats, of the same or different shapes;
optionally labels=…, class numbers from 0, for the probes. Columns of tables are standardised to mean 0 and variance 1.
Images paired with vectors need an encoder of their own:
--config.encoder.name=convnet --config.encoder.widths='(32,64,128)' --config.encoder_y.name=mlp

Two CPU cores, half a minute. For 20,000 Gaussian pairs in 8 dimensions that share 2 or 4 nats, expect held-out bounds
of 1.91 and 3.76. A warning appears if pairs are memorised; then more weight_decay, fewer steps or more pairs help.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """Pairs as given; x and y have separate encoders."""
    config = ConfigDict({"batch_size": 256, "num_steps": 1500})
    config.data = {"source": "npz:pairs.npz"}  # a file with arrays x and y
    config.pairs = {"name": "given", "encoders": "separate"}
    config.encoder = {"name": "mlp", "widths": (256, 256)}  # takes any shape
    # The plain inner product; a temperature of 0.1 suits cosines.
    config.critic = {"normalize": False, "temperature": 1.0}
    config.objective = {"name": "cpc", "symmetric": True}
    config.optimizer = {"weight_decay": 2.0}  # vectors are soon memorised, and no augmentation prevents it
    return config
