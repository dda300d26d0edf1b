"""lightly's SimCLR with the network, the augmentations and the optimiser of a config, for a given time.

    python -m mi_coding.benchmarks.lightly_simclr --minutes=90 --config=simclr_cifar10_cpu [--workers=2]
        --config.optimizer.name=adamw --config.optimizer.learning_rate=4e-3 [--config.KEY=VALUE …]

Needs lightly and PyTorch (`pip install lightly torch torchvision`). Transform, loss and data loader are lightly's and
PyTorch's own, with channels last, which is the faster layout on a CPU. The learning rate falls along a cosine over
that time. The probes are those of `mi_coding.main`, on the same splits.
"""

import json
import math
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np

from mi_coding.benchmarks.arguments import split_arguments
from mi_coding.command import run_command
from mi_coding.data import Split
from mi_coding.errors import InputError, Setting
from mi_coding.evaluation.classifiers import Examples, knn_probe, linear_probe
from mi_coding.runs import build
from mi_coding.runs.build import Plan
from mi_coding.runs.examples import load_data

_SUPPORTED = {
    "objective.name": ("nt_xent",),
    "pairs.preset": ("simclr_cifar10",),
    "pairs.max_area": (1.0,),
    "pairs.flip": (0.5,),
    "pairs.jitter": (0.8,),
    "pairs.views": (2,),
    "pairs.small_views": (0,),
    "encoder.dtype": ("float32",),
    "optimizer.name": ("adamw",),
}
"""Option of a config → the values that have a counterpart here."""

_ENCODED_AT_ONCE = 512
_REPORT_EVERY = 60.0
"""Seconds between two lines of progress."""


def train(plan: Plan, images: np.ndarray, minutes: float, workers: int) -> tuple[Any, dict[str, float]]:
    """The trained backbone, in PyTorch, with the steps, seconds and pairs per second of its training.

    Args:
        plan: of a config with the objective nt_xent and augmentations without blur.
        images: uint8[n, H, W, 3].
        minutes: of training.
        workers: processes that augment images.
    """
    import torch
    from lightly.loss import NTXentLoss
    from lightly.models.modules.heads import SimCLRProjectionHead

    from mi_coding.benchmarks.torch_step import backbone

    torch.manual_seed(plan.run.seed)
    shape = images.shape[3], *images.shape[1:3]
    network = torch.nn.Sequential(*backbone(plan.encoder, shape)).to(memory_format=torch.channels_last)
    width = network(torch.zeros(2, *shape)).shape[1]
    head = SimCLRProjectionHead(width, plan.method.head.width, plan.method.code_dim, plan.method.head.layers)
    model, loss_of = torch.nn.Sequential(network, head), NTXentLoss(plan.method.temperature)
    rate, warm_up = plan.optimizer.learning_rate, plan.optimizer.warmup_steps
    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=plan.optimizer.weight_decay)
    seconds, step, reported, started = 60 * minutes, 0, 0.0, time.monotonic()
    for first, second in _views(plan, images, workers):
        elapsed = time.monotonic() - started
        if elapsed >= seconds:
            break
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1, (step + 1) / max(warm_up, 1)) * (1 + math.cos(math.pi * elapsed / seconds)) / 2
        views = torch.cat([first, second]).contiguous(memory_format=torch.channels_last)
        optimizer.zero_grad()
        loss = loss_of(*model(views).chunk(2))
        loss.backward()
        optimizer.step()
        step += 1
        if elapsed - reported >= _REPORT_EVERY:
            reported, left = elapsed, (seconds - elapsed) / 60
            speed = step * plan.run.batch_size / elapsed
            print(f"step {step:,}, loss {float(loss):.3f}, {speed:.0f} pairs/s, {left:.0f} min left", flush=True)
    elapsed = time.monotonic() - started
    return network, {"steps": step, "seconds": elapsed, "pairs_per_second": step * plan.run.batch_size / elapsed}


def _views(plan: Plan, images: np.ndarray, workers: int) -> Iterator[tuple[Any, Any]]:
    """Batches of two views of images, without end."""
    from lightly.transforms import SimCLRTransform
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset

    pairs = plan.pairs
    views = SimCLRTransform(
        input_size=pairs.size or images.shape[1],
        cj_strength=pairs.strength,
        min_scale=pairs.min_area,
        random_gray_scale=pairs.gray,
        gaussian_blur=0.0,
        normalize=None,
    )

    class Views(Dataset):
        def __len__(self) -> int:
            return len(images)

        def __getitem__(self, i: int) -> list[Any]:
            return views(Image.fromarray(images[i]))

    options = {"num_workers": workers, "persistent_workers": workers > 0}
    loader = DataLoader(Views(), plan.run.batch_size, shuffle=True, drop_last=True, **options)
    while True:
        yield from loader


def probes(plan: Plan, network: Any, splits: tuple[Split, Split, Split]) -> dict[str, float]:
    """Accuracies of the probes of a config on the features of a backbone, in inference mode."""
    import torch

    network.eval()

    def encoded(split: Split) -> Examples:
        known = np.flatnonzero(split.labels >= 0)
        images, found = np.asarray(split.examples)[known], []
        with torch.no_grad():
            for start in range(0, len(images), _ENCODED_AT_ONCE):
                views = np.array(plan.pairs.stills(images[start : start + _ENCODED_AT_ONCE]))
                part = torch.from_numpy(views).permute(0, 3, 1, 2)
                found.append(network(part.contiguous(memory_format=torch.channels_last)).numpy())
        return Examples(np.concatenate(found), split.labels[known])

    train_part, validation, test = map(encoded, splits)
    vote = {name: plan.config[f"evaluation.knn_{name}"] for name in ("neighbours", "temperature")}
    linear, knn = linear_probe(train_part, validation, test), knn_probe(train_part, test, **vote)
    return {"linear_accuracy": linear.accuracy, "knn_accuracy": knn.accuracy}


def main(argv: list[str] | None = None) -> int:
    """Prints progress and one line of JSON; returns the exit code."""
    return run_command(argv, __doc__, _main)


def _main(argv: list[str]) -> int:
    own, rest = split_arguments(argv, minutes=10.0, workers=2)
    if find_spec("lightly") is None or find_spec("torch") is None:
        raise InputError("lightly is not installed: pip install lightly torch torchvision")
    if not own.minutes > 0 or own.workers < 0:
        raise InputError(f"--minutes={own.minutes:g} --workers={own.workers}; expected minutes > 0 and workers ≥ 0")
    plan = build.plan(build.parse(rest).config)
    for key, supported in _SUPPORTED.items():
        if plan.config.get(key) not in supported:
            expected = f" has no counterpart here; expected {', '.join(map(repr, supported))}"
            raise InputError(Setting(key, plan.config.get(key)), expected)
    dataset = load_data(plan, print)
    network, found = train(plan, np.asarray(dataset.train.examples), own.minutes, own.workers)
    print(json.dumps(found | probes(plan, network, dataset.splits)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
