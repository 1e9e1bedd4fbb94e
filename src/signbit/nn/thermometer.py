"""Images as bits: FracBNN's thermometer code, behind which a first layer is a layer of signs like any other."""

from collections.abc import Sequence
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

__all__ = ["ThermometerEncode"]


@final
class ThermometerEncode(nn.Module):
    """Each pixel p of 0..255 as round(255/r) signs, of which sign k is +1 where k < round(p/r) (FracBNN, 2012.12206).

    The paper's r = 8 gives 32 signs for each colour. Halves round to even: 4 has no +1 and 12 has two. A pixel of 0 is
    all −1, one of 255 all +1. The layer reads normalised images, (p/255 − mean)/std, and compares them with what lies
    halfway between the two pixels where a sign turns, so that no rounding of the normalisation is seen. No gradient
    passes. A recipe's training sets `mean` and `std` to those of its images; in a loop of your own
    `set_normalization` does.

    Args:
        num_channels: channels of the images, >= 1.
        resolution: r, 1..255: one plane for so many pixel values.
        mean: of the normalisation of pixels on the scale 0..1, one number or one per channel.
        std: the same, positive.
        device: as in torch.
        dtype: as in torch.

    Attributes:
        planes: signs of each channel.
        out_channels: those of all; channel c has planes·c to planes·(c + 1) − 1, from the darkest on.
        cuts: normalised value from which on a sign is +1, (num_channels, planes); a buffer, so that weights bring it.
    """

    cuts: Tensor

    def __init__(
        self,
        num_channels: int,
        *,
        resolution: int = 8,
        mean: Sequence[float] = (0.5,),
        std: Sequence[float] = (0.5,),
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if num_channels < 1:
            raise ValueError(f"num_channels must be >= 1, got {num_channels}")
        if not (isinstance(resolution, int) and 1 <= resolution <= 255):
            raise ValueError(f"resolution must be an integer within 1..255, got {resolution}")
        self.num_channels = num_channels
        self.resolution = resolution
        # np.rint rounds halves to even, and a half is exact in float64.
        heights = np.rint(np.arange(256) / resolution)
        self.planes = int(heights[-1])
        self.out_channels = num_channels * self.planes
        self._first = (heights > np.arange(self.planes)[:, None]).argmax(axis=1)
        self.register_buffer("cuts", torch.empty(num_channels, self.planes, device=device, dtype=dtype))
        self.set_normalization(mean, std)

    def set_normalization(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Says how the images that come are normalised; see the arguments of the class.

        Raises:
            ValueError: numbers that are not finite or not positive, or not one or one per channel.
        """
        for name, given in (("mean", mean), ("std", std)):
            if len(given) not in (1, self.num_channels) or not np.isfinite(given).all():
                raise ValueError(f"{name} needs one finite number or {self.num_channels}, got {given}")
        if min(std) <= 0:
            raise ValueError(f"std must be positive, got {std}")
        scaled = (self._first - 0.5) / 255
        cuts = (scaled - np.reshape(mean, (-1, 1))) / np.reshape(std, (-1, 1))
        self.cuts.copy_(torch.from_numpy(np.broadcast_to(cuts, self.cuts.shape).copy()))

    @override
    def forward(self, input: Tensor) -> Tensor:
        if input.dim() < 2 or input.shape[1] != self.num_channels or not input.is_floating_point():
            raise ValueError(
                f"ThermometerEncode takes normalised images, floats (N, {self.num_channels}, ...), got {input.dtype} "
                f"{tuple(input.shape)}"
            )
        below = input.unsqueeze(2) < self.cuts.view(*self.cuts.shape, *(1,) * (input.dim() - 2))
        # The booleans are a quarter of the size: half the time of a sign of differences.
        return below.flatten(1, 2).to(input.dtype).mul_(-2).add_(1)

    @override
    def extra_repr(self) -> str:
        return f"{self.num_channels}, resolution={self.resolution}, out_channels={self.out_channels}"
