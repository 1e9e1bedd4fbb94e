"""How many weights still have the sign they began with."""

from collections.abc import Mapping
from typing import final

import numpy as np
import torch
from torch import Tensor

from signbit.analysis.shares import Shares
from signbit.packed.bits import Bytes, pack_stream

__all__ = ["InitialSigns"]


@final
class InitialSigns:
    """Keeps the signs that weights have now, one bit each, and says later which share still has them.

    This is the C2I ratio of 2106.11309, the correlation to the initialisation: C2I = 1 − Σ|sign w − sign w₀| / 2N. 1 is
    a weight that never moved, .5 chance. The paper prints another factor ½, with which the values of its own Table 1
    could not be. sign(0) = +1.

    Args:
        weights: name → tensor; read again at every question.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self._weights = dict(weights)
        self._bits = {name: _bits(weight) for name, weight in self._weights.items()}

    def kept(self) -> Shares:
        """Shares of the weights whose sign is the initial one."""
        sizes = {name: weight.numel() for name, weight in self._weights.items()}
        changed = {name: int(np.bitwise_count(_bits(w) ^ self._bits[name]).sum()) for name, w in self._weights.items()}
        return Shares.of({name: sizes[name] - count for name, count in changed.items()}, sizes)

    def state_dict(self) -> dict[str, Tensor]:
        """The initial signs as bytes of eight, for a run that goes on after an interruption."""
        return {name: torch.from_numpy(bits) for name, bits in self._bits.items()}

    def load_state_dict(self, state_dict: Mapping[str, Tensor]) -> None:
        """Takes over the initial signs that `state_dict` gave."""
        self._bits = {name: bits.cpu().numpy() for name, bits in state_dict.items()}


def _bits(weight: Tensor) -> Bytes:
    return pack_stream((weight.detach() < 0).cpu().numpy())
