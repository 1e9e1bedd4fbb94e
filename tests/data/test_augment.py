import numpy as np
import pytest
import torch

from signbit.data.augment import Augment, Augmentation, Prepare
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
    [Augmentation(crop_padding=2), Augmentation(flip=True), Augmentation(degrees=10, translate=0.1, scale=0.1)],
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


@pytest.mark.parametrize("wrong", [{"crop_padding": -1}, {"degrees": -1}, {"translate": 2}, {"scale": 1}])
def test_amounts_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be >= 0"):
        Augmentation(**wrong)  # type: ignore[arg-type]
