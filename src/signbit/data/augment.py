"""Random changes of training images, a batch at a time (kornia), and the preparation of pixels for a network."""

from dataclasses import dataclass

import kornia.augmentation as kornia
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from signbit.packed import ImagePreparation


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What to vary, per image and at random; everything off by default. Applied in this order.

    Attributes:
        degrees: rotates by up to so many degrees either way, 0..180.
        translate: shifts by up to this share of the size in each direction, 0..1.
        scale: enlarges or shrinks by a factor within 1 - scale .. 1 + scale, 0 <= scale < 1.
        shear: shears by up to so many degrees either way, 0..90 (not 90).
        crop_padding: pads every side by so many black pixels, then crops back at random.
        crop_area: crops to between this share of the area and all of it, width/height within 3/4..4/3, and scales back;
            0 < crop_area <= 1, 1 is off (ImageNet's random-resized crop: 0.08). It sees the prepared images, so of a
            folder of images the centre that `data.options.size` has left.
        flip: mirrors half of the images left to right.
        mixup: share of batches whose images are each blended with another of the batch, in a proportion uniform in
            0..1, labels likewise (1710.09412 with α = 1); 0..1.
        cutmix: share of batches whose images each get a rectangle of another of the batch, labels by its area
            (1905.04899 with α = 1); 0..1. A batch is given one of the two at most: mixup + cutmix <= 1.
    """

    degrees: float = 0.0
    translate: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    crop_padding: int = 0
    crop_area: float = 1.0
    flip: bool = False
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        ranges = {
            "degrees": (0 <= self.degrees <= 180, "within 0..180"),
            "translate": (0 <= self.translate <= 1, "within 0..1"),
            "scale": (0 <= self.scale < 1, "within 0..1, and below 1"),
            "shear": (0 <= self.shear < 90, "within 0..90, and below 90"),
            "crop_padding": (self.crop_padding >= 0, ">= 0"),
            "crop_area": (0 < self.crop_area <= 1, "within 0..1, and above 0; 1 crops nothing"),
            "mixup": (0 <= self.mixup <= 1, "within 0..1"),
            "cutmix": (0 <= self.cutmix <= 1 - self.mixup, f"within 0..1 - mixup = {1 - self.mixup:g}"),
        }
        for key, (fits, allowed) in ranges.items():
            if not fits:
                raise ValueError(f"augmentation.{key} must be {allowed}, got {getattr(self, key)}")


class Augment(nn.Module):
    """Applies an `Augmentation` to pixels: uint8 (N, C, H, W) in and out, so that training sees only real pixels.

    Args:
        augmentation: what to vary.
        size: height and width of the images.
    """

    def __init__(self, augmentation: Augmentation, size: tuple[int, int]) -> None:
        super().__init__()
        self.steps = nn.Sequential(*_steps(augmentation, size))

    def forward(self, pixels: Tensor) -> Tensor:
        """Random numbers come from torch's global generator."""
        if not len(self.steps):
            return pixels
        varied: Tensor = self.steps(pixels.float() / 255)
        return _to_pixels(varied)


class Mix(nn.Module):
    """MixUp and CutMix of an `Augmentation`: mixes the images of a batch, and their labels with them.

    Args:
        augmentation: `mixup` and `cutmix` say how often.
        classes: number of classes.
    """

    def __init__(self, augmentation: Augmentation, classes: int) -> None:
        super().__init__()
        keys = ["input", "class"]
        self.mixup, self.cutmix, self.classes = augmentation.mixup, augmentation.cutmix, classes
        self.blend = kornia.RandomMixUpV2(p=1.0, data_keys=keys)
        self.cut = kornia.RandomCutMixV2(p=1.0, data_keys=keys, use_correct_lambda=True)

    def forward(self, pixels: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels uint8 (N, C, H, W), and targets for `cross_entropy`.

        Unmixed, the targets are the labels, int64 (N,); mixed, t = (1 - λ)·onehot(own) + λ·onehot(other), float32
        (N, classes). Random numbers come from torch's global generator.
        """
        if not self.mixup and not self.cutmix:
            return pixels, labels
        draw = float(torch.rand(()))
        if draw >= self.mixup + self.cutmix:
            return pixels, labels
        if draw < self.mixup:
            mixed, mixing = self.blend(pixels.float() / 255, labels)
            own, other, part = mixing.unbind(-1)
        else:
            mixed, mixing = self.cut(pixels.float() / 255, labels)
            # Kornia's "correct" λ belongs to the image itself: 1 - share of the rectangle.
            own, other, kept = mixing[0].unbind(-1)
            part = 1 - kept
        first, second = (F.one_hot(label.long(), self.classes).float() for label in (own, other))
        return _to_pixels(mixed), torch.lerp(first, second, part[:, None])


def _to_pixels(values: Tensor) -> Tensor:
    return (values * 255).round_().clamp_(0, 255).to(torch.uint8)


def _steps(augmentation: Augmentation, size: tuple[int, int]) -> list[nn.Module]:
    steps: list[nn.Module] = []
    if augmentation.degrees or augmentation.translate or augmentation.scale or augmentation.shear:
        shift, scale = augmentation.translate, augmentation.scale
        steps.append(
            kornia.RandomAffine(
                augmentation.degrees,
                translate=(shift, shift) if shift else None,
                scale=(1 - scale, 1 + scale) if scale else None,
                shear=augmentation.shear or None,
                p=1.0,
            )
        )
    if augmentation.crop_padding:
        steps.append(kornia.RandomCrop(size, padding=augmentation.crop_padding, cropping_mode="slice"))
    if augmentation.crop_area < 1:
        steps.append(kornia.RandomResizedCrop(size, scale=(augmentation.crop_area, 1.0), align_corners=False))
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
