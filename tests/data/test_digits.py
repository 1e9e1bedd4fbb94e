import numpy as np

from signbit.data import load


def test_the_split_is_fixed_and_every_class_in_it() -> None:
    train, test = load("digits", split="train"), load("digits", split="test")
    assert (len(train), len(test)) == (1442, 355)
    assert np.bincount(test.labels).min() >= 34
    assert train.images.shape[1:] == (1, 8, 8)
    assert train.images.min() == 0
    assert train.images.max() == 255
    assert set(np.unique(train.images)) <= {round(255 * v / 16) for v in range(17)}


def test_no_image_is_in_both() -> None:
    train, test = (load("digits", split=split).images.reshape(-1, 64) for split in ("train", "test"))
    assert not {row.tobytes() for row in train} & {row.tobytes() for row in test}
