import pickle
from pathlib import Path

import numpy as np
import pytest

from places import needs, place
from signbit.data import DataError, load

RECORD = 3073


def write_batches(folder: Path, records: int = 2) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        rows = np.zeros((records, RECORD), np.uint8)
        rows[:, 0] = number
        rows[:, 1] = 10 * number
        rows[:, 1025] = 20 * number
        (folder / f"{name}.bin").write_bytes(rows.tobytes())


@pytest.mark.parametrize("folder", ["cifar-10-batches-bin", "."])
def test_batches_in_order_with_planes_first(tmp_path: Path, folder: str) -> None:
    write_batches(tmp_path / folder)
    dataset = load("cifar10", tmp_path, "train")
    assert dataset.images.shape == (10, 3, 32, 32)
    assert dataset.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert dataset.images[:, 0, 0, 0].tolist() == [0, 0, 10, 10, 20, 20, 30, 30, 40, 40]
    assert dataset.images[9, 1, 0, 0] == 80
    assert dataset.classes[5] == "dog"
    assert load("cifar10", tmp_path, "test").labels.tolist() == [5, 5]


@pytest.mark.parametrize("size", [0, 1, RECORD - 1, RECORD + 1])
def test_a_file_is_a_whole_number_of_records(tmp_path: Path, size: int) -> None:
    write_batches(tmp_path)
    (tmp_path / "data_batch_3.bin").write_bytes(bytes(size))
    with pytest.raises(DataError, match=rf"data_batch_3.bin is truncated: {size} bytes"):
        load("cifar10", tmp_path, "train")


def test_labels_out_of_range(tmp_path: Path) -> None:
    write_batches(tmp_path)
    (tmp_path / "test_batch.bin").write_bytes(b"\x0a" + bytes(RECORD - 1))
    with pytest.raises(DataError, match="image 0 has label 10, but 10 classes"):
        load("cifar10", tmp_path, "test")


def test_missing_files_say_where_was_looked(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no data_batch_1.bin .*in .*cifar-10-batches-bin, .*unpack .*cifar-10-binary"):
        load("cifar10", tmp_path, "train")


def test_a_missing_batch_is_named(tmp_path: Path) -> None:
    write_batches(tmp_path)
    (tmp_path / "data_batch_4.bin").unlink()
    with pytest.raises(DataError, match=r"has no data_batch_4\.bin; unpack the whole archive"):
        load("cifar10", tmp_path, "train")


def write_python(path: Path, value: object, protocol: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(value, protocol=protocol))


def batch(key: bytes, labels: list[int]) -> dict[bytes, object]:
    return {key: labels, b"data": np.full((len(labels), 3072), labels[0], np.uint8), b"batch_label": b"a batch"}


@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
def test_python_batches_equal_binary_ones(tmp_path: Path, protocol: int) -> None:
    write_batches(tmp_path / "bin", 3)
    binary = load("cifar10", tmp_path / "bin", "train")
    for number in range(1, 6):
        rows = np.fromfile(tmp_path / "bin" / f"data_batch_{number}.bin", np.uint8).reshape(-1, RECORD)
        value = {b"data": rows[:, 1:], b"labels": rows[:, 0].tolist()}
        write_python(tmp_path / "cifar-10-batches-py" / f"data_batch_{number}", value, protocol)
    python = load("cifar10", tmp_path, "train")
    np.testing.assert_array_equal(binary.images, python.images)
    np.testing.assert_array_equal(binary.labels, python.labels)


def test_cifar100_has_fine_labels_and_names(tmp_path: Path) -> None:
    rows = np.zeros((4, 1 + RECORD), np.uint8)
    rows[:, 0], rows[:, 1] = 19, [0, 7, 50, 99]
    (tmp_path / "cifar-100-binary").mkdir()
    (tmp_path / "cifar-100-binary" / "test.bin").write_bytes(rows.tobytes())
    dataset = load("cifar100", tmp_path, "test")
    assert dataset.labels.tolist() == [0, 7, 50, 99]
    assert dataset.classes == tuple(map(str, range(100)))
    (tmp_path / "cifar-100-binary" / "fine_label_names.txt").write_text("\n".join(f"kind{i}" for i in range(100)))
    assert load("cifar100", tmp_path, "test").classes[99] == "kind99"
    (tmp_path / "cifar-100-binary" / "fine_label_names.txt").write_text("apple")
    with pytest.raises(DataError, match="does not name 100 classes"):
        load("cifar100", tmp_path, "test")


def test_cifar100_in_python(tmp_path: Path) -> None:
    write_python(tmp_path / "cifar-100-python" / "train", batch(b"fine_labels", [3, 98]), 2)
    write_python(tmp_path / "cifar-100-python" / "meta", {"fine_label_names": [f"kind{i}" for i in range(100)]}, 2)
    dataset = load("cifar100", tmp_path, "train")
    assert dataset.labels.tolist() == [3, 98]
    assert dataset.images.shape == (2, 3, 32, 32)
    assert dataset.classes[3] == "kind3"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({b"labels": [0]}, "no bytes of shape"),
        ({b"data": np.zeros((1, 3071), np.uint8), b"labels": [0]}, "no bytes of shape"),
        ({b"data": np.zeros((1, 3072), np.float32), b"labels": [0]}, "no bytes of shape"),
        ({b"data": np.zeros((2, 3072), np.uint8), b"labels": [0]}, "not one label for each of its 2 images"),
        ({b"data": np.zeros((1, 3072), np.uint8), b"labels": [2**70]}, "not one label"),
        ({b"data": np.zeros((1, 3072), np.uint8), b"labels": ["cat"]}, "not one label"),
        ({b"data": np.zeros((1, 3072), np.uint8), b"labels": [10]}, "image 0 has label 10, but 10 classes"),
        ({b"data": np.zeros((1, 3072), np.uint8), b"labels": [-1]}, "image 0 has label -1, but"),
    ],
)
def test_python_batches_are_checked(tmp_path: Path, value: dict[bytes, object], message: str) -> None:
    write_python(tmp_path / "test_batch", value, 2)
    with pytest.raises(DataError, match=message):
        load("cifar10", tmp_path, "test")


@needs("cifar-10-batches-bin/test_batch.bin")
def test_the_real_cifar10() -> None:
    counts = np.bincount(load("cifar10", place("cifar-10-batches-bin").parent, "test").labels)
    # The official file, or the 1017 of its images that are at hand without loss.
    assert counts.tolist() == [1000] * 10 or counts.sum() == 1017
