"""The data sets by name, and one function that loads any of them."""

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from signbit.data.cifar import CIFAR10, CIFAR100, load_cifar
from signbit.data.dataset import Dataset
from signbit.data.digits import load_digits
from signbit.data.folder import is_folder_of_classes, load_folder
from signbit.data.idx import DIGITS, FASHION, load_idx
from signbit.data.npz import load_npz
from signbit.wording import check_choice, unknown

SPLITS = ("train", "test")


def _mnist(root: Path, split: str) -> Dataset:
    return load_idx(root, split, name="mnist", folders=("MNIST/raw", "raw", "."), classes=DIGITS)


def _fashion_mnist(root: Path, split: str) -> Dataset:
    return load_idx(root, split, name="fashion-mnist", folders=("FashionMNIST/raw", "raw", "."), classes=FASHION)


def _idx(root: Path, split: str) -> Dataset:
    return load_idx(root, split, name="idx", folders=(".", "raw", "MNIST/raw", "FashionMNIST/raw"), classes=None)


def _digits(root: Path, split: str) -> Dataset:
    return load_digits(split)


_LOADERS: dict[str, Callable[..., Dataset]] = {
    "cifar10": partial(load_cifar, CIFAR10),
    "cifar100": partial(load_cifar, CIFAR100),
    "digits": _digits,
    "fashion-mnist": _fashion_mnist,
    "idx": _idx,
    "image-folder": load_folder,
    "mnist": _mnist,
    "npz": load_npz,
}


def names() -> tuple[str, ...]:
    """Names that `load` knows, sorted."""
    return tuple(sorted(_LOADERS))


def kind(folder: str | Path, split: str) -> str:
    """Which of "npz", "image-folder" and "idx" is in a folder, by its layout; "idx" where it is none of them."""
    path = Path(folder)
    if (path / f"{split}.npz").is_file():
        return "npz"
    return "image-folder" if is_folder_of_classes(path, split) else "idx"


def load(name: str, root: str | Path = "data", split: str = "train", **options: Any) -> Dataset:
    """Loads one split of a data set: into memory, except "image-folder", whose files are decoded when they are used.

    Args:
        name: one of `names()`; "idx" takes any four MNIST-like idx files.
        root: folder that holds the files in their official layout; not used by "digits".
        split: "train" or "test".
        options: what the reader takes beyond these: `size`, `resize` and `grey` of "image-folder", or the
            `image` preparation that a model wants.

    Raises:
        ValueError: unknown name, split or option, or an option's value that does not fit.
        DataError: files that are missing, truncated or inconsistent.
    """
    if name not in _LOADERS:
        raise ValueError(unknown("data set", name, names()))
    check_choice("split", split, SPLITS)
    loader = _LOADERS[name]
    accepted = [*inspect.signature(loader).parameters][2:]
    for option in options:
        if option not in accepted:
            plain = [key for key in accepted if key != "image"]
            raise ValueError(f"data set {name}: {unknown('option', option, plain)}")
    return loader(Path(root), split, **options)
