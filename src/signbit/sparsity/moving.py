"""Dynamic sparse training: how many weights of a mask are exchanged, and which (SET 1707.04780, RigL 1911.11134)."""

import math

import torch
from torch import Tensor

from signbit.sparsity.selection import largest_mask

__all__ = ["drop_rate", "exchange"]


def drop_rate(update: int, updates: int, *, start: float = 0.5, end: float = 0.005) -> float:
    """Share ζ of a mask that its q-th update exchanges: end + (start − end)/2·(1 + cos(π·q/Q)).

    Args:
        update: q = 1..Q.
        updates: Q.
        start: ζ before the first.
        end: ζ of the last.
    """
    return end + (start - end) / 2 * (1 + math.cos(math.pi * update / updates))


def exchange(
    mask: Tensor,
    importance: Tensor,
    growth: Tensor,
    rate: float,
    *,
    generator: torch.Generator,
) -> Tensor:
    """The next mask: the least important of its weights leave, as many others enter; their number stays exactly.

    Weights that have just left may enter again, as in the released code of ITOP (2102.02887).

    Args:
        mask: bool, any shape.
        importance: in the mask's shape; the smallest leave.
        growth: in the mask's shape; the largest enter; −inf never does while another is left.
        rate: share ζ of the mask that is exchanged, rounded up.
        generator: on the CPU; decides among equal scores.
    """
    total = int(mask.sum())
    number = min(math.ceil(rate * total), mask.numel() - total)
    kept = largest_mask(importance.masked_fill(~mask, -torch.inf), total - number, generator=generator)
    return kept | largest_mask(growth.masked_fill(kept, -torch.inf), number, generator=generator)
