"""Fully connected layer of signs."""

from typing import Any, final

import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from signbit.nn.layer import BinaryLayer
from signbit.quantizers import Quantizer

__all__ = ["BinaryLinear"]


@final
class BinaryLinear(BinaryLayer, nn.Linear):
    """`torch.nn.Linear` on signs: y = (sign(x) · sign(W)ᵀ) · scale + bias.

    Arguments come in torch's order, and the state dict has torch's keys. The bias is off by default: a batch norm
    usually follows and has its own.

    Args:
        in_features: length of an input.
        out_features: number of filters.
        bias: whether a real bias per filter is added.
        device: as in torch.
        dtype: as in torch.
        weight_quantizer: name such as "sign" or "sign(scale=mean)", a `Quantizer`, or None for a real weight.
        input_quantizer: the same for the input; None takes the input as it comes.
    """

    spatial = 0

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        weight_quantizer: str | Quantizer | None = "sign",
        input_quantizer: str | Quantizer | None = "sign",
    ) -> None:
        super().__init__(in_features, out_features, bias, device, dtype)
        self._set_quantizers(weight_quantizer, input_quantizer)

    @override
    def _product(self, code: Tensor, weight: Tensor) -> Tensor:
        return F.linear(code, weight)

    @override
    def _shared_sum(self, code: Tensor) -> Tensor:
        return code.sum(-1, keepdim=True)
