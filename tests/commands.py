"""Short runs of the command, in this process and in one of their own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
CPC = str(ROOT / "configs" / "cpc.py")
# A run of a few seconds that still goes through every room.
SHORT = [
    "--config.batch_size=16",
    "--config.num_steps=6",
    "--config.optimizer.warmup_steps=2",
    "--config.log.every_steps=2",
    "--config.evaluation.every_steps=3",
    "--config.evaluation.num_pairs=64",
    "--config.evaluation.views=1",
    "--config.encoder.widths=(4,8)",
    "--config.encoder.feature_dim=16",
    "--config.encoder.head_width=8",
    "--config.encoder.code_dim=4",
]


def command(*arguments, config=CPC, short=True):
    return [
        sys.executable,
        "-m",
        "mi_coding.main",
        f"--config={config}",
        *(SHORT if short else []),
        *map(str, arguments),
    ]


def start(*arguments, devices=1, **options):
    """The command in a process of its own, on so many virtual devices."""
    environment = os.environ | {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
    return subprocess.Popen(
        command(*arguments, **options), env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
