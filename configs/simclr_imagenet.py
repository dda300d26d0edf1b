"""SimCLR on ImageNet with a ResNet-50: arXiv:2002.05709 at batch 4096 and 100 epochs, with LARS.

    python -m mi_coding.main --config=configs/simclr_imagenet.py --config.data.source=folder:PATH

Meant for a pod or eight large GPUs; only its first steps were run, on images generated for a test. The paper reports a
linear probe of 64.6 % top-1 for this batch and length (figure 9), 69.3 % for 1,000 epochs. PATH holds train/CLASS and
val/CLASS, as in unpacked ImageNet; the 50,000 images of val are the test split and 10 % of train the validation split.
Images are stored as central squares of 256 pixels before the random crop, so the borders of elongated images are never
shown; the paper crops whole images.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """The recipe of section 2 of the paper; each image once per epoch."""
    config = ConfigDict({"objective": {"name": "nt_xent"}, "batch_size": 4096, "num_epochs": 100.0})
    config.data = {"source": "tfds:imagenet2012", "image_size": 256, "channels": 3}
    config.data.update({"placement": "stream", "num_workers": 16})
    # Batches without repeated images are not independent draws, so no training bound is reported.
    config.pairs = {"name": "augmentations", "preset": "simclr_imagenet", "size": 224, "distinct": True}
    config.encoder = {"name": "resnet50", "stem": "imagenet", "dtype": "bfloat16"}
    config.encoder.update({"head_batch_norm": True, "head_width": 2048, "code_dim": 128})
    config.critic = {"temperature": 0.1}
    # The learning rate for B = 256 (section 2.2); or 0.075 with "sqrt" (B.1). Ten epochs of warm-up.
    config.optimizer = {"name": "lars", "learning_rate": 0.3, "learning_rate_scaling": "linear"}
    config.optimizer.update({"warmup_steps": 2815, "weight_decay": 1e-6})
    config.checkpoint = {"every_steps": 1000, "keep": 2}
    config.evaluation = {"every_steps": 2000, "knn_neighbours": 200, "knn_temperature": 0.1}
    return config
