"""The network and the loss of a config in PyTorch, to time its training step beside ours.

Only what costs time is the same: layers and their sizes, batch, loss, kind of optimiser. Weights are PyTorch's own, and
the pairs are random numbers that exist from the start: the time to read and to augment them is left out.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import jax
import torch
from torch import nn

from mi_coding.encoders import Backbone, HeadOptions
from mi_coding.encoders.activation import SMELU_BETA
from mi_coding.encoders.convnet import ConvNet
from mi_coding.encoders.mlp import MLP
from mi_coding.encoders.resnet import STEMS, ResNet
from mi_coding.errors import InputError, Setting
from mi_coding.runs.build import Plan

LAYOUTS = {"PyTorch": torch.contiguous_format, "PyTorch, channels last": torch.channels_last}
"""The memory layouts of images and kernels that are timed. The first is PyTorch's default."""

_OPTIMIZERS = {  # LARS is not part of PyTorch; plain momentum does less
    "adamw": torch.optim.AdamW,
    "sgd": lambda parameters: torch.optim.SGD(parameters, 1e-3, momentum=0.9),
    "lars": lambda parameters: torch.optim.SGD(parameters, 1e-3, momentum=0.9),
}


def torch_steps(plan: Plan, params: Any, shape: tuple[int, ...], steps: int) -> dict[str, Callable[[], None]]:
    """Layout → a function that takes training steps with the batch size of a config.

    Args:
        plan: of the config.
        params: ours, of the encoder with its head: the network in PyTorch must have as many.
        shape: of an example.
        steps: in one call of a function.
    Raises:
        InputError: for a config that has no counterpart here.
    """
    name = plan.method.name
    if name not in _LOSSES:
        raise InputError(Setting("objective.name", name), f" is not timed in PyTorch; expected {' or '.join(_LOSSES)}")
    if plan.pairs.has_several or plan.pairs.two_encoders:
        raise InputError(Setting("pairs"), " is not timed in PyTorch; expected two views and one encoder")
    if getattr(plan.encoder, "dtype", "float32") != "float32":
        raise InputError(Setting("encoder.dtype", plan.encoder.dtype), " is not timed in PyTorch; expected 'float32'")
    if plan.optimizer.name not in _OPTIMIZERS:
        asked = Setting("optimizer.name", plan.optimizer.name)
        raise InputError(asked, f" is not timed in PyTorch; expected {' or '.join(_OPTIMIZERS)}")
    runs = {layout: _steps(plan, params, shape, form, steps) for layout, form in LAYOUTS.items()}
    return runs if len(shape) == 3 else {"PyTorch": runs["PyTorch"]}


def _steps(plan: Plan, params: Any, shape: tuple[int, ...], layout: torch.memory_format, steps: int) -> Callable:
    channels_first = (shape[2], *shape[:2]) if len(shape) == 3 else shape
    x = torch.rand(2 * plan.run.batch_size, *channels_first)
    model = nn.Sequential(*backbone(plan.encoder, channels_first), *_head(plan.method.head, plan.method.code_dim))
    model(x[:2])  # sets the sizes of lazy layers
    if len(shape) == 3:
        model, x = model.to(memory_format=layout), x.contiguous(memory_format=layout)
    ours = sum(leaf.size for leaf in jax.tree.leaves(params))
    theirs = sum(parameter.numel() for parameter in model.parameters())
    if ours != theirs:
        raise InputError(f"the network has {ours:,} parameters here and {theirs:,} in PyTorch: they are not the same")
    optimizer = _OPTIMIZERS[plan.optimizer.name](model.parameters())
    loss_of, temperature = _LOSSES[plan.method.name], plan.method.temperature

    def run() -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            loss_of(*model(x).chunk(2), temperature).backward()
            optimizer.step()

    return run


def _cpc(z_x: torch.Tensor, z_y: torch.Tensor, temperature: float) -> torch.Tensor:
    z_x, z_y = nn.functional.normalize(z_x), nn.functional.normalize(z_y)
    scores, true = z_x @ z_y.T / temperature, torch.arange(len(z_x))
    return (nn.functional.cross_entropy(scores, true) + nn.functional.cross_entropy(scores.T, true)) / 2


