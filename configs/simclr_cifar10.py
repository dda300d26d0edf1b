"""SimCLR on CIFAR-10 with a ResNet-18: appendix B.9 of arXiv:2002.05709 at batch 512 and 100 epochs.

    python -m mi_coding.main --config=configs/simclr_cifar10.py

For one H200 or a similar GPU, in bfloat16; not run yet. Elsewhere such a recipe gives a linear probe of 0.856 and kNN
of 0.832 (dkobak/simclr-cifar10). A folder of images works as well: --config.data.source=folder:PATH with train/CLASS
and test/CLASS inside. configs/README.md has the command for a short trial on a CPU.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """The paper's recipe, with half its probability of grey images."""
    config = ConfigDict({"objective": {"name": "nt_xent"}, "batch_size": 512, "num_epochs": 100.0})
    config.data = {"source": "tfds:cifar10", "channels": 3}
    config.pairs = {"name": "augmentations", "preset": "simclr_cifar10"}
    config.pairs.gray = 0.1  # others measured about 0.8 % less with the paper's 0.2
    config.encoder = {"name": "resnet18", "stem": "cifar", "dtype": "bfloat16"}
    config.encoder.update({"head_batch_norm": True, "head_width": 512, "code_dim": 128})
    config.critic = {"temperature": 0.2}  # 0.5 for 1,000 epochs
    # The learning rate for B = 256 (B.9). Ten epochs of warm-up: 5,000 of the 50,000 images are for validation.
    config.optimizer = {"name": "lars", "learning_rate": 1.0, "learning_rate_scaling": "linear"}
    config.optimizer.update({"warmup_steps": 880, "weight_decay": 1e-6})
    config.update({"log": {"every_steps": 50}, "checkpoint": {"every_steps": 2000}})
    config.evaluation = {"every_steps": 1000, "knn_neighbours": 200, "knn_temperature": 0.1}
    return config
