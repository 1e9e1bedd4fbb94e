from pathlib import Path

import numpy as np
import pytest

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
    with pytest.raises(DataError, match="labels run from 10 to 10"):
        load("cifar10", tmp_path, "test")


def test_missing_files_say_where_was_looked(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no data_batch_1.bin in .*cifar-10-batches-bin, .*unpack"):
        load("cifar10", tmp_path, "train")