def _nt_xent(z_x: torch.Tensor, z_y: torch.Tensor, temperature: float) -> torch.Tensor:
    pool = nn.functional.normalize(torch.cat([z_x, z_y]))
    scores = (pool @ pool.T / temperature).fill_diagonal_(float("-inf"))
    return nn.functional.cross_entropy(scores, torch.arange(len(pool)).roll(len(z_x)))


_LOSSES = {"cpc": _cpc, "nt_xent": _nt_xent}


def backbone(encoder: Backbone, shape: tuple[int, ...]) -> Iterator[nn.Module]:
    """The layers of a network up to its features, for examples of a shape with the channels first."""
    for kind, make in _NETWORKS.items():
        if isinstance(encoder, kind):
            return make(encoder, shape)
    raise InputError(Setting("encoder.name"), " is not timed in PyTorch; expected convnet, mlp, resnet18 or resnet34")


class _SmeLU(nn.Module):
    """`encoders.activation.smelu` in as few passes as PyTorch's own operations allow."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        bent = (x + SMELU_BETA).clamp(0, 2 * SMELU_BETA)
        return bent.square().div(4 * SMELU_BETA) + nn.functional.relu(x - SMELU_BETA)


_ACTIVATIONS = {"relu": nn.ReLU, "smelu": _SmeLU, "identity": nn.Identity}


def _activation(kind: Any) -> nn.Module:
    """The activation of an encoder or of a head, which PyTorch has or which is written above."""
    if kind.activation not in _ACTIVATIONS:
        asked = Setting("encoder.activation", kind.activation)
        raise InputError(asked, f" is not timed in PyTorch; expected {' or '.join(_ACTIVATIONS)}")
    return _ACTIVATIONS[kind.activation]()


def _convnet(encoder: ConvNet, shape: tuple[int, ...]) -> Iterator[nn.Module]:
    for layer, (before, width) in enumerate(pairwise((shape[0], *encoder.widths))):
        side, stride = 3 if layer else 5, 1 if 0 < layer == len(encoder.widths) - 1 else 2
        yield from (nn.Conv2d(before, width, side, stride, side // 2), _activation(encoder))
    yield from (nn.AdaptiveAvgPool2d(encoder.grid), nn.Flatten())
    if encoder.feature_dim:
        yield from (nn.LazyLinear(encoder.feature_dim), _activation(encoder))


def _mlp(encoder: MLP, shape: tuple[int, ...]) -> Iterator[nn.Module]:
    del shape
    yield nn.Flatten()
    for width in (*encoder.widths, encoder.feature_dim):
        yield from (nn.LazyLinear(width), _activation(encoder))


def _resnet(encoder: ResNet, shape: tuple[int, ...]) -> Iterator[nn.Module]:
    if encoder.depth == 50:
        raise InputError(Setting("encoder.name", "resnet50"), " is not timed in PyTorch; expected resnet18 or resnet34")
    width = int(64 * encoder.width_multiplier)
    yield from _normed(shape[0], width, *STEMS[encoder.stem])
    yield nn.ReLU()
    if encoder.stem == "imagenet":
        yield nn.MaxPool2d(3, 2, 1)
    blocks, before = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}[encoder.depth], width
    for stage, count in enumerate(blocks):
        for index in range(count):
            after = width * 2**stage
            yield _Block(before, after, 2 if stage and not index else 1)
            before = after
    if encoder.feature_dim:
        yield from (*_normed(before, encoder.feature_dim, 1, 1), nn.ReLU())
    yield from (nn.AdaptiveAvgPool2d(encoder.grid), nn.Flatten())


class _Block(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_normed(before, after, 3, stride), nn.ReLU(inplace=True), *_normed(after, after, 3, 1)
        )
        same = stride == 1 and before == after
        self.shortcut = nn.Identity() if same else nn.Sequential(*_normed(before, after, 1, stride))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.relu(self.body(x) + self.shortcut(x))


def _normed(before: int, after: int, side: int, stride: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(before, after, side, stride, side // 2, bias=False), nn.BatchNorm2d(after)


_NETWORKS = {ConvNet: _convnet, MLP: _mlp, ResNet: _resnet}


def _head(head: HeadOptions, code_dim: int) -> Iterator[nn.Module]:
    for _ in range(head.layers - 1):
        yield nn.LazyLinear(head.width, bias=not head.batch_norm)
        if head.batch_norm:
            yield nn.LazyBatchNorm1d()
        yield _activation(head)
    yield nn.LazyLinear(code_dim)
