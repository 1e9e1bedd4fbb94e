"""Which weights are the largest: freely, N of every M, or in blocks; ties are broken at random."""

from dataclasses import dataclass
from math import ceil
from typing import Literal, final

import torch
from torch import Tensor

from signbit.sparsity.budgets import three_digits

__all__ = ["Pattern", "largest_mask", "parse_pattern"]


@final
@dataclass(frozen=True)
class Pattern:
    """A structure of the chosen weights, among consecutive weights of a filter (C_in, then the taps).

    Attributes:
        kind: "n:m", `kept` of every `size` weights; "block", `size` weights are chosen together.
        kept: of a group; for blocks all of them.
        size: of a group, or of a block.
    """

    kind: Literal["n:m", "block"]
    kept: int
    size: int

    def check(self, name: str, shape: torch.Size, density: float) -> None:
        """Refuses a layer whose filters do not fall into such groups, or whose budget is less than one block."""
        per_filter = shape[1:].numel()
        if per_filter % self.size:
            relation = "less than one" if per_filter < self.size else "which is not whole"
            kind = ("block" if self.kind == "block" else "group") + ("" if per_filter < self.size else "s")
            raise ValueError(
                f"{name}: a filter has {per_filter} weights, {relation} {kind} of "
                f"{self.size}; take a size that divides {per_filter}, or give that layer another quantizer"
            )
        if self.kind == "block" and round(density * shape.numel()) < self.size:
            raise ValueError(
                f"{name}: density {density} of its {shape.numel()} weights is less than one block of {self.size}; "
                f"raise the density to {three_digits(self.size / shape.numel(), ceil)}, or take smaller blocks"
            )


def parse_pattern(text: str) -> Pattern:
    """The pattern that "2:4" (N of every M) or "block:8" names."""
    left, colon, right = text.partition(":")
    if colon and right.isdecimal() and (left == "block" or left.isdecimal()):
        size = int(right)
        kept = size if left == "block" else int(left)
        if size > 1 and 1 <= kept <= size and (left == "block" or kept < size):
            return Pattern("block" if left == "block" else "n:m", kept, size)
    raise ValueError(
        f"sparsity.pattern must be N:M with 1 <= N < M, such as 2:4, or block:SIZE with SIZE > 1, got {text!r}"
    )


def largest_mask(
    scores: Tensor,
    count: int,
    *,
    pattern: Pattern | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The mask of the largest scores, bool in their shape.

    Args:
        scores: filters first; −inf is never chosen while anything else is left.
        count: how many weights are chosen; with blocks the nearest number of whole blocks, at least one; with N:M it
            says how many of each group, at least N.
        pattern: structure of the chosen weights.
        generator: on the CPU; decides among equal scores. None takes the first.
    """
    if pattern is None:
        return _chosen(scores.reshape(1, -1), count, generator).view(scores.shape)
    groups = scores.reshape(-1, pattern.size)
    if pattern.kind == "block":
        blocks = min(max(1, round(count / pattern.size)), len(groups))
        chosen = _chosen(groups.sum(1)[None], blocks, generator)
        return chosen.view(-1, 1).expand(groups.shape).reshape(scores.shape)
    kept = min(max(pattern.kept, round(count / len(groups))), pattern.size)
    return _chosen(groups, kept, generator).view(scores.shape)


def _chosen(rows: Tensor, count: int, generator: torch.Generator | None) -> Tensor:
    """The `count` largest of each row (rows, n)."""
    n = rows.shape[1]
    if count <= 0:
        return torch.zeros_like(rows, dtype=torch.bool)
    cut = rows.kthvalue(n - min(count, n) + 1, dim=1, keepdim=True).values
    above, level = rows > cut, rows == cut
    missing = min(count, n) - above.sum(1, keepdim=True)
    if generator is None or bool((level.sum(1, keepdim=True) == missing).all()):
        return above | (level & (level.cumsum(1) <= missing))
    keys = torch.rand(rows.shape, generator=generator).to(rows.device).masked_fill_(~level, -1)
    last = keys.sort(1, descending=True).values.gather(1, (missing - 1).clamp(min=0))
    return above | (level & (keys >= last) & (missing > 0))
