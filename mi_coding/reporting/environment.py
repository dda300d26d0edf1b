"""The environment of a run: enough to repeat it."""

import functools
import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path


def describe_environment() -> dict[str, str]:
    """Name → value: the command, the commit, Python, the machine, and the version of every package that matters."""
    packages = ("jax", "flax", "optax", "orbax-checkpoint", "numpy", "scikit-learn")
    return {
        "command": shlex.join(sys.argv),
        "mi_coding": version(),
        "Python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPU cores",
    } | {name: importlib.metadata.version(name) for name in packages}


def describe_run(num_devices: int, device_kind: str) -> dict[str, str]:
    """Entries of summary.json that describe the hardware that a run used, and the version.

    >>> sorted(describe_run(8, "NVIDIA H100 80GB HBM3"))
    ['train/hardware', 'train/version']
    """
    devices = f"{num_devices} × {device_kind}"
    hardware = f"{devices}, {os.cpu_count()} CPU cores" if device_kind == "cpu" else devices
    return {"train/hardware": hardware, "train/version": version()}


@functools.cache
def version() -> str:
    """The version and the commit of the source, as they were when this process first asked: a tree may change later."""
    return f"{importlib.metadata.version('mi_coding')} {_commit()}".strip()


def _commit() -> str:
    """The short hash of the source's commit; "" where the package was installed without its repository."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
