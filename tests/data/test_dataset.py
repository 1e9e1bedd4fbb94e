from dataclasses import replace

import numpy as np
import pytest

from signbit.data import DataError, Dataset
from signbit.packed import ImagePreparation


@pytest.fixture
def dataset() -> Dataset:
    return Dataset(
        name="made",
        images=np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1),
        labels=np.arange(10) % 2,
        classes=("even", "odd"),
        image=ImagePreparation(height=1, width=1, mode="L"),
    )


def test_hold_out_takes_either_end(dataset: Dataset) -> None:
    rest, held = dataset.hold_out("last:3")
    assert held is not None
    assert (rest.images.ravel().tolist(), held.images.ravel().tolist()) == ([0, 1, 2, 3, 4, 5, 6], [7, 8, 9])
    rest, held = dataset.hold_out("first:3")
    assert held is not None
    assert (rest.images.ravel().tolist(), held.labels.tolist()) == ([3, 4, 5, 6, 7, 8, 9], [0, 1, 0])
    assert dataset.hold_out(None) == (dataset, None)


def test_a_fraction_is_taken_of_each_class_evenly(dataset: Dataset) -> None:
    rest, held = dataset.hold_out("fraction:0.4")
    assert held is not None
    assert held.images.ravel().tolist() == [4, 5, 8, 9]
    assert rest.images.ravel().tolist() == [0, 1, 2, 3, 6, 7]


def test_two_parts_one_after_the_other(dataset: Dataset) -> None:
    rest, reserved = dataset.hold_out("last:2", key="reserve")
    rest, validation = rest.hold_out("last:3")
    assert reserved is not None
    assert validation is not None
    parts = [part.images.ravel().tolist() for part in (rest, validation, reserved)]
    assert parts == [[0, 1, 2, 3, 4], [5, 6, 7], [8, 9]]
    with pytest.raises(ValueError, match="reserve 'last:10' must hold out"):
        dataset.hold_out("last:10", key="reserve")


@pytest.mark.parametrize(
    "rule", ["fraction:", "fraction:x", "fraction:0", "fraction:1", "fraction:0.1", "fraction:nan"]
)
def test_fractions_are_checked(dataset: Dataset, rule: str) -> None:
    with pytest.raises(ValueError, match="validation 'fraction"):
        dataset.hold_out(rule)


@pytest.mark.parametrize("rule", ["", "last", "last:", "last:x", "middle:3", "last:-3", "last:0", "last:10"])
def test_hold_out_refuses_other_rules(dataset: Dataset, rule: str) -> None:
    with pytest.raises(ValueError, match="validation"):
        dataset.hold_out(rule)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.zeros((10, 1, 1, 1))}, "need uint8"),
        ({"images": np.zeros((10, 1, 2, 1), np.uint8)}, "images are 1x2x1, but 1x1x1 are expected"),
        ({"labels": np.zeros(9, np.int64)}, "10 images but 9 labels"),
        ({"labels": np.full(10, 2)}, "image 0 has label 2, but 2 classes allow 0..1; correct"),
        ({"labels": np.arange(10) - 9}, "image 0 has label -9, but 2 classes"),
    ],
)
def test_parts_must_agree(dataset: Dataset, change: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(DataError, match=message):
        replace(dataset, **change)


def test_a_fingerprint_changes_with_images_labels_and_classes(dataset: Dataset) -> None:
    found = dataset.fingerprint()
    assert found.startswith("10 images, hash ")
    assert replace(dataset, name="renamed").fingerprint() == found
    images = dataset.images[:]
    images[9] += 1
    others = [
        replace(dataset, images=images),
        replace(dataset, labels=dataset.labels[::-1]),
        replace(dataset, classes=("odd", "even")),
        dataset.take(slice(0, 9)),
        dataset.take(slice(0, 0)),
    ]
    assert len({found, *(other.fingerprint() for other in others)}) == 6
