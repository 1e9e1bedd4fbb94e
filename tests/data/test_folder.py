import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from signbit.data import DataError, ImageFiles, load, sets


def save(path: Path, *, size: tuple[int, int] = (6, 5), colour: tuple[int, int, int] = (255, 0, 0)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number in range(4):
        save(tmp_path / "train" / "cat" / f"{number}.png", colour=(number, 0, 0))
        save(tmp_path / "train" / "ant" / f"{number}.jpg", colour=(0, 10 * number, 0))
    save(tmp_path / "val" / "cat" / "a.PNG", colour=(9, 0, 0))
    (tmp_path / "train" / "cat" / "notes.txt").write_text("not an image")
    return tmp_path


def test_classes_are_folders_and_files_wait(root: Path) -> None:
    dataset = load("image-folder", root)
    assert dataset.classes == ("ant", "cat")
    assert dataset.labels.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert isinstance(dataset.images, ImageFiles)
    assert dataset.image.shape == (3, 5, 6)
    assert dataset.images[4:].shape == (4, 3, 5, 6)
    assert dataset.images[np.array([7, 4, 5])][:, 0, 0, 0].tolist() == [3, 0, 1]
    test = load("image-folder", root, "test")
    assert test.labels.tolist() == [1]
    assert test.images[:][0, :, 0, 0].tolist() == [9, 0, 0]


def test_parts_stay_files(root: Path) -> None:
    rest, held = load("image-folder", root).hold_out("fraction:0.5")
    assert held is not None
    assert isinstance(held.images, ImageFiles)
    assert [name.decode() for name in held.images.names] == ["ant/1.jpg", "ant/3.jpg", "cat/1.png", "cat/3.png"]
    assert rest.labels.tolist() == [0, 0, 1, 1]


def test_a_size_brings_all_to_one(root: Path) -> None:
    save(root / "train" / "ant" / "9.png", size=(20, 9))
    with pytest.raises(DataError, match=r"0\.jpg has 6x5 pixels but .*9\.png has 20x9; set data\.options\.size"):
        load("image-folder", root)
    dataset = load("image-folder", root, size=4, resize=5)
    assert dataset.images[:].shape == (9, 3, 4, 4)
    assert load("image-folder", root, size=4, grey=True).image.shape == (1, 4, 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "size must be an integer >= 1 or null, got 0"),
        ({"size": "big"}, "size must be an integer"),
        ({"size": 8, "resize": 4}, "resize 4 is smaller"),
        ({"resize": 8}, "needs data.options.size"),
        ({"width": 8}, "unknown option 'width'; known: size, resize, grey"),
    ],
)
def test_options_are_checked(root: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load("image-folder", root, **options)


def test_missing_folders_say_what_to_do(tmp_path: Path, root: Path) -> None:
    with pytest.raises(DataError, match=r"no folders of classes in .*none/train; put one folder per class there"):
        load("image-folder", tmp_path / "none")
    (root / "train" / "cow").mkdir()
    with pytest.raises(DataError, match=r"train/cow has no image \(.*\), nor has its folder images; put some there"):
        load("image-folder", root)
    (root / "train" / "cow").rmdir()
    (root / "val" / "cat" / "a.PNG").unlink()
    with pytest.raises(DataError, match=r"val: no image \(.*\) in any of its class folders"):
        load("image-folder", root, "test")
    save(root / "val" / "dog" / "a.png")
    with pytest.raises(DataError, match="has no class 'dog'"):
        load("image-folder", root, "test")


@pytest.fixture
def tiny_imagenet(tmp_path: Path) -> Path:
    """The layout of the official archive."""
    for label, kind in enumerate(("n02", "n01")):
        for number in range(3):
            save(tmp_path / "train" / kind / "images" / f"{kind}_{number}.JPEG", colour=(0, 60 * label, 0))
        (tmp_path / "train" / kind / f"{kind}_boxes.txt").write_text("n01_0.JPEG\t0\t0\t5\t4\n")
    lines = []
    for number, kind in enumerate(("n01", "n02", "n01")):
        save(tmp_path / "val" / "images" / f"val_{number}.JPEG", colour=(90 * number, 0, 0))
        lines.append(f"val_{number}.JPEG\t{kind}\t0\t0\t5\t4\n")
    (tmp_path / "val" / "val_annotations.txt").write_text("".join(lines))
    save(tmp_path / "test" / "images" / "test_0.JPEG")
    return tmp_path


def test_tiny_imagenet_as_it_is_distributed(tiny_imagenet: Path) -> None:
    training, test = (load("image-folder", tiny_imagenet, split) for split in ("train", "test"))
    assert training.classes == test.classes == ("n01", "n02")
    assert training.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert isinstance(training.images, ImageFiles)
    assert training.images.names[0] == b"n01/images/n01_0.JPEG"
    assert test.labels.tolist() == [0, 0, 1]
    assert isinstance(test.images, ImageFiles)
    assert test.images.names.tolist() == [b"images/val_0.JPEG", b"images/val_2.JPEG", b"images/val_1.JPEG"]
    assert (test.images[:][:, 0, 0, 0] // 85).tolist() == [0, 2, 1]
    assert sets.kind(tiny_imagenet, "test") == "image-folder"


@pytest.mark.parametrize("line", ["val_0.JPEG n01", "val_0.JPEG\t", "../val_0.JPEG\tn01", ""])
def test_damaged_annotations_are_named(tiny_imagenet: Path, line: str) -> None:
    path = tiny_imagenet / "val" / "val_annotations.txt"
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(DataError, match=r"val_annotations\.txt: line 4 is no file name and class"):
        load("image-folder", tiny_imagenet, "test")
    path.write_text("val_0.JPEG\tn99\n")
    with pytest.raises(DataError, match="the training part has no class 'n99'"):
        load("image-folder", tiny_imagenet, "test")


def test_a_damaged_image_is_named(root: Path) -> None:
    path = root / "train" / "cat" / "2.png"
    path.write_bytes(path.read_bytes()[:-25])
    dataset = load("image-folder", root)
    with pytest.raises(DataError, match=r"2\.png.* is damaged.*remove the file or get it again"):
        dataset.images[:]
    path.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"2\.png is not an image"):
        load("image-folder", root)


def test_a_fingerprint_is_of_files_wherever_they_are(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    found = load("image-folder", root).fingerprint()
    copied = tmp_path_factory.mktemp("copied")
    shutil.copytree(root, copied, dirs_exist_ok=True)
    assert load("image-folder", copied).fingerprint() == found
    save(copied / "train" / "cat" / "3.png", colour=(4, 0, 0))
    assert load("image-folder", copied).fingerprint() != found
    shutil.copytree(root, copied, dirs_exist_ok=True)
    (copied / "train" / "cat" / "3.png").rename(copied / "train" / "cat" / "4.png")
    renamed = load("image-folder", copied)
    assert renamed.fingerprint() != found
    (copied / "train" / "cat" / "4.png").unlink()
    with pytest.raises(DataError, match=r"4\.png cannot be read \(No such file or directory\)"):
        renamed.fingerprint()
