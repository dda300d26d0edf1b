"""The interface of a source of examples."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

from mi_coding.data.dataset import Dataset, Listing, concatenate
from mi_coding.data.films.encoded import EncodedFilms
from mi_coding.data.images import ImageSpec
from mi_coding.errors import InputError, Setting

LAYOUTS = ("auto", "splits", "classes", "flat")  # what folders below a folder are


@dataclass(frozen=True)
class Source(ABC):
    """A source of examples. A new one implements `load`, and is entered in `SOURCES`."""

    argument: str = ""  # the part of `config.data.source` after the colon
    layout: str = field(default="auto", repr=False)  # what its folders stand for, one of LAYOUTS, if it has folders

    group: str = field(default="", repr=False)  # what examples that stay in one split have in common, see `groups_are`

    scheme: ClassVar[str]  # the part before it
    example: ClassVar[str]  # what a user may type
    # Whether images may differ in size without this being known before they are streamed, so that streaming requires
    # `image_size` and `channels`.
    needs_size_to_stream: ClassVar[bool] = False
    is_typed: ClassVar[bool] = True  # whether the user may name it; else it is made in Python
    takes_layout: ClassVar[bool] = False  # whether it is a folder, which has more than one interpretation
    groups_are: ClassVar[str] = (
        ""  # what `group` names: a pattern of paths, or what has a value for each example; "" for neither
    )

    def __str__(self) -> str:
        return f"{self.scheme}:{self.argument}" if self.argument else self.scheme

    @property
    def setting(self) -> Setting:
        """The option and its value, for messages."""
        return Setting("data.source", str(self))

    def check(self, typed: str) -> None:
        """Raises InputError where the argument is missing in what the user typed; does not look at the data."""
        if not self.argument:
            raise InputError(Setting("data.source", typed), f" names nothing; expected a source like {self.example!r}")

    @abstractmethod
    def load(self, spec: ImageSpec) -> Dataset | EncodedFilms:
        """Three splits of examples, in memory or still encoded; or films, which are split once they are decoded.

        Raises:
            InputError: for data that is missing, broken or inconsistent.
        """

    def describe_unread(self) -> tuple[tuple[int | None, ...], int]:
        """Shape [H, W, C] of images and number of classes, as far as they are known before anything is read.

        None stands for a size that is not known, or varies, and 0 for no classes, or an unknown number.
        """
        return (None, None, None), 0

    def list_all(self, spec: ImageSpec) -> Listing | EncodedFilms:
        """All examples in the order of the source, images still encoded; by default the splits of `load` in turn."""
        loaded = self.load(spec)
        return Listing(concatenate(loaded.splits, spec)) if isinstance(loaded, Dataset) else loaded


def one_line(error: Exception) -> str:
    """The message of an error of another package, without line breaks and of limited length."""
    return " ".join(str(error).split())[:200]
