"""A labelled set of images in memory, and the errors of reading one."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from signbit.packed import ImagePreparation


class DataError(ValueError):
    """Data that is missing, damaged or inconsistent; the message names the file and the way out."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Dataset:
    """Images with their classes. Checked on construction.

    Attributes:
        name: what the set is called in messages.
        images: uint8 (N, C, H, W).
        labels: int64 (N,), each within 0..len(classes) - 1.
        classes: name of each class.
        image: how an image file becomes such pixels, and how pixels become the network's input.
    """

    name: str
    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    image: ImagePreparation

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.ndim != 4:
            raise DataError(f"{self.name}: images are {self.images.dtype} {self.images.shape}, need uint8 (N, C, H, W)")
        if self.images.shape[1:] != self.image.shape:
            raise DataError(
                f"{self.name}: images are {self.images.shape[1:]}, the preparation expects {self.image.shape}"
            )
        if self.labels.shape != self.images.shape[:1]:
            raise DataError(f"{self.name}: {len(self.images)} images but {len(self.labels)} labels")
        if self.labels.size and not 0 <= self.labels.min() <= self.labels.max() < len(self.classes):
            raise DataError(
                f"{self.name}: labels run from {self.labels.min()} to {self.labels.max()}, "
                f"{len(self.classes)} classes allow 0..{len(self.classes) - 1}"
            )

    def __len__(self) -> int:
        return len(self.images)

    def take(self, index: slice | npt.NDArray[np.int64]) -> "Dataset":
        """The images that `index` selects, in its order."""
        return replace(self, images=self.images[index], labels=self.labels[index])

    def hold_out(self, rule: str | None) -> tuple["Dataset", "Dataset | None"]:
        """Splits off a validation part.

        Args:
            rule: "last:N" or "first:N" takes N images from that end; None takes none.

        Returns:
            The training part and the validation part (None without a rule).

        Raises:
            ValueError: another rule, or no image would be left.
        """
        if rule is None:
            return self, None
        end, _, number = rule.partition(":")
        if end not in ("first", "last") or not number.isdecimal():
            raise ValueError(f"validation {rule!r} is not a rule; use last:N, first:N or null")
        count = int(number)
        if not 0 < count < len(self):
            raise ValueError(f"validation {rule!r} must hold out between 1 and {len(self) - 1} of {len(self)} images")
        if end == "last":
            return self.take(slice(None, -count)), self.take(slice(-count, None))
        return self.take(slice(count, None)), self.take(slice(None, count))
