import gzip
from pathlib import Path

import numpy as np
import pytest

from places import needs, place
from signbit.data import DataError, load
from signbit.data.idx import read_idx


def idx(array: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


def write_set(folder: Path, *, train: int = 7, test: int = 3, dash: str = "-", packed: bool = False) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for prefix, count in (("train", train), ("t10k", test)):
        images = np.arange(count * 20).reshape(count, 4, 5) % 256
        labels = np.arange(count) % 3
        for stem, rank, array in ((f"{prefix}-images", 3, images), (f"{prefix}-labels", 1, labels)):
            name = f"{stem}{dash}idx{rank}-ubyte"
            if packed:
                (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
            else:
                (folder / name).write_bytes(idx(array))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("folder", [".", "raw", "MNIST/raw"])
def test_mnist_is_found_in_each_layout(tmp_path: Path, folder: str, packed: bool) -> None:
    write_set(tmp_path / folder, packed=packed)
    dataset = load("mnist", tmp_path, "train")
    assert dataset.images.shape == (7, 1, 4, 5)
    assert dataset.images.dtype == np.uint8
    np.testing.assert_array_equal(dataset.images.reshape(-1), np.arange(140))
    np.testing.assert_array_equal(dataset.labels, [0, 1, 2, 0, 1, 2, 0])
    assert dataset.classes == tuple("0123456789")
    assert dataset.image.shape == (1, 4, 5)
    assert len(load("mnist", tmp_path, "test")) == 3


def test_idx_takes_any_such_files_and_numbers_the_classes(tmp_path: Path) -> None:
    write_set(tmp_path, dash=".")
    assert load("idx", tmp_path, "train").classes == ("0", "1", "2")
    write_set(tmp_path / "b", test=1)
    assert load("idx", tmp_path / "b", "test").classes == ("0", "1", "2")


def test_fashion_mnist_has_its_names(tmp_path: Path) -> None:
    write_set(tmp_path / "FashionMNIST" / "raw")
    assert load("fashion-mnist", tmp_path, "train").classes[9] == "Ankle boot"


def test_missing_files_say_where_was_looked(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no train-images-idx3-ubyte.*MNIST/raw.*put the four idx files there"):
        load("mnist", tmp_path, "train")


GOOD = idx(np.zeros((2, 3, 3)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "starts with nothing"),
        (b"\x00\x00\x08", "is not an idx file"),
        (b"\x89PNG\r\n", "is not an idx file"),
        (b"\x00\x00\x0d\x03" + GOOD[4:], "is not an idx file"),
        (GOOD[:9], "truncated"),
        (GOOD[:-1], "17 bytes for 2x3x3"),
        (GOOD + b"\x00", "19 bytes for 2x3x3"),
        (b"\x00\x00\x08\x03" + b"\xff" * 12, "truncated"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_damaged_files_are_named(tmp_path: Path, content: bytes, message: str, packed: bool) -> None:
    path = tmp_path / ("images.gz" if packed else "images")
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(DataError, match=message):
        read_idx(path)


@pytest.mark.parametrize("cut", [1, 15, 25])
def test_a_cut_gzip_is_damaged(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(idx(np.random.default_rng(0).integers(0, 256, (2, 3, 3))))[:-cut])
    with pytest.raises(DataError, match=r"images\.gz"):
        read_idx(path)


def test_counts_and_labels_must_agree(tmp_path: Path) -> None:
    write_set(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(6)))
    with pytest.raises(DataError, match="7 images but 6 labels"):
        load("mnist", tmp_path, "train")
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.full(7, 10)))
    with pytest.raises(DataError, match=r"has label 10, but 10 classes allow 0\.\.9"):
        load("mnist", tmp_path, "train")


@needs("mnist")
def test_the_real_mnist() -> None:
    dataset = load("mnist", place("mnist"), "test")
    assert np.bincount(dataset.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
