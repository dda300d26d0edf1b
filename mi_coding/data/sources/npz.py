"""`npz:PATH`: the user's own arrays in one .npz file: given pairs, images or sequences, perhaps with labels."""

import zipfile
from pathlib import Path

import numpy as np

from mi_coding.data.account import Account
from mi_coding.data.sources.arrays import MEANING, ArraySource, checked_numbers
from mi_coding.data.sources.base import one_line
from mi_coding.errors import InputError, Setting

_EXAMPLES = ("x", "y", "images", "sequences", "values")
_EXPECTED = "x and y (given pairs), x alone (a table), images or sequences; and perhaps labels"


class Npz(ArraySource):
    """The arrays of one file, whose path is the argument.

    The file has either x and y, given pairs whose rows belong together: numbers [n, …], with bytes divided by
    255; or x alone, the rows of a table, as the pairs "corrupted" take them; or images: uint8[n, H, W, C], floats in
    [0, 1], or whole numbers that `data.white` or their range scales, C = 1 or 3, or [n, H, W]; or sequences, which may
    also be called values: numbers [n, T, C] or [n, T], of which shorter ones end in NaN or have their lengths, int[n];
    with lengths they may also lie one after another, [sum, C] or [sum].
    With any of them, perhaps labels: int[n], at least 0, or −1 where hidden. The account notes arrays of other names.
    """

    scheme = "npz"
    example = "npz:/path/to/arrays.npz"
    groups_are = "an array"

    @property
    def title(self) -> Path:
        return Path(self.argument).expanduser()

    def arrays(self, account: Account) -> dict[str, np.ndarray]:
        if not self.title.is_file():
            state = "is a folder" if self.title.is_dir() else "does not exist"
            raise InputError(self.setting, f" {state}; expected a .npz file")
        return _read(self.title, account, self.group)


TABLES = (".csv", ".tsv", ".txt", ".xlsx")
"""Suffixes of text tables, which no source reads; the error message points to `mi_coding.estimate`."""


def hint_of_table(path: Path) -> str:
    """What to do with a text table; "" for other files.

    >>> hint_of_table(Path("people.csv"))
    '; for information between its columns: python -m mi_coding.estimate people.csv'
    """
    if path.suffix.lower() not in TABLES:
        return ""
    return f"; for information between its columns: python -m mi_coding.estimate {path}"


def _read(path: Path, account: Account, group: str) -> dict[str, np.ndarray]:
    """The arrays that are used here, by name; the account notes the others."""
    with path.open("rb") as opened:  # np.load would leave a truncated file open
        try:
            file = np.load(opened, allow_pickle=False)
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            why = "is a table" if path.suffix.lower() in TABLES else f"cannot be read: {one_line(error)}"
            raise InputError(f"{path} {why}; expected a .npz file of np.savez{hint_of_table(path)}") from None
        if isinstance(file, np.ndarray):
            raise InputError(f"{path} is a single array; expected a .npz file with arrays {_EXPECTED}")
        with file:
            chosen = _chosen(path, set(file.files))
            if group and group not in file.files:
                found = f" is not an array of {path}; expected one of {', '.join(file.files)}"
                raise InputError(Setting("data.group", group), found)
            groups = {"group": _groups(path, file, group)} if group else {}
            if unread := sorted(set(file.files) - {*chosen, group}):
                account.note(f"arrays left out: {', '.join(unread)}")
            return groups | {MEANING.get(name, name): _array(path, file, name, account) for name in chosen}


def _chosen(path: Path, found: set[str]) -> list[str]:
    """Which arrays to read: x and y, or images, or sequences and perhaps lengths; and labels."""
    kinds = [["x", "y"] if "y" in found else ["x"], ["images"], ["sequences"], ["values"]]
    kinds = [names for names in kinds if found.issuperset(names)]
    if len(kinds) != 1 or found & set(_EXAMPLES) != set(kinds[0]):
        raise InputError(
            f"{path} has {'arrays ' + ', '.join(sorted(found)) if found else 'no arrays'}; expected {_EXPECTED}"
        )
    of_sequences = ["lengths"] if MEANING.get(kinds[0][0], kinds[0][0]) == "sequences" else []
    return [*kinds[0], *(name for name in (*of_sequences, "labels") if name in found)]


def _groups(path: Path, file: np.lib.npyio.NpzFile, name: str) -> np.ndarray:
    groups = _stored(path, file, name, 'one of numbers, or of text: array.astype("str")')
    if groups.ndim != 1:
        shape = f" has the shape {groups.shape} in {path}; expected one number or text for each example"
        raise InputError(Setting("data.group", name), shape)
    return groups


def _array(path: Path, file: np.lib.npyio.NpzFile, name: str, account: Account) -> np.ndarray:
    array = _stored(path, file, name, "an array of numbers")
    return array if name in ("labels", "lengths") else checked_numbers(path, name, array, account)


def _stored(path: Path, file: np.lib.npyio.NpzFile, name: str, expected: str) -> np.ndarray:
    try:
        return file[name]
    except ValueError as error:
        what = "holds Python objects" if "allow_pickle" in str(error) else f"cannot be read: {one_line(error)}"
        raise InputError(f"{path}: array {name} {what}; expected {expected}") from None
    except (OSError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: array {name} is broken: {one_line(error)}; write the file again") from None
