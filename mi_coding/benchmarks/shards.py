"""A million small images in Parquet shards: how fast `embed` encodes them, in how much memory, and how long it waits.

    python -m mi_coding.benchmarks.shards [--images=1000000] [--folder=DIR]

The shards are made first, colour JPEGs of 32 × 32 pixels in row groups of 1,000, unless DIR has them; then SimCLR of
configs/simclr.py is trained for a few steps, since the encoder needs no more here. `embed` runs in a process of its
own, whose peak resident memory the system reports.
"""

import argparse
import io
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

MOST_BYTES, MOST_WAITING = 10**9, 0.1
"""Bars: of the memory of the process, and of the share of its time that it waits for input."""

_PER_SHARD, _PER_GROUP, _SIDE = 50_000, 1_000, 32
_EMBED = """
import resource, sys
from mi_coding import embed
assert embed.main(sys.argv[1:]) == 0
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def make_shards(folder: Path, num_images: int) -> None:
    """Writes smooth random pictures with one of ten labels, as Hugging Face datasets lay them out."""
    import pyarrow
    import pyarrow.parquet

    rng, starts = np.random.default_rng(0), range(0, num_images, _PER_SHARD)
    for number, start in enumerate(starts):
        count = min(_PER_SHARD, num_images - start)
        images = [{"bytes": _jpeg(small), "path": None} for small in rng.integers(0, 255, (count, 4, 4, 3), np.uint8)]
        table = pyarrow.table({"image": images, "label": rng.integers(0, 10, count)})
        path = folder / f"train-{number:05d}-of-{len(starts):05d}.parquet"
        pyarrow.parquet.write_table(table, path, row_group_size=_PER_GROUP)


def measure(folder: Path) -> dict[str, float]:
    """Examples per second, peak resident bytes, and the share of the time that `embed` waits."""
    with tempfile.TemporaryDirectory() as work:
        one = min(folder.glob("*.parquet"))
        few = ["num_steps=5", "optimizer.warmup_steps=2", "batch_size=64", "data.image_size=32", "data.channels=3"]
        few += ["evaluation.most_images=500", "evaluation.num_pairs=128", f"data.source=parquet:{one}"]
        train = [sys.executable, "-m", "mi_coding.main", "--config=simclr", f"--workdir={work}/run"]
        subprocess.run([*train, *(f"--config.{option}" for option in few)], check=True, stdout=subprocess.DEVNULL)
        embed = ["embed", f"--workdir={work}/run", f"--source=parquet:{folder}", f"--output={work}/codes.npz"]
        lines = subprocess.run([sys.executable, "-c", _EMBED, *embed], check=True, stdout=subprocess.PIPE, text=True)
    *_, report, resident = lines.stdout.strip().splitlines()
    speed, waiting = re.search(r"([\d,]+) examples/s, ([\d.]+)% of it waiting", report).groups()
    speed, resident, waiting = float(speed.replace(",", "")), 1024 * int(resident), float(waiting) / 100
    return {"examples_per_second": speed, "bytes": resident, "waiting": waiting}


def _jpeg(small: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(small).resize((_SIDE, _SIDE), Image.Resampling.BILINEAR).save(file, "JPEG", quality=85)
    return file.getvalue()


def main(argv: list[str] | None = None) -> int:
    """Prints one line and one of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as made:
        folder = options.folder or Path(made)
        if not any(folder.glob("*.parquet")):
            make_shards(folder, options.images)
        found = measure(folder)
    met = found["bytes"] <= MOST_BYTES and found["waiting"] <= MOST_WAITING
    print(
        f"{found['examples_per_second']:,.0f} examples/s, at most {found['bytes'] / 1e6:,.0f} MB, "
        f"{found['waiting']:.1%} of the time waiting; bars ≤ 1 GB and ≤ 10 %: {'met' if met else 'not met'}"
    )
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
