"""CIFAR-10 in its official binary version: records of one label byte and 3 x 32 x 32 bytes, colour planes first."""

from pathlib import Path

import numpy as np

from signbit.data.dataset import DataError, Dataset
from signbit.packed import ImagePreparation

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FILES = {"train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test": ("test_batch.bin",)}
FOLDERS = ("cifar-10-batches-bin", ".")
RECORD = 1 + 3 * 32 * 32
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


def load_cifar10(root: Path, split: str) -> Dataset:
    """All records of one split, from root/cifar-10-batches-bin or `root` itself, in the official order.

    Raises:
        DataError: a file is missing, or is not a whole number of records.
    """
    parts = [_records(_find(root, file)) for file in FILES[split]]
    records = np.concatenate(parts)
    return Dataset(
        name=f"cifar10 {split}",
        images=records[:, 1:].reshape(-1, 3, 32, 32),
        labels=records[:, 0].astype(np.int64),
        classes=CLASSES,
        image=ImagePreparation(height=32, width=32, mode="RGB", mean=MEAN, std=STD),
    )


def _records(path: Path) -> np.ndarray:
    data = np.fromfile(path, np.uint8)
    if not data.size or data.size % RECORD:
        raise DataError(f"{path} is truncated: {data.size} bytes are no whole number of {RECORD}-byte records")
    return data.reshape(-1, RECORD)


def _find(root: Path, file: str) -> Path:
    for folder in FOLDERS:
        if (root / folder / file).is_file():
            return root / folder / file
    looked = ", ".join(str(root / folder) for folder in FOLDERS)
    raise DataError(
        f"cifar10: no {file} in {looked}; unpack "
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz there, or set data.root"
    )
