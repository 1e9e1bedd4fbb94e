import numpy as np
import pytest
import torch

from signbit.data.augment import Augment, Augmentation, Mix, Prepare
from signbit.packed import ImagePreparation


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_prepare_is_the_packed_preparation_bit_for_bit(mode: str) -> None:
    image = ImagePreparation(height=5, width=7, mode=mode, mean=(0.4914,), std=(0.247,))  # type: ignore[arg-type]
    pixels = np.random.default_rng(0).integers(0, 256, (3, *image.shape)).astype(np.uint8)
    np.testing.assert_array_equal(Prepare(image)(torch.from_numpy(pixels)).numpy(), image.normalize(pixels))


def test_nothing_is_changed_by_default() -> None:
    pixels = torch.randint(0, 256, (4, 1, 8, 8), dtype=torch.uint8)
    assert Augment(Augmentation(), (8, 8))(pixels) is pixels


@pytest.mark.parametrize(
    "augmentation",
    [
        Augmentation(crop_padding=2),
        Augmentation(flip=True),
        Augmentation(degrees=10, translate=0.1, scale=0.1),
        Augmentation(shear=20),
        Augmentation(crop_area=0.3),
    ],
)
def test_changes_keep_kind_and_follow_the_seed(augmentation: Augmentation) -> None:
    augment = Augment(augmentation, (8, 8))
    pixels = torch.randint(0, 256, (16, 1, 8, 8), dtype=torch.uint8)
    torch.manual_seed(1)
    first = augment(pixels)
    torch.manual_seed(1)
    assert torch.equal(first, augment(pixels))
    assert first.shape == pixels.shape
    assert first.dtype == torch.uint8
    assert not torch.equal(first, pixels)


def test_a_flip_mirrors() -> None:
    torch.manual_seed(0)
    pixels = torch.randint(0, 256, (16, 3, 4, 4), dtype=torch.uint8)
    changed = Augment(Augmentation(flip=True), (4, 4))(pixels)
    same = [torch.equal(a, b) for a, b in zip(changed, pixels, strict=True)]
    mirrored = [torch.equal(a, b.flip(-1)) for a, b in zip(changed, pixels, strict=True)]
    assert all(a or b for a, b in zip(same, mirrored, strict=True))
    assert 0 < sum(mirrored) < 16


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"crop_padding": -1}, "augmentation.crop_padding must be >= 0, got -1"),
        ({"degrees": -1}, "degrees must be within 0..180"),
        ({"translate": 2}, "translate must be within 0..1"),
        ({"scale": 1}, "scale must be"),
        ({"shear": 90}, "shear must be"),
        ({"crop_area": 0}, "crop_area must be"),
        ({"mixup": 1.5}, "mixup must be within 0..1"),
        ({"mixup": 0.75, "cutmix": 0.5}, "cutmix must be within 0..1 - mixup = 0.25"),
    ],
)
def test_amounts_are_checked(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Augmentation(**wrong)  # type: ignore[arg-type]


def test_nothing_is_mixed_by_default() -> None:
    pixels, labels = torch.zeros(4, 1, 2, 2, dtype=torch.uint8), torch.arange(4)
    state = torch.get_rng_state()
    assert Mix(Augmentation(), 4)(pixels, labels) == (pixels, labels)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("way", ["mixup", "cutmix"])
def test_labels_are_mixed_as_the_pixels_are(way: str) -> None:
    """Image i is all 0 but for channel i, so that the share of each label can be read from the pixels."""
    torch.manual_seed(0)
    pixels = (255 * torch.eye(8)[:, :, None, None]).expand(8, 8, 12, 12).to(torch.uint8)
    mixed, targets = Mix(Augmentation(**{way: 1.0}), 8)(pixels, torch.arange(8))  # type: ignore[arg-type]
    assert mixed.dtype == torch.uint8
    torch.testing.assert_close(mixed.float().mean((2, 3)) / 255, targets, atol=2e-3, rtol=0)
    torch.testing.assert_close(targets.sum(1), torch.ones(8))
    assert (targets.max(1).values < 1).sum() >= 4


def test_a_share_of_the_batches_is_mixed() -> None:
    torch.manual_seed(0)
    mix = Mix(Augmentation(mixup=0.3, cutmix=0.2), 2)
    pixels, labels = torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.arange(2)
    mixed = sum(mix(pixels, labels)[1].ndim == 2 for _ in range(200))
    assert 75 < mixed < 125
