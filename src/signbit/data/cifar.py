"""CIFAR-10 and CIFAR-100 in their official binary and Python versions: 32 x 32 pixels, colour planes first.

A binary record is one label byte (CIFAR-100: coarse, then fine) and 3,072 bytes; a Python batch is a pickled dictionary
of an array (N, 3072) and a list of labels.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from signbit.data.dataset import Dataset
from signbit.data.error import DataError
from signbit.data.pickles import read_pickle
from signbit.packed import ImagePreparation

PIXELS = 3 * 32 * 32
Batch = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where a set's files are and what they hold.

    Attributes:
        name: of the set.
        binary: folder of the binary version.
        python: folder of the Python version.
        files: of each split, in the official order, without suffix.
        label_bytes: at the head of a binary record; the last is the label.
        key: of the labels in a Python batch.
        classes: names, in the order of the labels; None: a file beside the images has them.
        mean: of the training part, per channel.
        std: of the training part, per channel.
    """

    name: str
    binary: str
    python: str
    files: dict[str, tuple[str, ...]]
    label_bytes: int
    key: bytes
    classes: tuple[str, ...] | None
    mean: tuple[float, ...]
    std: tuple[float, ...]


CIFAR10 = Layout(
    name="cifar10",
    binary="cifar-10-batches-bin",
    python="cifar-10-batches-py",
    files={"train": tuple(f"data_batch_{i}" for i in range(1, 6)), "test": ("test_batch",)},
    label_bytes=1,
    key=b"labels",
    classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
)

CIFAR100 = Layout(
    name="cifar100",
    binary="cifar-100-binary",
    python="cifar-100-python",
    files={"train": ("train",), "test": ("test",)},
    label_bytes=2,
    key=b"fine_labels",
    classes=None,
    mean=(0.5071, 0.4866, 0.4409),
    std=(0.2673, 0.2564, 0.2762),
)


def load_cifar(layout: Layout, root: Path, split: str) -> Dataset:
    """All images of one split, in the official order, from the first version found under `root`.

    Raises:
        DataError: a file is missing or damaged, or is not a whole number of records.
    """
    folder, suffix = _find(layout, root, split)
    paths = [folder / f"{file}{suffix}" for file in layout.files[split]]
    for path in paths:
        if not path.is_file():
            raise DataError(f"{layout.name}: {folder} has no {path.name}; unpack the whole archive there again")
    batches = [_binary(path, layout.label_bytes) if suffix else _python(path, layout.key) for path in paths]
    return Dataset(
        name=f"{layout.name} {split}",
        images=np.concatenate([images for images, _ in batches]).reshape(-1, 3, 32, 32),
        labels=np.concatenate([labels for _, labels in batches]),
        classes=layout.classes or _classes(folder, bool(suffix)),
        image=ImagePreparation(height=32, width=32, mode="RGB", mean=layout.mean, std=layout.std),
    )


def _find(layout: Layout, root: Path, split: str) -> tuple[Path, str]:
    places = [(root / layout.binary, ".bin"), (root / layout.python, ""), (root, ".bin"), (root, "")]
    for folder, suffix in places:
        if any((folder / f"{file}{suffix}").is_file() for file in layout.files[split]):
            return folder, suffix
    looked = ", ".join(dict.fromkeys(str(folder) for folder, _ in places))
    archive = layout.binary.removesuffix("-batches-bin").removesuffix("-binary")
    raise DataError(
        f"{layout.name}: no {layout.files[split][0]}.bin (nor {layout.files[split][0]} of the Python version) in "
        f"{looked}; unpack https://www.cs.toronto.edu/~kriz/{archive}-binary.tar.gz there, or set data.root"
    )


def _binary(path: Path, label_bytes: int) -> Batch:
    data = np.fromfile(path, np.uint8)
    record = label_bytes + PIXELS
    if not data.size or data.size % record:
        raise DataError(
            f"{path} is truncated: {data.size} bytes are no whole number of {record}-byte records; get it again"
        )
    records = data.reshape(-1, record)
    return records[:, label_bytes:], records[:, label_bytes - 1].astype(np.int64)


def _python(path: Path, key: bytes) -> Batch:
    batch = read_pickle(path)
    images, labels = batch.get(b"data"), batch.get(key)
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim != 2 or images.shape[1] != PIXELS:
        raise DataError(f"{path} has no bytes of shape (N, {PIXELS}) under 'data'; get it again")
    if not isinstance(labels, list) or len(labels) != len(images) or not all(map(_is_small, labels)):
        raise DataError(f"{path} has not one label for each of its {len(images)} images; get it again")
    return images, np.array(labels, np.int64)


def _is_small(label: object) -> bool:
    return type(label) is int and abs(label) < 2**31


def _classes(folder: Path, binary: bool) -> tuple[str, ...]:
    """CIFAR-100's names from the file beside the images, or numbers where there is none."""
    path = folder / ("fine_label_names.txt" if binary else "meta")
    if not path.is_file():
        return tuple(map(str, range(100)))
    found = path.read_bytes().split() if binary else read_pickle(path).get(b"fine_label_names")
    if not isinstance(found, list) or len(found) != 100:
        raise DataError(f"{path} does not name 100 classes; get it again")
    return tuple(name.decode("ascii", "replace") if isinstance(name, bytes) else str(name) for name in found)
