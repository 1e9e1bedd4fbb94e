"""The handwritten digits that ship inside scikit-learn: 1,797 real 8x8 scans (UCI optical digits), no download."""

import numpy as np

from signbit.data.dataset import Dataset
from signbit.data.error import DataError
from signbit.packed import ImagePreparation

HELD_OUT = 5
"""Within each class, in the order of the file, every fifth image is a test image: 359 of 1,797."""


def load_digits(split: str) -> Dataset:
    """One split. Grey levels 0..16 become round(255·v/16); train and test share the writers."""
    try:
        from sklearn.datasets import load_digits as bundled
    except ImportError:
        raise DataError("digits: the images come with scikit-learn; pip install 'signbit[train]'") from None
    bunch = bundled()
    labels = bunch.target.astype(np.int64)
    rank = np.empty(len(labels), np.int64)
    for label in range(10):
        members = np.flatnonzero(labels == label)
        rank[members] = np.arange(len(members))
    chosen = (rank % HELD_OUT == HELD_OUT - 1) == (split == "test")
    pixels = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    return Dataset(
        name=f"digits {split}",
        images=np.ascontiguousarray(pixels[chosen, None]),
        labels=labels[chosen],
        classes=tuple("0123456789"),
        image=ImagePreparation(height=8, width=8, mode="L"),
    )
