"""SimCLR on Fashion-MNIST with a small conv net.

    python -m mi_coding.main --config=configs/simclr_fashion_mnist.py

On 2 CPU cores 5 minutes of training and 8 of evaluation, most of it probes and neighbours of 6,272 features: linear
probe 0.904, kNN 0.844, held-out bound 5.08 of 6.24 nats. With `--config.encoder.feature_dim=1024
--config.encoder.grid=4` and 2,500 steps, as the other objectives on this data have them, 10 minutes: 0.877, 0.832, 5.43
nats.
TFDS finds the data in TFDS_DATA_DIR; where it is missing, the command says how to prepare it.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """Fashion-MNIST, with N = 511 candidates."""
    config = ConfigDict({"objective": {"name": "nt_xent"}, "batch_size": 256, "num_steps": 1400})
    config.data = {"source": "tfds:fashion_mnist"}  # or "folder:PATH"
    config.pairs = {"name": "augmentations", "preset": "gray28", "min_area": 0.4, "flip": 0.5, "mask": 0.0}
    config.encoder = {"name": "convnet", "feature_dim": 0, "grid": 7}  # the features are 128 channels of 7 × 7 places
    config.optimizer = {"learning_rate": 2e-3, "weight_decay": 1e-4}
    config.update({"log": {"every_steps": 50}, "checkpoint": {"every_steps": 1000}})
    config.evaluation = {"every_steps": 500, "knn_neighbours": 200, "knn_temperature": 0.1}  # among 54,000 images
    return config
