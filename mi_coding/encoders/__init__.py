"""Flax modules x → z, one family per file, exposed as pure functions so that no other package depends on Flax."""

from mi_coding.encoders.activation import ACTIVATIONS
from mi_coding.encoders.base import DTYPES, Backbone
from mi_coding.encoders.convnet import ConvNet
from mi_coding.encoders.encoder import ENCODERS, Encoder, SequenceEncoder, build, build_sequence
from mi_coding.encoders.head import HeadOptions, NoHead, ProjectionHead
from mi_coding.encoders.mlp import MLP
from mi_coding.encoders.resnet import STEMS, ResNet18, ResNet34, ResNet50
