"""Sound files as sequences: float32[n, T, C] in [-1, 1], of one rate, shorter ones padded with NaN."""

import os
import re
from collections import Counter
from math import gcd
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mi_coding.data.account import Account
from mi_coding.data.sequences import padded
from mi_coding.data.unreadable import check_readable
from mi_coding.errors import InputError, Setting

MOST_BYTES = 4 * 2**30  # of all sounds in memory, padding included
_STARTS = (b"fLaC", b"OggS", b"ID3", b"FORM", b"caff", b".snd", b"RF64")
# What libsndfile says of the samples of a truncated file; for a stream, whose length is unknown, about 2³².
_CUT = re.compile(r"(?:data|SSND) : (\d+) \(should be (\d+)\)")
_MP3 = (".mp3", ".mp2")  # whose files need not begin with a signature


class Sounds(NamedTuple):
    """Sound files that are converted to one rate and number of channels.

    Attributes:
        root: folder that names are relative to.
        rate: samples per second, those of most files.
        channels: 1, or the number that all files have.
        longest: samples of the longest, T.
    """

    root: Path
    rate: int
    channels: int
    longest: int

    def read(self, names: list[str]) -> np.ndarray:
        """float32[n, T, C]: these files, which `look_at` has checked before."""
        parts = [_read(self.root / name, self.rate, self.channels) for name in names]
        whole = np.zeros((self.longest, self.channels), np.float32)
        return padded([*parts, whole])[:-1]


def look_at(root: Path, names: list[str], channels: int, account: Account) -> tuple[Sounds, list[str]]:
    """The format to convert sound files to, and those that can be decoded; the account has the rate and the others.

    Raises:
        InputError: where none can be decoded, numbers of channels differ, or they do not fit into memory.
    """
    described = {name: found for name in names if (found := _described(root / name)) is not None}
    unreadable = [name for name in names if name not in described]
    if not described:
        raise InputError(f"none of {len(names):,} sound files can be decoded, such as {names[0]}; expected WAV or FLAC")
    check_readable(unreadable, len(names), what="sound files")
    account.leave_out("cannot be decoded", unreadable)
    rate = Counter(found.samplerate for found in described.values()).most_common(1)[0][0]
    others = [name for name, found in described.items() if found.samplerate != rate]
    if others:
        account.note(f"{len(others):,} files such as {others[0]} are resampled to {rate:,} samples per second")
    kinds = Counter(found.channels for found in described.values())
    if not channels and len(kinds) > 1:
        found = f"sound files of {root} have {' and '.join(map(str, sorted(kinds)))} channels; expected "
        raise InputError(found, Setting("data.channels", 1, flag=True), ", which takes their mean")
    if channels > 1 and set(kinds) != {channels}:
        raise InputError(Setting("data.channels", channels), " for sound files; expected 1, or 0 to keep theirs")
    lengths = {name: -(-found.frames * rate // found.samplerate) for name, found in described.items()}
    longest = max(lengths, key=lengths.get)
    sounds = Sounds(root, rate, channels or next(iter(kinds)), lengths[longest])
    size = len(described) * sounds.longest * sounds.channels * 4
    if size > MOST_BYTES:
        found = f"sound files of {root} take {size / 2**30:,.1f} GiB padded to the longest, {longest}"
        raise InputError(f"{found} of {sounds.longest / rate:,.0f} s; expected at most 4 GiB: split long files")
    account.facts |= {"sample_rate": rate, "seconds": round(sum(lengths.values()) / rate, 1)}
    return sounds, list(described)


def is_sound_file(path: str | Path) -> bool:
    """Whether libsndfile may read a file: its content decides, or, for MP3, its name."""
    if not os.path.isfile(path):  # opening a pipe would wait for its other end
        return False
    try:
        with open(path, "rb") as file:
            start = file.read(12)
    except OSError:
        return False
    is_wave = start[:4] in (b"RIFF", b"RIFX") and start[8:] == b"WAVE"
    return is_wave or start.startswith(_STARTS) or os.fspath(path).lower().endswith(_MP3)


def _described(path: Path) -> Any:
    """What the header of a file says; None if it cannot be decoded from end to end, or has no samples."""
    soundfile = _soundfile()
    decoded = 0
    try:
        found = soundfile.info(path)
        with soundfile.SoundFile(path) as file:
            while len(block := file.read(2**16, dtype="float32")):  # `blocks` would pad what is missing
                decoded += len(block)
                if not np.isfinite(block).all():  # a WAV of floats may hold anything
                    return None
    except (soundfile.SoundFileError, OSError, ValueError, RuntimeError):
        return None
    is_cut = any(int(there) < int(said) < 2**31 - 1 for said, there in _CUT.findall(found.extra_info))
    return found if 0 < decoded == found.frames and not is_cut else None


def _read(path: Path, rate: int, channels: int) -> np.ndarray:
    """float32[t, C]: the samples of a file at another rate, and their mean over channels where one is wanted."""
    from scipy.signal import resample_poly

    samples, own_rate = _soundfile().read(path, dtype="float32", always_2d=True)
    if samples.shape[1] != channels:
        samples = samples.mean(axis=1, keepdims=True)
    if own_rate != rate:
        common = gcd(own_rate, rate)
        samples = resample_poly(samples, rate // common, own_rate // common, axis=0)
    return samples.astype(np.float32, copy=False)


def _soundfile() -> Any:
    try:
        import soundfile
    except ImportError:
        raise InputError("sound files need soundfile; pip install 'mi_coding[sound]'") from None
    return soundfile
