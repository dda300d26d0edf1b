"""Pairs by augmentation: random augmentations of one image, on the device, at the speed of the accelerator."""

from mi_coding.pairs.augmentations.compose import Augmentation, as_float, chain, one_of, sometimes
from mi_coding.pairs.augmentations.presets import PRESETS, augmented, gray28, simclr_cifar10, simclr_imagenet
from mi_coding.pairs.augmentations.table import AUGMENTATIONS, composition
