"""The data sets by name, and one function that loads any of them."""

from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

from signbit.data.cifar import load_cifar10
from signbit.data.dataset import Dataset
from signbit.data.digits import load_digits
from signbit.data.idx import DIGITS, FASHION, load_idx

SPLITS = ("train", "test")


def _mnist(root: Path, split: str) -> Dataset:
    return load_idx(root, split, name="mnist", folders=("MNIST/raw", "raw", "."), classes=DIGITS)


def _fashion_mnist(root: Path, split: str) -> Dataset:
    return load_idx(root, split, name="fashion-mnist", folders=("FashionMNIST/raw", "raw", "."), classes=FASHION)


def _idx(root: Path, split: str) -> Dataset:
    return load_idx(root, split, name="idx", folders=(".", "raw", "MNIST/raw", "FashionMNIST/raw"), classes=None)


def _digits(root: Path, split: str) -> Dataset:
    return load_digits(split)


_LOADERS: dict[str, Callable[[Path, str], Dataset]] = {
    "cifar10": load_cifar10,
    "digits": _digits,
    "fashion-mnist": _fashion_mnist,
    "idx": _idx,
    "mnist": _mnist,
}


def names() -> tuple[str, ...]:
    """Names that `load` knows, sorted."""
    return tuple(sorted(_LOADERS))


def load(name: str, root: str | Path = "data", split: str = "train") -> Dataset:
    """Loads one split of a data set into memory.

    Args:
        name: one of `names()`; "idx" takes any four MNIST-like idx files.
        root: folder that holds the files in their official layout; not used by "digits".
        split: "train" or "test".

    Raises:
        ValueError: unknown name or split.
        DataError: files that are missing, truncated or inconsistent.
    """
    if name not in _LOADERS:
        near = get_close_matches(name, _LOADERS, n=3)
        raise ValueError(f"unknown data set {name!r}; {'nearest' if near else 'known'}: {', '.join(near or names())}")
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    return _LOADERS[name](Path(root), split)
