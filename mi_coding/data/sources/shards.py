"""What sources of shards have in common: the files, the splits by their names, and classes by text or number."""

import glob
import re
from pathlib import Path

import numpy as np

from mi_coding.data.account import Account
from mi_coding.data.cuts import SHARES, check_counts, cut
from mi_coding.data.sources.folder import SPLIT_OF
from mi_coding.errors import InputError, Setting


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
    """The split that each shard's name tells, or its folder's if there are several folders; None if neither does.

    >>> splits_of([Path("data/train-00000-of-00002.parquet"), Path("data/imagenet-val-0.tar"), Path("data/a.tar")])
    ['train', 'validation', None]
    """
    several = len({path.parent for path in paths}) > 1
    return [_split_of(path) or (SPLIT_OF.get(path.parent.name.lower()) if several else None) for path in paths]


def _split_of(path: Path) -> str | None:
    words = re.split(r"[-._]", path.name.lower())
    return next((SPLIT_OF[word] for word in words if word in SPLIT_OF), None)


def cut_rows(
    setting: Setting,
    splits: list[str | None],
    row_splits: np.ndarray,
    labels: np.ndarray | None,
    account: Account,
    groups: np.ndarray | None = None,
) -> list[np.ndarray]:
    """The rows of train, validation and test; hides the labels of unlabelled rows, in place.

    As for a folder: without splits all rows are cut 70 : 10 : 20, of each class; a missing validation split is a tenth
    of the train split, and train and validation alone are train and test.

    Args:
        setting: the source, for messages.
        splits: of each shard, as returned by `splits_of`.
        row_splits: int[n], the shard of each row.
        labels: int32[n], -1 where hidden; or None.
        account: notes what is cut from what.
        groups: int[n], group numbers, where no group may be divided; or None.
    """
    kinds = {split for split in splits if split}
    if kinds and None in splits:
        raise InputError(
            setting,
            f" has shards of {', '.join(sorted(kinds))} and of no split; expected a split for each, or for none",
        )
    if kinds and "train" not in kinds:
        raise InputError(setting, f" has only {', '.join(sorted(kinds))}; expected shards of train, such as train-0…")
    of_rows = np.array([split or "train" for split in splits])[row_splits]
    rows = {kind: np.flatnonzero(of_rows == kind) for kind in kinds or {"train"}}
    hidden = rows.pop("unlabelled", np.zeros(0, np.int64))
    if labels is not None:
        labels[hidden] = -1
    known = rows["train"]
    if len(rows) == 1:
        account.note("the shards name no splits: cut at random, 70 : 10 : 20 of each class")
        test, validation, train = (known[part] for part in _cut(labels, known, SHARES, groups))
    elif len(rows) == 2:
        validation, train = (known[part] for part in _cut(labels, known, SHARES[1:], groups))
        test = rows["test" if "test" in rows else "validation"]
        account.note("a tenth of each class of train is held out to validate: the shards have two splits")
    else:
        if groups is not None:
            raise InputError(
                Setting("data.group"), f" is for splits cut at random; {setting.value} has three of its own"
            )
        train, validation, test = known, rows["validation"], rows["test"]
    parts = [np.concatenate([train, hidden]), validation, test]
    check_counts(str(setting.value), [len(part) for part in parts])
    return parts


def number_labels(found: list, account: Account) -> tuple[np.ndarray | None, list[str] | None]:
    """int32[n], -1 where there is none, and the names of classes that are not numbers; None where all are hidden.

    >>> number_labels(["bee", None, "ant"], Account())[0].tolist()
    [1, -1, 0]
    """
    known = [label for label in found if label is not None]
    if not known:
        return None, None
    if len(known) < len(found):
        account.note(f"{len(found) - len(known):,} of {len(found):,} examples have no label")
    try:
        ids = {label: int(label) for label in set(known)}
        names = None
    except ValueError:
        names = sorted(set(map(str, known)))
        numbers = {name: number for number, name in enumerate(names)}
        ids = {label: numbers[str(label)] for label in set(known)}
    if not -1 <= min(ids.values()) <= max(ids.values()) < 2**31:
        raise InputError(f"labels run from {min(ids.values())} to {max(ids.values())}; expected classes from 0 on")
    return np.array([-1 if label is None else ids[label] for label in found], np.int32), names


def _cut(
    labels: np.ndarray | None, rows: np.ndarray, shares: tuple[float, ...], groups: np.ndarray | None
) -> list[np.ndarray]:
    labels, groups = (None if values is None else values[rows] for values in (labels, groups))
    return cut(labels, len(rows), shares, groups)
