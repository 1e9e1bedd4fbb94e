"""Random changes of training images, a batch at a time (kornia), and the preparation of pixels for a network."""

from dataclasses import dataclass

import kornia.augmentation as kornia
import torch
from torch import Tensor, nn

from signbit.packed import ImagePreparation


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What to vary, per image and at random; everything off by default.

    Attributes:
        crop_padding: pads every side by so many black pixels, then crops back at random.
        flip: mirrors half of the images left to right.
        degrees: rotates by up to so many degrees either way.
        translate: shifts by up to this share of the size, in each direction.
        scale: enlarges or shrinks by a factor within 1 - scale .. 1 + scale.
    """

    crop_padding: int = 0
    flip: bool = False
    degrees: float = 0.0
    translate: float = 0.0
    scale: float = 0.0

    def __post_init__(self) -> None:
        if self.crop_padding < 0 or self.degrees < 0 or not 0 <= self.translate <= 1 or not 0 <= self.scale < 1:
            raise ValueError(f"crop_padding and degrees must be >= 0, translate and scale within 0..1, got {self}")


class Augment(nn.Module):
    """Applies an `Augmentation` to pixels: uint8 (N, C, H, W) in and out, so that training sees only real pixels."""

    def __init__(self, augmentation: Augmentation, size: tuple[int, int]) -> None:
        super().__init__()
        self.steps = nn.Sequential(*_steps(augmentation, size))

    def forward(self, pixels: Tensor) -> Tensor:
        """Random numbers come from torch's global generator."""
        if not len(self.steps):
            return pixels
        varied: Tensor = self.steps(pixels.float() / 255)
        return (varied * 255).round_().clamp_(0, 255).to(torch.uint8)


def _steps(augmentation: Augmentation, size: tuple[int, int]) -> list[nn.Module]:
    steps: list[nn.Module] = []
    if augmentation.degrees or augmentation.translate or augmentation.scale:
        shift, scale = augmentation.translate, augmentation.scale
        steps.append(
            kornia.RandomAffine(
                augmentation.degrees,
                translate=(shift, shift) if shift else None,
                scale=(1 - scale, 1 + scale) if scale else None,
                p=1.0,
            )
        )
    if augmentation.crop_padding:
        steps.append(kornia.RandomCrop(size, padding=augmentation.crop_padding, cropping_mode="slice"))
    if augmentation.flip:
        steps.append(kornia.RandomHorizontalFlip())
    return steps


class Prepare(nn.Module):
    """Pixels uint8 (N, C, H, W) to the float32 values of `ImagePreparation.table`, on any device."""

    table: Tensor

    def __init__(self, image: ImagePreparation) -> None:
        super().__init__()
        self.register_buffer("table", torch.from_numpy(image.table()).flatten(), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """One look-up per value."""
        channel = torch.arange(pixels.shape[1], device=pixels.device, dtype=torch.int32)[:, None, None]
        return self.table[pixels.int() + 256 * channel]
