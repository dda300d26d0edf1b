"""Deep co-training on Fashion-MNIST: one symbol with ten values, from two random augmentations of an image.

    python -m mi_coding.main --config=configs/cotraining_fashion_mnist.py

With seed 0, 5 minutes of training on 2 CPU cores: I = 1.85 of H = 2.30 nats, clustering accuracy 0.715 (k-means on
pixels: 0.536). The code is chosen by held-out pairs, never by labels.
TFDS finds the data in TFDS_DATA_DIR; where it is missing, the command says how to prepare it.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """Larger crops, no masking, and features that keep coarse positions."""
    config = ConfigDict({"batch_size": 256, "num_steps": 2000})
    config.data = {"source": "tfds:fashion_mnist"}
    config.pairs = {"name": "augmentations", "preset": "gray28", "min_area": 0.4, "mask": 0.0}
    config.encoder = {"name": "convnet", "feature_dim": 512, "grid": 4, "head_batch_norm": True}
    config.objective = {"name": "cotraining"}
    config.optimizer = {"weight_decay": 1e-4, "warmup_steps": 100}
    config.update({"log": {"every_steps": 50}, "checkpoint": {"every_steps": 1000, "keep": 2}})
    config.evaluation = {"every_steps": 500, "num_pairs": 10_240, "knn_neighbours": 200, "knn_temperature": 0.1}
    return config
