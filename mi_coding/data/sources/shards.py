"""What sources of shards have in common: finding the files, and the splits that their names tell."""

import glob
import re
from pathlib import Path

import numpy as np

from mi_coding.data.account import Account
from mi_coding.data.cuts import check_counts, cut
from mi_coding.data.sources.folder import SPLIT_OF
from mi_coding.errors import InputError, Setting

_SHARES = (0.2, 0.1)  # test and validation, where the shards have no splits


def find_shards(setting: Setting, argument: str, suffix: str) -> list[Path]:
    """The files of a path, of a folder with all folders below it, or of a glob, sorted.

    Raises:
        InputError: where there is none.
    """
    path = Path(argument).expanduser()
    if path.is_dir():
        found = list(path.rglob(f"*{suffix}"))
    else:
        found = [path] if path.exists() else list(map(Path, glob.glob(str(path), recursive=True)))
    found = sorted(file for file in found if file.is_file())
    if not found:
        raise InputError(
            setting, f" has no file; expected a {suffix} file, a folder of them, or a glob such as *{suffix}"
        )
    return found


def splits_of(paths: list[Path]) -> list[str | None]:
    """The split that the name of each shard tells, or the folder it is in where there are several; None where neither.

    >>> splits_of([Path("data/train-00000-of-00002.parquet"), Path("data/imagenet-val-0.tar"), Path("data/a.tar")])
    ['train', 'validation', None]
    """
    several = len({path.parent for path in paths}) > 1
    return [_split_of(path) or (SPLIT_OF.get(path.parent.name.lower()) if several else None) for path in paths]


def _split_of(path: Path) -> str | None:
    words = re.split(r"[-._]", path.name.lower())
    return next((SPLIT_OF[word] for word in words if word in SPLIT_OF), None)


def cut_rows(
    setting: Setting, splits: list[str | None], row_splits: np.ndarray, labels: np.ndarray | None, account: Account
) -> list[np.ndarray]:
    """The rows of train, validation and test; hides the labels of unlabelled rows, in place.

    As of a folder: without splits all rows are cut 70 : 10 : 20, of each class; a missing validation split is a tenth
    of the train split, and train and validation alone are train and test.

    Args:
        setting: the source, for messages.
        splits: of each shard, as told by `splits_of`.
        row_splits: int[n], the shard of each row.
        labels: int32[n], -1 where hidden; or None.
        account: notes what is cut from what.
    """
    kinds = {split for split in splits if split}
    if kinds and None in splits:
        raise InputError(setting, f" has shards of {', '.join(sorted(kinds))} and of no split; expected either alone")
    if kinds and "train" not in kinds:
        raise InputError(setting, f" has only {', '.join(sorted(kinds))}; expected shards of train, such as train-0…")
    of_rows = np.array([split or "train" for split in splits])[row_splits]
    rows = {kind: np.flatnonzero(of_rows == kind) for kind in kinds or {"train"}}
    hidden = rows.pop("unlabelled", np.zeros(0, np.int64))
    if labels is not None:
        labels[hidden] = -1
    known = rows["train"]
    if len(rows) == 1:
        account.note("the shards tell no splits: cut at random, 70 : 10 : 20 of each class")
        test, validation, train = (known[part] for part in _cut(labels, known, _SHARES))
    elif len(rows) == 2:
        validation, train = (known[part] for part in _cut(labels, known, _SHARES[1:]))
        test = rows["test" if "test" in rows else "validation"]
        account.note("a tenth of each class of train is held out to validate: the shards have two splits")
    else:
        train, validation, test = known, rows["validation"], rows["test"]
    parts = [np.concatenate([train, hidden]), validation, test]
    check_counts(str(setting.value), [len(part) for part in parts])
    return parts


def _cut(labels: np.ndarray | None, rows: np.ndarray, shares: tuple[float, ...]) -> list[np.ndarray]:
    return cut(None if labels is None else labels[rows], len(rows), shares)
