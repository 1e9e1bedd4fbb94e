"""From an image file to the pixels and the normalised values that a network reads.

Training, evaluation, export and the runtime all prepare images here; the preparation travels in the packed file.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import UnidentifiedImageError

from signbit.packed.bits import Array

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
"""What is read: Pillow would otherwise hand other files to programs such as Ghostscript."""

MAX_PIXELS = 2**26
"""Most pixels after scaling, before the crop: a very long image must not ask for unbounded memory."""


@dataclass(frozen=True, kw_only=True)
class ImagePreparation:
    """How an image becomes (C, H, W) pixels 0..255, and how a pixel p becomes (p/255 - mean)/std.

    Attributes:
        height: rows of the result.
        width: columns of the result.
        mode: "L" for grey (C = 1), "RGB" for colour in this order (C = 3).
        resize: None stretches the image to height x width; a number scales the shorter side to it, then crops the
            centre. Bilinear, antialiased (Pillow).
        mean: per channel, on the scale 0..1.
        std: per channel, on the scale 0..1, positive.
    """

    height: int
    width: int
    mode: Literal["L", "RGB"] = "RGB"
    resize: int | None = None
    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.5,)

    def __post_init__(self) -> None:
        channels = self.shape[0]
        if len(self.mean) not in (1, channels) or len(self.std) not in (1, channels):
            raise ValueError(f"mean {self.mean} and std {self.std} need one value or {channels}")
        if min(self.std) <= 0 or not np.isfinite([*self.mean, *self.std]).all():
            raise ValueError(f"std {self.std} must be positive and finite")
        if not 1 <= min(self.height, self.width) <= max(self.height, self.width) <= 2**14:
            raise ValueError(f"image size {self.height}x{self.width} is not within 1..16384")
        if self.resize is not None and not max(self.height, self.width) <= self.resize <= 2**15:
            raise ValueError(f"resize {self.resize} is smaller than the crop {self.height}x{self.width} or over 32768")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return (1 if self.mode == "L" else 3), self.height, self.width

    def pixels(self, image: str | Path | Pillow.Image) -> npt.NDArray[np.uint8]:
        """Reads, converts and resizes an image (a path or a Pillow image) to uint8 (C, H, W).

        Raises:
            ValueError: the file is missing or is not an image.
        """
        opened = image if isinstance(image, Pillow.Image) else _open(Path(image))
        converted = opened.convert(self.mode)
        if self.resize is not None:
            scale = self.resize / min(converted.size)
            width, height = (max(self.resize, round(side * scale)) for side in converted.size)
            if width * height > MAX_PIXELS:
                raise ValueError(
                    f"an image of {converted.width}x{converted.height} scaled to {width}x{height} is too large; "
                    "crop it first"
                )
            left, top = (width - self.width) // 2, (height - self.height) // 2
            converted = converted.resize((width, height), Pillow.Resampling.BILINEAR)
            converted = converted.crop((left, top, left + self.width, top + self.height))
        elif converted.size != (self.width, self.height):
            converted = converted.resize((self.width, self.height), Pillow.Resampling.BILINEAR)
        rows = np.asarray(converted, np.uint8).reshape(self.height, self.width, -1)
        return np.ascontiguousarray(rows.transpose(2, 0, 1))

    def table(self) -> npt.NDArray[np.float32]:
        """Normalised value of every pixel value, (C, 256), each operation rounded to float32."""
        channels = self.shape[0]
        scaled = np.arange(256, dtype=np.float32) / np.float32(255)
        mean = np.broadcast_to(np.array(self.mean, np.float32), channels)[:, None]
        std = np.broadcast_to(np.array(self.std, np.float32), channels)[:, None]
        return np.asarray((scaled - mean) / std, np.float32)

    def normalize(self, pixels: Array) -> npt.NDArray[np.float32]:
        """Pixels uint8 (N, C, H, W) to normalised float32 of the same shape, through `table`."""
        table = self.table()
        return np.stack([table[c][pixels[:, c]] for c in range(len(table))], axis=1)


def _open(path: Path) -> Pillow.Image:
    try:
        with Pillow.open(path, formats=FORMATS) as image:
            image.load()
            return image
    except FileNotFoundError:
        raise ValueError(f"image {str(path)!r} does not exist") from None
    except (UnidentifiedImageError, OSError, Pillow.DecompressionBombError, SyntaxError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{str(path)!r} is not an image in {', '.join(FORMATS)}, or is damaged: {reason}") from None


def as_pixels(batch: Array, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """A batch (N, *shape) as pixels: uint8 unchanged, float32 within 0..1 rounded to 255 steps.

    Raises:
        ValueError: another dtype, shape or range.
    """
    if batch.shape[1:] != shape or batch.ndim != len(shape) + 1:
        raise ValueError(f"batch has shape {batch.shape}, expected (N, {', '.join(map(str, shape))})")
    if batch.dtype == np.uint8:
        return batch
    if batch.dtype not in (np.float32, np.float64):
        raise ValueError(f"batch has dtype {batch.dtype}; give uint8 pixels, or floats within 0..1")
    if batch.size and not (batch.min() >= 0 and batch.max() <= 1):
        raise ValueError(f"float images must lie within 0..1, got {batch.min():g}..{batch.max():g}; or give uint8")
    return np.rint(batch * 255).astype(np.uint8)
