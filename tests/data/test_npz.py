from pathlib import Path

import numpy as np
import pytest

from signbit.data import DataError, load

PIXELS = np.arange(4 * 5 * 6 * 3, dtype=np.uint16).astype(np.uint8).reshape(4, 5, 6, 3)
LABELS = np.array([0, 2, 1, 1], np.int32)


def write(folder: Path, split: str = "train", **arrays: object) -> Path:
    path = folder / f"{split}.npz"
    np.savez(path, **({"images": PIXELS, "labels": LABELS} | arrays))  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize(
    ("images", "shape"),
    [
        (PIXELS, (4, 3, 5, 6)),
        (PIXELS.transpose(0, 3, 1, 2), (4, 3, 5, 6)),
        (PIXELS[..., 0], (4, 1, 5, 6)),
        (PIXELS[..., :1], (4, 1, 5, 6)),
    ],
)
def test_every_layout_of_images(tmp_path: Path, images: np.ndarray, shape: tuple[int, ...]) -> None:
    write(tmp_path, images=images)
    dataset = load("npz", tmp_path)
    assert dataset.images.shape == shape
    np.testing.assert_array_equal(dataset.images[:, 0], PIXELS[..., 0])
    assert dataset.labels.tolist() == [0, 2, 1, 1]
    assert dataset.image.shape == shape[1:]


def test_classes_come_from_the_training_part(tmp_path: Path) -> None:
    write(tmp_path)
    write(tmp_path, "test", labels=np.zeros(4, np.uint8))
    assert load("npz", tmp_path, "test").classes == ("0", "1", "2")
    write(tmp_path, names=np.array(["ant", "bee", "cat"]))
    assert load("npz", tmp_path, "test").classes == ("ant", "bee", "cat")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": PIXELS.astype(np.float32)}, "'images' are float32"),
        ({"images": PIXELS[:0]}, "at least one image"),
        ({"images": PIXELS[..., :2]}, r"have shape \(4, 5, 6, 2\)"),
        ({"images": PIXELS[0, 0]}, r"have shape \(6, 3\)"),
        ({"labels": LABELS[:3]}, "4 images but 3 labels"),
        ({"labels": LABELS.astype(float)}, "'labels' are float64"),
        ({"labels": LABELS[:, None]}, r"'labels' are int32 \(4, 1\)"),
        ({"labels": LABELS - 1}, "image 0 has label -1, but"),
        ({"names": np.array(["ant", "bee"])}, r"image 1 has label 2, but 2 classes allow 0\.\.1"),
        ({"names": np.arange(3)}, "'names' are int64"),
        ({"images": np.array([None])}, "not an archive of plain arrays"),
    ],
)
def test_arrays_are_checked(tmp_path: Path, arrays: dict[str, object], message: str) -> None:
    write(tmp_path, **arrays)
    with pytest.raises(DataError, match=message):
        load("npz", tmp_path)


def test_missing_files_and_arrays(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no train\.npz in .*np\.savez.*data\.root"):
        load("npz", tmp_path)
    np.savez(tmp_path / "train.npz", pictures=PIXELS)
    with pytest.raises(DataError, match="has no array 'images', only pictures"):
        load("npz", tmp_path)


@pytest.mark.parametrize("keep", [0, 10, 200, -1, -30])
def test_a_cut_archive_is_named(tmp_path: Path, keep: int) -> None:
    path = write(tmp_path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"train\.npz is truncated, damaged"):
        load("npz", tmp_path)


def test_a_single_array_is_no_archive(tmp_path: Path) -> None:
    np.save(tmp_path / "train.npy", PIXELS)
    (tmp_path / "train.npy").rename(tmp_path / "train.npz")
    with pytest.raises(DataError, match="not an archive of plain arrays"):
        load("npz", tmp_path)


def test_a_changed_pixel_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path)
    data = bytearray(path.read_bytes())
    data[300] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="CRC"):
        load("npz", tmp_path)


def test_a_header_may_not_ask_for_all_memory(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"(4, 5, 6, 3)", b"(999999999,)"))
    with pytest.raises(DataError, match="train"):
        load("npz", tmp_path)
