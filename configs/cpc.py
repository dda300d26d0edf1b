"""CPC on pairs of frames of moving handwritten digits.

    python -m mi_coding.main --config=configs/cpc.py

Two CPU cores, 2 minutes. Expect a linear probe near 0.97 for the digit in one frame (raw pixels 0.18, untrained encoder
0.6), kNN near 0.95 (0.86, 0.7) and a held-out bound near 4.9 nats of the 5.55 that N = 256 allows.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """Two frames of one clip of a digit that moves and bounces, and slowly turns, grows and fades."""
    config = ConfigDict({"objective": {"name": "cpc"}, "batch_size": 256, "num_steps": 1250})  # N = B candidates
    config.data = {"source": "digits"}  # the 1,797 digits inside scikit-learn
    config.pairs = {"name": "frames", "window": 16, "clip_seconds": 4.0, "frame_rate": 10.0, "gap": 2.0, "speed": 8.0}
    config.pairs.update({"turn": 25.0, "grow": 0.2, "fade": 0.4})  # degrees; fractions of size and of brightness
    # With relu, runs on different device counts diverge after a few hundred steps: rounding decides at its corner.
    config.encoder = {"name": "convnet", "widths": (32, 64, 128), "activation": "smelu", "code_dim": 64}
    config.critic = {"name": "inner_product", "normalize": True, "temperature": 0.1}  # the cosine
    config.optimizer = {"name": "muon", "learning_rate": 0.012, "warmup_steps": 100, "weight_decay": 0.1}
    config.evaluation = {"views": 4}  # single frames drawn from each image for the probes
    return config
