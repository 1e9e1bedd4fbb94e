"""How large the latent weights of a filter are, and how much filters differ in it."""

import torch
from torch import Tensor

__all__ = ["channel_magnitude", "magnitude_spread"]


@torch.no_grad()
def channel_magnitude(weight: Tensor) -> Tensor:
    """CAM of 2106.11309: mean|w| of each filter.

    Of an update Δw instead of a weight it tells filters that hardly move (`UpdateRecorder`).

    Args:
        weight: (filters, ...), latent weights or their change.

    Returns:
        ≥ 0, shape (filters,).
    """
    return weight.flatten(1).abs().mean(1)


def magnitude_spread(weight: Tensor) -> float:
    """SDAM of 2106.11309: standard deviation of the filters' CAM, over all of them (divided by their number).

    Args:
        weight: (filters, ...), latent weights or their change.
    """
    return channel_magnitude(weight).std(correction=0).item()
