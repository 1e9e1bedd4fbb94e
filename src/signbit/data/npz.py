"""Images and labels in two numpy archives, train.npz and test.npz: "images", "labels" and, if wanted, "names"."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from signbit.data.dataset import Dataset
from signbit.data.error import DataError
from signbit.packed import ImagePreparation


def load_npz(root: Path, split: str) -> Dataset:
    """One split.

    "images" are uint8 (N, H, W), (N, C, H, W) or (N, H, W, C) with C = 1 or 3; "labels" are integers (N,); "names", in
    the training archive, those of the classes. Without them the classes are numbered up to the largest training label.

    Raises:
        DataError: an archive is missing or damaged, or lacks an array.
    """
    archive = _path(root, split)
    images, labels = _read(archive, "images"), _labels(archive)
    if images.dtype != np.uint8 or not images.size:
        raise DataError(f"{archive}: 'images' are {images.dtype} {images.shape}, need pixels uint8, at least one image")
    images = _planes_first(images, archive)
    channels, height, width = images.shape[1:]
    return Dataset(
        name=f"npz {split}",
        images=images,
        labels=labels,
        classes=_classes(_path(root, "train"), labels if split == "train" else None),
        image=ImagePreparation(height=height, width=width, mode="L" if channels == 1 else "RGB"),
    )


def _path(root: Path, split: str) -> Path:
    path = root / f"{split}.npz"
    if not path.is_file():
        raise DataError(
            f"npz: no {split}.npz in {root}; write train.npz and test.npz there with "
            "np.savez(path, images=..., labels=...), or set data.root"
        )
    return path


def _read(path: Path, key: str, *, needed: bool = True) -> Any:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            if key in archive.files:
                return archive[key]
            found = ", ".join(archive.files)
    except (OSError, ValueError, EOFError, KeyError, TypeError, MemoryError, NotImplementedError) as error:
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
    except (zipfile.BadZipFile, zlib.error) as error:
        reason = str(error)
    else:
        if not needed:
            return None
        raise DataError(f"{path} has no array {key!r}, only {found or 'none'}; write it with np.savez")
    raise DataError(f"{path} is truncated, damaged or not an archive of plain arrays ({reason}); get it again")


def _labels(path: Path) -> Any:
    labels = _read(path, "labels")
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DataError(f"{path}: 'labels' are {labels.dtype} {labels.shape}, need integers (N,)")
    return labels.astype(np.int64)


def _planes_first(images: Any, path: Path) -> Any:
    if images.ndim == 3:
        return images[:, None]
    if images.ndim == 4 and images.shape[1] in (1, 3):
        return images
    if images.ndim == 4 and images.shape[3] in (1, 3):
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    raise DataError(
        f"{path}: 'images' have shape {images.shape}, need (N, H, W), (N, C, H, W) or (N, H, W, C), C 1 or 3"
    )


def _classes(archive: Path, labels: Any | None) -> tuple[str, ...]:
    names = _read(archive, "names", needed=False)
    if names is None:
        known = _labels(archive) if labels is None else labels
        return tuple(map(str, range(int(known.max(initial=0)) + 1)))
    if names.ndim != 1 or names.dtype.kind != "U":
        raise DataError(f"{archive}: 'names' are {names.dtype} {names.shape}, need text (classes,)")
    return tuple(names.tolist())
