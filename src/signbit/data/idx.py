"""MNIST-like data in idx files: the official layout of MNIST and Fashion-MNIST, plain or gzip-compressed."""

import gzip
import zlib
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt

from signbit.data.dataset import Dataset
from signbit.data.error import DataError
from signbit.packed import ImagePreparation

PREFIX = {"train": "train", "test": "t10k"}
DIGITS = tuple("0123456789")
FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")

SOURCE = {
    "mnist": "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "fashion-mnist": "https://github.com/zalandoresearch/fashion-mnist/tree/master/data/fashion",
}


def read_idx(path: Path) -> npt.NDArray[np.uint8]:
    """The array of bytes in an idx file: two zero bytes, type 8, rank, sizes as big-endian int32, then the data.

    Raises:
        DataError: not an idx file of bytes, or not exactly as many bytes as its header says.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as file:
            head = file.read(4)
            if len(head) < 4 or head[:3] != b"\x00\x00\x08" or not 1 <= head[3] <= 4:
                raise DataError(f"{path} is not an idx file of bytes: it starts with {head.hex(' ') or 'nothing'}")
            sizes = file.read(4 * head[3])
            shape = tuple(int.from_bytes(sizes[i : i + 4], "big") for i in range(0, len(sizes), 4))
            data = file.read() if len(sizes) == 4 * head[3] else b""
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is damaged ({error}); get it again") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    if len(sizes) < 4 * head[3] or len(data) != prod(shape):
        record = "x".join(map(str, shape))
        raise DataError(f"{path} is truncated or padded: {len(data)} bytes for {record} items; get it again")
    return np.frombuffer(data, np.uint8).reshape(shape)


def load_idx(
    root: Path, split: str, *, name: str, folders: tuple[str, ...], classes: tuple[str, ...] | None
) -> Dataset:
    """Images and labels of one split, from the first of `folders` under `root` that has them.

    Args:
        root: folder of the data set.
        split: "train" or "test".
        name: what to call the set in messages.
        folders: where to look, relative to `root`.
        classes: names of the classes; None numbers those of the training labels.
    """
    prefix = PREFIX[split]
    images = read_idx(_find(root, folders, f"{prefix}-images", 3, name))
    labels = read_idx(_find(root, folders, f"{prefix}-labels", 1, name)).astype(np.int64)
    if images.ndim != 3 or not images.size:
        raise DataError(f"{name}: images have shape {images.shape}, need (N, height, width) with N >= 1")
    if classes is None:
        known = labels if split == "train" else read_idx(_find(root, folders, "train-labels", 1, name))
        classes = tuple(map(str, range(int(known.max(initial=0)) + 1)))
    return Dataset(
        name=f"{name} {split}",
        images=images[:, None],
        labels=labels,
        classes=classes,
        image=ImagePreparation(height=images.shape[1], width=images.shape[2], mode="L"),
    )


def _find(root: Path, folders: tuple[str, ...], stem: str, rank: int, name: str) -> Path:
    names = [f"{stem}{dash}idx{rank}-ubyte{end}" for dash in "-." for end in ("", ".gz")]
    for folder in folders:
        for file in names:
            if (root / folder / file).is_file():
                return root / folder / file
    looked = ", ".join(str(root / folder) for folder in folders)
    where = f" (from {SOURCE[name]})" if name in SOURCE else ""
    raise DataError(
        f"{name}: no {names[0]} (or .gz) in {looked}; put the four idx files there{where}, or set data.root"
    )
