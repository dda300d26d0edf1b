"""Gaussian information on Fashion-MNIST: canonical correlations of the codes over a batch (deep CCA).

    python -m mi_coding.main --config=configs/gaussian_fashion_mnist.py

configs/README.md compares it with the other objectives, after an equal time of training.
TFDS finds the data in TFDS_DATA_DIR; where it is missing, the command says how to prepare it.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """All but the objective and the head is the same for every objective in the table of configs/README.md."""
    config = ConfigDict({"objective": {"name": "gaussian"}, "batch_size": 256, "num_steps": 2500})
    config.data = {"source": "tfds:fashion_mnist"}  # or "folder:PATH"
    config.pairs = {"name": "augmentations", "preset": "gray28", "min_area": 0.4, "flip": 0.5, "mask": 0.0}
    config.encoder = {"name": "convnet", "feature_dim": 1024, "grid": 4}  # a grid keeps coarse positions
    config.encoder.update({"head_width": 256, "head_batch_norm": True, "code_dim": 64})
    config.optimizer = {"learning_rate": 2e-3, "weight_decay": 1e-4}
    config.update({"log": {"every_steps": 50}, "checkpoint": {"every_steps": 1000}})
    config.evaluation = {"every_steps": 500, "knn_neighbours": 200, "knn_temperature": 0.1}  # among 54,000 images
    return config
