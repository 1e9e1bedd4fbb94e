"""A labelled set of images, and the errors of reading one."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from signbit.data.error import DataError
from signbit.data.files import ImageFiles
from signbit.packed import ImagePreparation

_SAMPLE = 64


@dataclass(frozen=True, eq=False, kw_only=True)
class Dataset:
    """Images with their classes. Checked on construction.

    Attributes:
        name: what the set is called in messages.
        images: uint8 (N, C, H, W), or files that are decoded when they are indexed.
        labels: int64 (N,), each within 0..len(classes) - 1.
        classes: name of each class.
        image: how an image file becomes such pixels, and how pixels become the network's input.
    """

    name: str
    images: npt.NDArray[np.uint8] | ImageFiles
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    image: ImagePreparation

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or len(self.images.shape) != 4:
            raise DataError(f"{self.name}: images are {self.images.dtype} {self.images.shape}, need uint8 (N, C, H, W)")
        if self.images.shape[1:] != self.image.shape:
            found, expected = ("x".join(map(str, shape)) for shape in (self.images.shape[1:], self.image.shape))
            raise DataError(f"{self.name}: images are {found}, but {expected} are expected")
        if self.labels.shape != self.images.shape[:1]:
            raise DataError(f"{self.name}: {len(self.images)} images but {len(self.labels)} labels")
        outside = np.flatnonzero((self.labels < 0) | (self.labels >= len(self.classes)))
        if outside.size:
            raise DataError(
                f"{self.name}: image {outside[0]} has label {self.labels[outside[0]]}, but {len(self.classes)} classes "
                f"allow 0..{len(self.classes) - 1}; correct the labels or get the files again"
            )

    def __len__(self) -> int:
        return len(self.images)

    def __deepcopy__(self, memo: object) -> "Dataset":
        """Itself, as it never changes: a copy of what holds it must not double the images."""
        return self

    def fingerprint(self) -> str:
        """The number of images and a hash that changes with the labels, the classes, or a sample of the images.

        Cheap, so not proof: of the images 64, evenly spaced, are read. Of files the names count too, all of them.
        """
        digest = hashlib.sha256(repr((self.images.shape, self.classes)).encode())
        digest.update(self.labels.tobytes())
        sample = np.linspace(0, max(0, len(self) - 1), min(len(self), _SAMPLE)).astype(np.int64)
        read = self.images.raw(sample) if isinstance(self.images, ImageFiles) else self.images[sample].tobytes()
        return f"{len(self):,} images, hash {hashlib.sha256(digest.digest() + read).hexdigest()[:12]}"

    def take(self, index: slice | npt.NDArray[np.int64]) -> "Dataset":
        """The images that `index` selects, in its order; files stay undecoded."""
        images = self.images.take(index) if isinstance(self.images, ImageFiles) else self.images[index]
        return replace(self, images=images, labels=self.labels[index])

    def hold_out(self, rule: str | None, *, key: str = "validation") -> tuple["Dataset", "Dataset | None"]:
        """Splits off a part, such as the validation images.

        Args:
            rule: "last:N" or "first:N" takes N images from that end; "fraction:F" takes the share F of each class,
                evenly spaced in the order of the files; None takes none.
            key: what messages call the rule.

        Returns:
            The rest, and the part (None without a rule).

        Raises:
            ValueError: another rule, or one of the two would be empty.
        """
        if rule is None:
            return self, None
        kind, _, amount = rule.partition(":")
        if kind == "fraction":
            held = self._evenly(_fraction(amount, f"{key} {rule!r}"))
            rest, part = np.flatnonzero(~held), np.flatnonzero(held)
            if not rest.size or not part.size:
                raise ValueError(f"{key} {rule!r} takes {part.size} of the {len(self)} images and leaves {rest.size}")
            return self.take(rest), self.take(part)
        if kind not in ("first", "last") or not amount.isdecimal():
            raise ValueError(f"{key} {rule!r} is not a rule; use last:N, first:N, fraction:F or null")
        count = int(amount)
        if not 0 < count < len(self):
            raise ValueError(f"{key} {rule!r} must hold out between 1 and {len(self) - 1} of {len(self)} images")
        if kind == "last":
            return self.take(slice(None, -count)), self.take(slice(-count, None))
        return self.take(slice(count, None)), self.take(slice(None, count))

    def _evenly(self, fraction: float) -> npt.NDArray[np.bool_]:
        """Image r of a class (from 0) is chosen where ⌊(r + 1)·fraction⌋ exceeds ⌊r·fraction⌋."""
        chosen = np.zeros(len(self), np.bool_)
        for label in range(len(self.classes)):
            members = np.flatnonzero(self.labels == label)
            steps = np.floor(np.arange(len(members) + 1) * fraction + 1e-9)
            chosen[members] = np.diff(steps) > 0
        return chosen


def _fraction(amount: str, what: str) -> float:
    try:
        fraction = float(amount)
    except ValueError:
        fraction = 0.0
    if not 0 < fraction < 1:
        raise ValueError(f"{what}: the fraction must lie between 0 and 1, such as fraction:0.1")
    return fraction
