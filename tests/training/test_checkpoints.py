"""Checkpoints that were damaged, and disks that are full."""

import gc
import os
import subprocess
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi_coding.errors import InputError, SaveError
from mi_coding.training.checkpoints import Checkpoints
from mi_coding.training.step import TrainState

# Orbax leaves the readers of the other arrays behind where one array cannot be read.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def nothing_left_behind():
    yield
    gc.collect()


def state_of(step, size=3000):
    params = {"w": jnp.asarray(np.random.default_rng(step).normal(size=size), jnp.float32), "b": jnp.ones(7) * step}
    return TrainState(jnp.array(step, jnp.int32), params, {}, (), jnp.array(0, jnp.int32), ())


def save(folder, steps, size=3000):
    with Checkpoints(folder, keep=9) as checkpoints:
        for step in steps:
            checkpoints.save(state_of(step, size), 1.5 * step)


def largest_file(folder):
    return max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)


def truncate(folder):
    path = largest_file(folder)
    os.truncate(path, path.stat().st_size // 2)


def delete(folder):
    largest_file(folder).unlink()


def flip(folder):
    path = largest_file(folder)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def empty(folder):
    for path in folder.rglob("*"):
        if path.is_file():
            path.unlink()


@pytest.mark.parametrize("damage", [truncate, delete, flip, empty])
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_is_read(tmp_path, damage):
    folder, warnings = tmp_path / "checkpoints", []
    save(folder, [10, 20])
    damage(folder / "20")
    with Checkpoints(folder, keep=9) as checkpoints:
        restored, seconds = checkpoints.restore(state_of(0), warnings.append)
        assert seconds == 15
        chex.assert_trees_all_equal(jax.device_get(restored), jax.device_get(state_of(10)))
        checkpoints.save(state_of(20), 30.0)
    assert len(warnings) == 1
    assert "checkpoint 20 cannot be read" in warnings[0]
    with Checkpoints(folder, keep=9) as checkpoints:
        restored, _ = checkpoints.restore(state_of(0), warnings.append)
    chex.assert_trees_all_equal(jax.device_get(restored), jax.device_get(state_of(20)))
    assert len(warnings) == 1


def test_bytes_that_only_the_checksum_knows_to_be_wrong_are_found(tmp_path):
    folder, warnings = tmp_path / "checkpoints", []
    save(folder, [10, 20])
    progress = next(path for path in (folder / "20").rglob("*") if path.is_file() and b"checksum" in path.read_bytes())
    progress.write_text(progress.read_text().replace('"checksum": ', '"checksum": 1'))
    with Checkpoints(folder, keep=9) as checkpoints:
        assert int(checkpoints.restore(state_of(0), warnings.append)[0].step) == 10
    assert "its checksum does not match" in warnings[0]


def test_where_no_checkpoint_can_be_read_nothing_is_begun_anew_or_moved(tmp_path):
    folder = tmp_path / "checkpoints"
    save(folder, [10, 20])
    for step in ("10", "20"):
        truncate(folder / step)
    with Checkpoints(folder, keep=9) as checkpoints, pytest.raises(InputError, match="none of the checkpoints"):
        checkpoints.restore(state_of(0), [].append)
    assert {path.name for path in folder.iterdir()} == {"10", "20"}


def test_half_written_checkpoints_are_not_seen_and_go_away(tmp_path):
    folder = tmp_path / "checkpoints"
    save(folder, [10])
    (folder / "20.orbax-checkpoint-tmp").mkdir()
    with Checkpoints(folder, keep=9) as checkpoints:
        assert int(checkpoints.restore(state_of(0), [].append)[0].step) == 10
    assert [path.name for path in folder.iterdir()] == ["10"]


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 3 MB, of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("only root may mount a disk")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_is_told_and_leaves_the_last_checkpoint(small_disk):
    folder, size = Path(small_disk) / "checkpoints", 300_000
    save(folder, [10], size)
    (small_disk / "other").write_bytes(bytes(1_400_000))
    with pytest.raises(SaveError, match=r"cannot be written to .*checkpoints: "):
        save(folder, [20], size)
    with Checkpoints(folder, keep=9) as checkpoints:
        restored, _ = checkpoints.restore(state_of(0, size), [].append)
    chex.assert_trees_all_equal(jax.device_get(restored), jax.device_get(state_of(10, size)))
