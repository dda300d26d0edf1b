"""Machines that a program can be compiled for without having them, and what their data sheets promise."""

import math
import os
import re
import shutil
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from mi_coding.errors import InputError
from mi_coding.training.flops import PEAK_FLOPS


class Chip(NamedTuple):
    """A kind of device, by its vendor's data sheet.

    Attributes:
        kind: a key of `PEAK_FLOPS`.
        memory: bytes.
        moves: bytes per second between its main memory and its cores.
        sends: bytes per second in one direction to the others of a slice or of a host.
        sends_far: bytes per second to those of other hosts, where that is another link; else as `sends`.
        passes: cost of a product as a multiple of one in bfloat16, by (dtype, precision).
        compiler: for a GPU, what its compiler must know: name, cores, clock in GHz, level 2 cache and compute
            capability; None for a TPU, whose compiler knows them.
    """

    kind: str
    memory: int
    moves: float
    sends: float
    sends_far: float
    passes: dict[tuple[str, str], float]
    compiler: tuple[str, int, float, int, tuple[int, int]] | None = None

    @property
    def flops(self) -> float:
        """Operations per second of a bfloat16 product."""
        return PEAK_FLOPS[self.kind]

    @property
    def platform(self) -> str:
        """The platform, as JAX names it."""
        return "gpu" if self.compiler else "tpu"


# A TPU computes a float32 product as one, three or six products in bfloat16 (jax.lax.Precision).
_THREE = {("float32", "BF16_BF16_F32_X3"): 3.0}
_TPU = {("float32", "DEFAULT"): 1.0, ("float32", "HIGH"): 3.0, ("float32", "HIGHEST"): 6.0} | _THREE
# A GPU has TensorFloat-32 at half the speed, and float32 outside its tensor cores: A100 19.5, H100 67, B200 75 TFLOP/s.
_A100, _H100, _B200 = (
    {("float32", "DEFAULT"): 2.0, ("float32", "HIGH"): 2.0, ("float32", "HIGHEST"): slow} | _THREE
    for slow in (312 / 19.5, 989 / 67, 2250 / 75)
)

CHIPS = {
    "v5e": Chip("TPU v5 lite", 16 * 2**30, 819e9, 200e9, 200e9, _TPU),
    "v5p": Chip("TPU v5", 95 * 2**30, 2765e9, 600e9, 600e9, _TPU),
    "v6e": Chip("TPU v6 lite", 32 * 2**30, 1640e9, 400e9, 400e9, _TPU),
    "a100": Chip("A100", 80 * 10**9, 2039e9, 300e9, 25e9, _A100, ("A100-SXM4-80GB", 108, 1.41, 40 * 2**20, (8, 0))),
    "h100": Chip("H100", 80 * 10**9, 3350e9, 450e9, 50e9, _H100, ("H100 80GB HBM3", 132, 1.98, 50 * 2**20, (9, 0))),
    "h200": Chip("H200", 141 * 10**9, 4800e9, 450e9, 50e9, _H100, ("H200", 132, 1.98, 50 * 2**20, (9, 0))),
    "b200": Chip("B200", 180 * 10**9, 7700e9, 900e9, 50e9, _B200, ("B200", 148, 1.965, 126 * 2**20, (10, 0))),
}
"""Name of a target before the colon → its chip."""

EXAMPLES = "v5e:2x4, v5e:16x16, v5p:4x4x4, v6e:16x16, h100:8, h200:8x8"
"""Targets as they are written: a slice of TPUs by its shape, or GPUs as hosts x GPUs per host, or those of one host."""


class Target(NamedTuple):
    """A number of chips of one kind, for which programs can be compiled.

    Attributes:
        name: such as "v5e:16x16".
        chip: the kind of chip.
        devices: as the compiler describes them.
        hosts: machines that they are in; 1 for a slice of TPUs, whose chips are all connected.
    """

    name: str
    chip: Chip
    devices: Sequence[jax.Device]
    hosts: int

    @property
    def sends(self) -> float:
        """Bytes per second that each device sends in a ring of all."""
        return self.chip.sends if self.hosts == 1 else self.chip.sends_far

    def passes(self, dtype: Any, precision: Any) -> float:
        """The cost of a product as a multiple of one in bfloat16."""
        name = getattr(precision, "name", None) or str(precision or "DEFAULT").upper()
        return self.chip.passes.get((jnp.dtype(dtype).name, name), 1.0)


def find_target(name: str) -> Target:
    """The devices of a target, see `EXAMPLES`; none of them need be present.

    Raises:
        InputError: for an unknown name, an impossible slice, or where the compiler is not installed.
    """
    kind, _, shape = _slice_of_type(name).partition(":")
    if kind not in CHIPS:
        near = get_close_matches(kind, CHIPS, 1)
        hint = f"did you mean {near[0]}:{shape or 8}?" if near else f"expected one such as {EXAMPLES}"
        raise InputError(f"--target={name} is unknown; {hint}")
    if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*){0,2}", shape):
        raise InputError(f"--target={name} has no shape; expected one such as {EXAMPLES}")
    chip = CHIPS[kind]
    return _gpus(name, chip, shape) if chip.compiler else _tpus(f"{kind}:{shape}", chip)


