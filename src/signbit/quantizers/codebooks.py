"""Codebooks of kernels: patterns of ±1, and the nearest pattern of every kernel (sub-bit networks, 2110.09195).

A pattern of T weights has a number: bit j is set where weight j is −1.
"""

from math import ceil, log2

import torch
from torch import Tensor

__all__ = ["budget_cut", "draw", "frequent", "nearest", "numbers", "patterns"]

_CHUNK = 2**24
"""Scores of kernels and patterns that are held at a time."""


def patterns(number: Tensor, taps: int) -> Tensor:
    """The patterns (n, taps) of −1.0 and 1.0 that `number` (n,) names."""
    places = torch.arange(taps, device=number.device)
    return 1 - 2 * ((number[:, None] >> places) & 1).float()


def numbers(pattern: Tensor) -> Tensor:
    """The numbers (...) of patterns (..., taps), integers; the inverse of `patterns`."""
    places = torch.arange(pattern.shape[-1], device=pattern.device)
    return ((pattern < 0).long() << places).sum(-1)


def draw(count: int, taps: int, *, taken: Tensor | None = None) -> Tensor:
    """Numbers (count,) of distinct patterns at random, by torch's generator; none is one of `taken`."""
    seen = set() if taken is None else set(taken.tolist())
    found: list[int] = []
    while len(found) < count:
        # On the CPU whatever the default device is: the same on all, and a model may be built on "meta".
        pool = (
            torch.randperm(2**taps, device="cpu") if taps <= 12 else torch.randint(2**taps, (2 * count,), device="cpu")
        )
        fresh = [n for n in dict.fromkeys(pool.tolist()) if n not in seen]
        seen.update(fresh)
        found += fresh
    return torch.tensor(found[:count])


def frequent(kernels: Tensor, count: int) -> Tensor:
    """Numbers (count,) of the patterns that most kernels (n, taps) have as their signs; of equally many the lower."""
    taps = kernels.shape[-1]
    number, uses = numbers(kernels).unique(return_counts=True)  # type: ignore[no-untyped-call]
    best = number[uses.argsort(descending=True, stable=True)][:count]
    if len(best) < count:
        unused = torch.arange(count + len(best), device=best.device)
        unused = unused[(unused < 2**taps) & ~torch.isin(unused, best)]
        best = torch.cat([best, unused[: count - len(best)]])
    return best


def nearest(kernels: Tensor, codebook: Tensor, shift: Tensor | None = None) -> Tensor:
    """Index (n,) of the pattern nearest to each kernel, the first of equally near ones.

    All patterns are equally long, so that the nearest one has the largest product with the kernel.

    Args:
        kernels: (n, taps).
        codebook: (patterns, taps), −1 or +1.
        shift: (n,), subtracted from the weights of each kernel.
    """
    totals = codebook.sum(1)
    found = []
    for part in _parts(len(kernels), len(codebook)):
        score = kernels[part] @ codebook.T
        if shift is not None:
            score.sub_(shift[part, None] * totals)
        found.append(score.argmax(1))
    return torch.cat(found)


def budget_cut(kernels: Tensor, codebook: Tensor, ones: int | Tensor) -> Tensor:
    """The least shift (rows,) at which the nearest patterns of a row's kernels hold at most `ones` times +1.

    A shift λ of the weights changes a pattern's product with a kernel by −λ·(number of +1 − number of −1): it is the
    price of a +1, and the nearest patterns at that price are the best ones for their number of +1 (Lagrange). That
    number falls while λ rises, so λ is found by halving. Kernels change one by one: the budget is missed by less than
    one kernel, where no two change at the same λ.

    Args:
        kernels: (rows, n, taps).
        codebook: (patterns, taps) in rising order of the number of +1.
        ones: budget of a row, a number or a scalar tensor.
    """
    rows, n, taps = kernels.shape
    flat = kernels.reshape(-1, taps)
    counts, sizes = (codebook > 0).sum(1).unique_consecutive(return_counts=True)  # type: ignore[no-untyped-call]
    # Of the patterns with equally many +1 only the best one of each kernel can win, whatever the price. Kernels lie in
    # the columns, because a maximum over columns is slow.
    best = torch.cat(
        [
            torch.stack([score.amax(0) for score in torch.split(codebook @ flat[part].T, sizes.tolist())])
            for part in _parts(len(flat), len(codebook))
        ],
        dim=1,
    ).view(len(counts), rows, n)
    counts = counts.to(best.dtype)
    weights = kernels.reshape(rows, -1)
    low, high = weights.amin(1), weights.amax(1)
    # Above the largest weight every kernel takes as few +1 as it can, and at the smallest as many; not just above,
    # where products that differ by a rounding would decide.
    high = high + (high - low) / 8
    high = torch.where(_held(best, counts, taps, low) <= ones, low, high)
    for _ in range(ceil(log2(n * taps)) + 8):
        middle = (low + high) / 2
        fits = _held(best, counts, taps, middle) <= ones
        low, high = torch.where(fits, low, middle), torch.where(fits, middle, high)
    return high


def _held(best: Tensor, counts: Tensor, taps: int, price: Tensor) -> Tensor:
    """Number of +1 (rows,) that the kernels choose at a price (rows,); equally good ones take the fewer."""
    top = best[0] - price[:, None] * (2 * counts[0] - taps)
    chosen = counts[0].expand_as(top)
    for score, count in zip(best[1:], counts[1:], strict=True):
        other = score - price[:, None] * (2 * count - taps)
        better = other > top
        top = torch.where(better, other, top)
        chosen = torch.where(better, count, chosen)
    return chosen.sum(1, dtype=torch.float64)


def _parts(kernels: int, codewords: int) -> list[slice]:
    step = max(1, _CHUNK // codewords)
    return [slice(start, start + step) for start in range(0, kernels, step)]
