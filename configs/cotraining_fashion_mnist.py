"""Deep co-training on Fashion-MNIST: one symbol with ten values, from two random modifications of an image.

    python -m mi_coding.main --config=configs/cotraining_fashion_mnist.py

The data is read from where TFDS looks (TFDS_DATA_DIR); the command says how to prepare it where it is not there.
"""

import runpy
from pathlib import Path

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """configs/cotraining.py, which says what every key means, with other data, pairs and widths."""
    config = runpy.run_path(str(Path(__file__).with_name("cotraining.py")))["get_config"]()
    config.data.source = "tfds:fashion_mnist"
    with config.unlocked():
        config.pairs = _pairs()
    config.num_steps = 4000
    config.encoder.feature_dim = 512
    config.encoder.grid = 4
    config.optimizer.weight_decay = 1e-4
    config.checkpoint.every_steps = 1000
    config.log.every_steps = 50
    config.evaluation.every_steps = 500
    config.evaluation.views = 1  # the image itself is the view: more would be copies
    config.evaluation.knn_neighbours = 200
    config.evaluation.knn_temperature = 0.1
    return config


def _pairs() -> ConfigDict:
    pairs = ConfigDict()
    pairs.name = "augmentations"  # x and y are two random modifications of one image
    pairs.preset = "gray28"  # or "simclr_imagenet", "simclr_cifar10", "custom": which modifications
    pairs.size = 0  # pixels, side of x and y; 0 for the images' own
    pairs.strength = 0.5  # of the colour jitter: brightness, contrast, saturation 0.8, hue 0.2, times this
    pairs.min_area = 0.4  # smallest share of the image that a crop shows
    pairs.flip = 0.5  # probability, as are the next four
    pairs.jitter = 0.8
    pairs.gray = 0.0  # not in gray28
    pairs.blur = 0.0  # in simclr_imagenet
    pairs.mask = 0.0  # in gray28
    pairs.order = "random"  # of the four parts of the jitter; or "fixed"
    pairs.steps = ()  # of "custom", such as ({"name": "rotation", "degrees": 20.0, "p": 0.5}, …)
    pairs.distinct = False  # True keeps twins out of a training batch; its own bound is then none
    return pairs
