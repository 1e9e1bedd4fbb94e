"""Normalisation that looks at one position of one sample alone."""

from typing import Any, final

import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

__all__ = ["ChannelNorm"]


@final
class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of each position, (x − mean)/√(variance + eps) · weight + bias.

    What Keras' LayerNormalization does to maps, and with it the released networks of Bop2ndOrder (2104.05124). Of a
    vector (N, C) it is the plain layer norm. It depends on the sample, so no threshold stands for it when packed.

    Args:
        num_channels: size of the second dimension of the input (N, C, ...).
        eps: added to the biased variance, > 0.
        device: as in torch.
        dtype: as in torch.
    """

    def __init__(self, num_channels: int, *, eps: float = 1e-5, device: Any = None, dtype: Any = None) -> None:
        super().__init__(num_channels, eps=eps, device=device, dtype=dtype)

    @override
    def forward(self, input: Tensor) -> Tensor:
        last = input.movedim(1, -1)
        return F.layer_norm(last, self.normalized_shape, self.weight, self.bias, self.eps).movedim(-1, 1)
