"""Weight quantizers that may be told which weights take the rarer level, instead of choosing them."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from signbit.quantizers.ranked import RankedQuantizer

__all__ = ["MaskedQuantizer"]


class MaskedQuantizer(RankedQuantizer, ABC):
    """Quantizer of a rare level, or of weights other than 0, with a mask of them if `attach_mask` made one.

    The mask is part of the state dict, as it is what was trained. `signbit.sparsity` moves it.

    Attributes:
        mask: bool in the weight's shape, the weights that take the rarer level; None lets the quantizer choose.
        ranked: whether the mask follows the order of `ranking`, so that the surrogate gradient is that around its cut.
            Otherwise the gradient is that of weights whose level is given.
        dense_gradient: whether weights outside a mask that is not ranked receive the gradient of their value, 0 now;
            somebody has to keep it from the optimizer.
    """

    mask: Tensor | None
    ranked: bool = False
    dense_gradient: bool = False

    def attach_mask(self, weight: Tensor) -> None:
        """Gives the quantizer a mask, all True for now.

        Args:
            weight: of the one layer that this belongs to; its values do not matter.

        Raises:
            ValueError: the quantizer has a budget of its own, or one for each filter, or serves another layer.
        """
        kind = type(self).__name__
        if self.target is not None:
            raise ValueError(f"{kind} keeps density={self.target} itself; leave that out where masks are given")
        if self.granularity != "layer":
            raise ValueError(f"{kind} has granularity={self.granularity!r}, and masks are of layers; use 'layer'")
        if self.mask is not None:
            raise ValueError(f"{kind} has a mask already; give each layer its own quantizer")
        self.mask = torch.ones_like(weight, dtype=torch.bool)

    @abstractmethod
    def ranking(self, weight: Tensor) -> Tensor:
        """What the weights are ranked by, in the weight's shape: the largest take the rarer level."""
