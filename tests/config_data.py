"""Data for configs whose own is not here, or too large."""

import numpy as np
from clips import write_clip
from commands import ROOT, make_folder

CONFIGS = sorted(path.stem for path in (ROOT / "configs").glob("*.py"))


def make_images(folder, **options):
    return f"--config.data.source=folder:{make_folder(folder / 'images', **options)}"


def data_for(name, folder):
    """The overrides of a config whose data is not here, or too large, with data written into a folder."""
    if name.startswith("simclr_cifar10"):
        return [make_images(folder, count=60, side=32, classes=("",)), "--config.data.channels=0"]
    if name == "simclr_imagenet":
        size = ["--config.data.image_size=32", "--config.pairs.size=24", "--config.data.channels=3"]
        return [make_images(folder, count=60, side=32), *size]
    if name.endswith("fashion_mnist") or name == "cotraining_bits":
        return [make_images(folder, count=60, side=28, channels=1)]
    if name == "simclr_photos":
        return [make_images(folder, count=30, side=40), "--config.data.image_size=32"]
    if name == "cpc_video":
        for film in "ab":
            write_clip(folder / f"{film}.mp4", range(0, 2400, 40))
        return [f"--config.data.source=video:{folder}/*.mp4", f"--config.data.cache_dir={folder}/cache"]
    if name == "cpc_arrays":
        rng = np.random.default_rng(0)
        np.savez(folder / "pairs.npz", x=rng.normal(size=(60, 3)), y=rng.normal(size=(60, 2)))
        return [f"--config.data.source=npz:{folder / 'pairs.npz'}"]
    if name == "simclr_tables":
        np.savez(folder / "table.npz", x=np.random.default_rng(0).normal(size=(60, 3)), labels=np.arange(60) % 2)
        return [f"--config.data.source=npz:{folder / 'table.npz'}"]
    return []
