"""SimCLR on Fashion-MNIST with a small conv net.

    python -m mi_coding.main --config=configs/simclr_fashion_mnist.py

On 2 CPU cores 3 minutes of training and 4 of evaluation: linear probe 0.910, kNN 0.882, held-out bound 5.34 of 6.24
nats; untrained 0.874, 0.824, raw pixels 0.847, 0.844.
TFDS finds the data in TFDS_DATA_DIR; where it is missing, the command says how to prepare it.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """Fashion-MNIST, with N = 511 candidates."""
    config = ConfigDict({"objective": {"name": "nt_xent"}, "batch_size": 256, "num_steps": 1000})
    config.data = {"source": "tfds:fashion_mnist"}  # or "folder:PATH"
    config.pairs = {"name": "augmentations", "preset": "gray28", "min_area": 0.4, "flip": 0.5, "mask": 0.0}
    config.encoder = {"name": "convnet", "feature_dim": 0, "grid": 5, "head_width": 128}  # 128 channels of 5 × 5 cells
    config.optimizer = {"name": "muon", "learning_rate": 8e-3, "weight_decay": 1e-4}
    config.update({"log": {"every_steps": 50}, "checkpoint": {"every_steps": 1000}})
    config.evaluation = {"every_steps": 500}
    return config
