"""Images that stay files until they are indexed, so that a data set may be larger than memory."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from signbit.data.error import DataError
from signbit.packed import ImagePreparation


@dataclass(frozen=True, eq=False, kw_only=True)
class ImageFiles:
    """A sequence of image files that looks like an array uint8 (N, C, H, W): indexing it decodes.

    Attributes:
        folder: where the files are.
        names: their paths in `folder`, as one array of bytes: a million names take no million objects, and the
            processes of a loader share them.
        image: how each becomes pixels.
    """

    folder: Path
    names: npt.NDArray[np.bytes_]
    image: ImagePreparation

    @property
    def dtype(self) -> np.dtype[np.uint8]:
        """Of the decoded pixels."""
        return np.dtype(np.uint8)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of all decoded pixels."""
        return len(self.names), *self.image.shape

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: slice | npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """Decodes the files that `index` selects, in its order.

        Raises:
            DataError: a file is no image, or is damaged.
        """
        names = self.names[index]
        pixels = np.empty((len(names), *self.image.shape), np.uint8)
        for i, name in enumerate(names):
            try:
                pixels[i] = self.image.pixels(self.folder / os.fsdecode(name))
            except ValueError as error:
                raise DataError(f"{error}; remove the file or get it again") from None
        return pixels

    def raw(self, index: npt.NDArray[np.int64]) -> bytes:
        """All names, and the bytes of the files that `index` selects.

        Raises:
            DataError: a file cannot be read.
        """
        try:
            files = [(self.folder / os.fsdecode(name)).read_bytes() for name in self.names[index]]
        except OSError as error:
            raise DataError(f"{error.filename} cannot be read ({error.strerror}); get it again") from None
        return b"".join([self.names.tobytes(), *files])

    def take(self, index: slice | npt.NDArray[np.int64]) -> "ImageFiles":
        """The files that `index` selects, undecoded."""
        return replace(self, names=self.names[index])
