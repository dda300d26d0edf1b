"""SimCLR on handwritten digits: x and y are two random augmentations of one image.

    python -m mi_coding.main --config=configs/simclr.py

About 2 minutes on 2 CPU cores; linear probe 0.987, kNN 0.987, untrained encoder 0.967, held-out bound 3.74 nats.
The digits ship inside scikit-learn; for images of your own: --config.data.source=folder:PATH
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """Digits at 16 pixels, without flips: their left and right are not interchangeable."""
    config = ConfigDict({"objective": {"name": "nt_xent"}, "batch_size": 256, "num_steps": 1500})  # N = 2B − 1
    config.data = {"source": "digits", "image_size": 16}  # or "folder:PATH", "tfds:NAME"
    config.pairs = {"name": "augmentations", "preset": "gray28", "min_area": 0.25, "flip": 0.0, "mask": 0.5}
    config.encoder = {"name": "convnet", "code_dim": 64}
    config.critic = {"temperature": 0.1}  # divides the cosines
    return config
