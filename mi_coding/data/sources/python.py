"""`python:`: arrays, or image files, that were given from Python; another process cannot read them again."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np
from PIL import Image

from mi_coding.data.account import Account
from mi_coding.data.cuts import check_counts
from mi_coding.data.dataset import Dataset, Listing, Split
from mi_coding.data.images import ImageSpec, LazyImages, pixels_of, resize_floats
from mi_coding.data.sources.arrays import ArraySource, by_white, checked_labels, checked_numbers, cut_known
from mi_coding.errors import InputError


class Files(LazyImages):
    """Images in files, by their paths."""

    def __init__(self, paths: list[Path], spec: ImageSpec):
        self._paths = paths
        super().__init__(len(paths), spec)

    def name(self, i: int) -> str:
        return str(self._paths[i])

    def encoded(self, i: int) -> Path:
        return self._paths[i]


@dataclass(frozen=True)
class FromPython(ArraySource):
    """Data from Python: arrays by their kind, as in a file of `npz:`, or paths of image files, perhaps with labels.

    Images in arrays are resized like files, if they have another size than is requested.
    """

    given: Mapping[str, np.ndarray] | None = field(default=None, repr=False, compare=False)
    paths: tuple[Path, ...] = field(default=(), repr=False, compare=False)
    fitted_to: ImageSpec = field(default=ImageSpec(), repr=False, compare=False)  # what images in arrays are resized to

    scheme = "python"
    example = "python:"
    is_typed = False
    needs_size_to_stream = True

    def __str__(self) -> str:
        return "python:"

    @property
    def title(self) -> Path:
        return Path("arrays")

    def check(self, typed: str) -> None:
        pass

    def load(self, spec: ImageSpec) -> Dataset:
        """The splits, cut as those of `npz:`; images given by paths are still encoded."""
        if not self.paths:
            fitted, spec = self._fitted(spec)
            return super(FromPython, fitted).load(spec)
        labels = self._labels()
        chosen = cut_known(labels, len(self.paths))
        check_counts("the list of images", [len(part) for part in chosen])
        splits = (self._files(part, labels, spec) for part in chosen)
        return Dataset("images", *splits, account=Account("images", len(self.paths)))

    def list_all(self, spec: ImageSpec) -> Listing:
        """All examples in their order; see `load`."""
        if not self.paths:
            fitted, spec = self._fitted(spec)
            return super(FromPython, fitted).list_all(spec)
        account = Account("images", len(self.paths))
        return Listing(self._files(np.arange(len(self.paths)), self._labels(), spec), account=account)

    def arrays(self, account: Account) -> dict[str, np.ndarray]:
        if self.given is None:
            raise InputError(self.setting, " was given from Python; expected a source that can be read again")
        as_they_are = ("labels", "lengths")
        arrays = {
            name: array if name in as_they_are else checked_numbers(self.title, name, array, account)
            for name, array in self.given.items()
        }
        if (images := arrays.get("images")) is not None and (self.fitted_to.image_size or self.fitted_to.channels):
            images = by_white(self.title, images, self.fitted_to.white, account)  # before values are clipped
            arrays["images"] = resized(images, self.fitted_to)
        return arrays

    def _fitted(self, spec: ImageSpec) -> tuple[Self, ImageSpec]:
        """The same source with images resized, and a spec by which nothing more is resized or scaled."""
        if (self.given or {}).get("images") is None or not (spec.image_size or spec.channels):
            return self, spec
        return replace(self, fitted_to=spec), ImageSpec()

    def _labels(self) -> np.ndarray | None:
        return checked_labels(self.title, (self.given or {}).get("labels"))

    def _files(self, chosen: np.ndarray, labels: np.ndarray | None, spec: ImageSpec) -> Split:
        return Split(Files([self.paths[i] for i in chosen], spec), None if labels is None else labels[chosen])


def resized(images: np.ndarray, spec: ImageSpec) -> np.ndarray:
    """Images [n, H, W] or [n, H, W, C], uint8 or floats in [0, 1], resized as files are."""
    images = images[..., None] if images.ndim == 3 else images
    if images.dtype == np.uint8:
        grey = images.shape[3] == 1
        return np.stack([pixels_of(Image.fromarray(one[:, :, 0] if grey else one), spec) for one in images])
    return resize_floats(images.astype(np.float32), spec)
