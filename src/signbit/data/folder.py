"""Image folders: root/train/CLASS/*.jpg and root/test (or val)/CLASS/*.jpg, one folder per class.

Tiny-ImageNet as it is distributed has its images one folder deeper, train/CLASS/images/*.JPEG, and those of val in one
folder, with their classes in val/val_annotations.txt.
"""

import os
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from signbit.data.dataset import Dataset
from signbit.data.error import DataError
from signbit.data.files import ImageFiles
from signbit.packed import ImagePreparation
from signbit.packed.image import FORMATS

SPLITS = {"train": ("train",), "test": ("test", "val")}
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".pnm")
ANNOTATIONS = "val_annotations.txt"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def load_folder(
    root: Path,
    split: str,
    *,
    size: int | None = None,
    resize: int | None = None,
    grey: bool = False,
    image: ImagePreparation | None = None,
) -> Dataset:
    """The images of one split, undecoded; classes are the sorted folders of the training part.

    Args:
        root: folder with "train" and "test" (or "val") in it.
        split: "train" or "test".
        size: side of the square that the centre of each image is cropped to; None takes the size of the files, which
            must all have the same.
        resize: what the shorter side is scaled to before the crop; None: `size`.
        grey: one channel instead of three.
        image: the preparation itself, instead of the other three.

    Raises:
        DataError: no such folders, no images in them, sizes that differ, or a test class that was not trained.
        ValueError: a size out of range.
    """
    if resize is not None and size is None:
        raise ValueError(f"data.options.resize {resize} needs data.options.size")
    for key, value in (("size", size), ("resize", resize)):
        if value is not None and (type(value) is not int or value < 1):
            raise ValueError(f"data.options.{key} must be an integer >= 1 or null, got {value!r}")
    classes = _classes(_find(root, "train"))
    folder = _find(root, split)
    names: list[bytes] = []
    labels: list[int] = []
    for kind, files in _listed(folder, split).items():
        if kind not in classes:
            raise DataError(f"{folder / kind}: the training part has no class {kind!r}; remove the folder")
        names += [os.fsencode(file) for file in files]
        labels += [classes.index(kind)] * len(files)
    if not names:
        raise DataError(f"{folder}: no image ({', '.join(SUFFIXES)}) in any of its class folders; put some there")
    if image is None:
        side = size if resize is None else resize
        height, width = (size, size) if size is not None else _common_size(folder, names)
        mean, std = ((0.5,), (0.5,)) if grey else (MEAN, STD)
        image = ImagePreparation(
            height=height, width=width, mode="L" if grey else "RGB", resize=side, mean=mean, std=std
        )
    return Dataset(
        name=f"image-folder {split}",
        images=ImageFiles(folder=folder, names=np.array(names), image=image),
        labels=np.array(labels, np.int64),
        classes=classes,
        image=image,
    )


def is_folder_of_classes(root: Path, split: str) -> bool:
    """Whether `load_folder` would find this split."""
    return any(_classes(root / folder) for folder in SPLITS[split])


def _find(root: Path, split: str) -> Path:
    if split == "test" and (root / "val" / ANNOTATIONS).is_file():
        return root / "val"
    for folder in SPLITS[split]:
        if _classes(root / folder):
            return root / folder
    looked = " or ".join(str(root / folder) for folder in SPLITS[split])
    raise DataError(
        f"image-folder: no folders of classes in {looked}; put one folder per class there, such as "
        f"{root / SPLITS[split][0] / 'cat' / '1.jpg'}, or set data.root"
    )


def _classes(folder: Path) -> tuple[str, ...]:
    if not folder.is_dir():
        return ()
    with os.scandir(folder) as entries:
        return tuple(sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")))


def _listed(folder: Path, split: str) -> dict[str, list[str]]:
    """Image files of each class, relative to the folder, sorted."""
    if (folder / ANNOTATIONS).is_file():
        return _annotated(folder)
    found = {}
    for kind in _classes(folder):
        place = kind if _images(folder / kind) else os.path.join(kind, "images")
        found[kind] = [os.path.join(place, file) for file in _images(folder / place)]
        if not found[kind] and split == "train":
            raise DataError(
                f"{folder / kind} has no image ({', '.join(SUFFIXES)}), nor has its folder images; put some there or "
                "remove the folder"
            )
    return found


def _annotated(folder: Path) -> dict[str, list[str]]:
    """The same, from lines of file name, class and more, separated by tabs."""
    path = folder / ANNOTATIONS
    found: dict[str, list[str]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        file, tab, rest = line.partition("\t")
        kind = rest.split("\t")[0]
        if not tab or not kind or os.path.basename(file) != file:
            raise DataError(f"{path}: line {number} is no file name and class, separated by a tab; get the file again")
        found.setdefault(kind, []).append(os.path.join("images", file))
    return {kind: sorted(found[kind]) for kind in sorted(found)}


def _images(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(file for file in os.listdir(folder) if file.lower().endswith(SUFFIXES))


def _common_size(folder: Path, names: list[bytes]) -> tuple[int, int]:
    """Height and width of all images, from their headers alone."""
    first = _size(folder, names[0])
    for name in names[1:]:
        size = _size(folder, name)
        if size != first:
            raise DataError(
                f"image-folder: {_text(folder, names[0])} has {first[0]}x{first[1]} pixels but "
                f"{_text(folder, name)} has {size[0]}x{size[1]}; set data.options.size to bring all to one size"
            )
    return first[1], first[0]


def _size(folder: Path, name: bytes) -> tuple[int, int]:
    try:
        with Pillow.open(folder / os.fsdecode(name), formats=FORMATS) as image:
            return image.size
    except (OSError, Pillow.DecompressionBombError, SyntaxError, ValueError):
        raise DataError(
            f"{_text(folder, name)} is not an image, or is damaged; remove the file or get it again"
        ) from None


def _text(folder: Path, name: bytes) -> str:
    return str(folder / os.fsdecode(name))
