"""Deep co-training on handwritten digits: one symbol, from two augmentations of an image.

    python -m mi_coding.main --config=configs/cotraining.py

Six codes with ten values on one encoder, of which one is chosen by held-out information: 1.5 nats, clustering accuracy
0.75. The augmentations change brightness on purpose: codes of two frames of a moving digit also share 1.5 nats, but
about brightness, with a clustering accuracy of 0.16.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """Six codes of one symbol with ten values, from augmentations of digits at 16 pixels."""
    config = ConfigDict({"batch_size": 256, "num_steps": 1500, "seed": 0})
    config.data = {"source": "digits", "image_size": 16}
    config.pairs = {"name": "augmentations", "preset": "gray28", "min_area": 0.25, "flip": 0.0}
    # Without batch norm in the head, all codes start out nearly identical.
    config.encoder = {"name": "convnet", "head_batch_norm": True}
    config.code = {"num_symbols": 1, "num_values": 10, "num_heads": 6}
    config.objective = {"name": "cotraining", "beta": 0.0}  # (1 − β) H(z_x) − H(z_x|z_y) is maximised
    return config
