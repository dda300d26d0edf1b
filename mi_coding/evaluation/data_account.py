"""What data were the codes learnt from and judged on? What came in, what was used, and what was left out and why."""

from dataclasses import dataclass
from typing import Any

from mi_coding.evaluation.base import Evaluator, Trained
from mi_coding.reporting.results import Group, Rows, Summary, group_rows, number

_LEFT_OUT = "data/left_out/"
_ROWS: Rows = {
    "data/found": ("found", number),
    "data/used": ("used", number),
    "data/train": ("for training", number),
    "data/validation": ("for validation", number),
    "data/test": ("for testing", number),
    "data/shape": ("shape of an example", str),
    "data/samples": ("samples per sequence", str),
    "data/sample_rate": ("samples per second", number),
    "data/levels": ("pixel levels, in a sample", number),
    "data/white": ("white, in images of more than 8 bits", number),
    "data/films": ("training films", number),
    "data/seconds": ("seconds", number),
    "data/frames": ("frames in them", number),
    "data/frame_rate": ("frames per second, median", number),
    "data/classes": ("training classes", number),
    "data/class_counts": ("training examples of each class", str),
    "data/notes": ("assumed or altered", str),
}


@dataclass(frozen=True)
class DataAccount(Evaluator):
    """The account of the data set, see `data.account.Account`."""

    def evaluate(self, trained: Trained) -> dict[str, Any]:
        account = trained.dataset.account
        return {} if account is None else account.summary()

    def groups(self, summary: Summary) -> list[Group]:
        reasons = (key for key in summary if key.startswith(_LEFT_OUT))
        left_out = {key: (f"left out: {key.removeprefix(_LEFT_OUT).replace('_', ' ')}", number) for key in reasons}
        return [group_rows("data", summary, _ROWS | left_out)]