def _slice_of_type(name: str) -> str:
    """The shape of a Cloud TPU by its accelerator type, whose number counts chips, or cores of a v5p; else the name.

    >>> _slice_of_type("v5litepod-16"), _slice_of_type("v5p-8"), _slice_of_type("h100:8")
    ('v5e:4x4', 'v5p:2x2x1', 'h100:8')
    """
    found = re.fullmatch(r"(v5litepod|v5p|v6e)-(\d+)", name)
    if not found:
        return name
    is_cube, count = found[1] == "v5p", int(found[2])
    chips, sides = (count // 2, [1, 2, 2]) if is_cube else (count, [1, 1])
    while math.prod(sides) < chips:  # the shortest side doubles
        sides = sorted([2 * min(sides), *sorted(sides)[1:]])
    kind = "v5e" if found[1] == "v5litepod" else found[1]
    return f"{kind}:{'x'.join(map(str, sides[1:] + sides[:1] if sides == [1, 2, 2] else sides))}"


def _tpus(name: str, chip: Chip) -> Target:
    if find_spec("libtpu") is None:
        raise InputError(f"--target={name} needs the compiler of TPUs; install it: pip install -e '.[tpu]'")
    # They are read when libtpu is loaded: it would look for TPUs here, and refuse a second process that compiles.
    os.environ.update(TPU_SKIP_MDS_QUERY="1", ALLOW_MULTIPLE_LIBTPU_LOAD="1")
    return Target(name, chip, _topology(name, platform="tpu", topology_name=name), 1)


def _gpus(name: str, chip: Chip, shape: str) -> Target:
    if find_spec("jax_cuda13_plugin") is None:
        raise InputError(f"--target={name} needs the compiler of GPUs; install it: pip install -e '.[compile-cuda]'")
    _find_ptxas(name)
    hosts, _, each = shape.rpartition("x")
    if "x" in hosts:
        raise InputError(f"--target={name} has three numbers; expected hosts x GPUs of each, such as h200:8x8")
    options = {"topology": f"1x{hosts or 1}x{each}", "target_config": _description(chip)}
    devices = _topology(name, platform="cuda", topology_name=name, **options)
    return Target(name, chip, devices, int(hosts or 1))


def _topology(name: str, **how: str) -> Sequence[jax.Device]:
    from jax.experimental import topologies

    try:
        return topologies.get_topology_desc(**how).devices
    except Exception as error:  # of the compiler: of several types, and in its own words
        raise InputError(f"--target={name} is refused by the compiler: {' '.join(str(error).split())[:200]}") from None


def _find_ptxas(name: str) -> None:
    """Adds the PTX assembler that is installed with the plug-in to PATH, unless PATH has one already."""
    if shutil.which("ptxas"):
        return
    for found in (path for folder in sys.path for path in Path(folder).glob("nvidia/*/bin/ptxas")):
        os.environ["PATH"] = f"{found.parent}{os.pathsep}{os.environ.get('PATH', '')}"
        return
    raise InputError(f"--target={name} needs ptxas, which is not on the path; pip install -e '.[compile-cuda]' has it")


def _description(chip: Chip) -> str:
    """What the compiler must know of a GPU, a GpuTargetConfigProto as text, from public figures."""
    name, cores, clock, cache, (major, minor) = chip.compiler
    shared = 233472 if major >= 9 else 167936  # bytes of shared memory of a core
    device = {
        "threads_per_block_limit": 1024,
        "threads_per_warp": 32,
        "shared_memory_per_block": 49152,
        "shared_memory_per_core": shared,
        "shared_memory_per_block_optin": shared - 1024,
        "threads_per_core_limit": 2048,
        "core_count": cores,
        "fpus_per_core": 128 if major >= 9 else 64,
        "block_dim_limit_x": 2**31 - 1,
        "block_dim_limit_y": 65535,
        "block_dim_limit_z": 65535,
        "memory_bandwidth": int(chip.moves),
        "l2_cache_size": cache,
        "clock_rate_ghz": clock,
        "device_memory_size": chip.memory,
        "registers_per_core_limit": 65536,
        "registers_per_block_limit": 65536,
        "thread_dim_limit_x": 1024,
        "thread_dim_limit_y": 1024,
        "thread_dim_limit_z": 64,
    }
    lines = [f"{field}: {value}" for field, value in device.items()]
    lines.append(f"cuda_compute_capability {{ major: {major} minor: {minor} }}")
    other = 'platform_name: "CUDA" dnn_version_info { major: 9 minor: 10 }'
    return f'gpu_device_info {{ {" ".join(lines)} }} {other} device_description_str: "NVIDIA {name}"'
