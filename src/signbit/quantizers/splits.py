"""Closed forms of two-level weights: the best assignment of weights to two values, and the best values (2306.13515).

The error J = Σ (w − ŵ)² is least, for a given assignment, when each value is the mean of its group; and the best
assignment is always a cut of the sorted weights. With weights centred on their mean and S_c the sum of the c largest,
cutting there leaves J = Σ w² − S_c²·n/(c(n − c)), so the best cut is found in one sort and one prefix sum.
"""

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Split", "at_most_split", "exact_split", "free_split", "given_split", "group_means", "zero_split"]


class Split(NamedTuple):
    """Two-level weights, one pair of levels for each row.

    Attributes:
        upper: bool (..., n), the weights that take `high`; they are the largest of their row.
        low: (...), level of the others.
        high: (...), level of `upper`.
        cut: (...), the smallest weight of `upper`, or the largest of the row where there is none.
    """

    upper: Tensor
    low: Tensor
    high: Tensor
    cut: Tensor

    def values(self) -> Tensor:
        """The two-level weights ŵ, (..., n)."""
        return torch.where(self.upper, self.high[..., None], self.low[..., None])


def group_means(weight: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    """The best values (low, high) of an assignment: the mean of each group, or of all weights beside an empty one.

    Args:
        weight: (..., n).
        upper: bool (..., n), the weights that take `high`.
    """
    count = upper.sum(-1)
    total = weight.sum(-1, dtype=torch.float64)
    top = torch.where(upper, weight, 0).sum(-1, dtype=torch.float64)
    rest = torch.where(upper, 0, weight).sum(-1, dtype=torch.float64)
    mean = total / weight.shape[-1]
    high = torch.where(count > 0, top / count.clamp(min=1), mean)
    low = torch.where(count < weight.shape[-1], rest / (weight.shape[-1] - count).clamp(min=1), mean)
    return low.to(weight.dtype), high.to(weight.dtype)


def given_split(weight: Tensor, upper: Tensor) -> Split:
    """The two levels of least J for an assignment that somebody else has chosen.

    Args:
        weight: (..., n).
        upper: bool (..., n), at least one True in each row.
    """
    return Split(upper, *group_means(weight, upper), torch.where(upper, weight, torch.inf).amin(-1))


def free_split(weight: Tensor) -> Split:
    """The two levels {low, high} of least J, however many weights take either.

    Args:
        weight: (..., n).
    """
    n = weight.shape[-1]
    return _centred_split(weight, torch.ones(n + 1, dtype=torch.bool, device=weight.device), both=False)


def exact_split(weight: Tensor, ones: int | Tensor, *, both_tails: bool = True) -> Split:
    """The two levels of least J where exactly `ones` weights take one of them: the largest weights, or the smallest.

    Args:
        weight: (..., n).
        ones: 1..n, a number or a scalar tensor of integers.
        both_tails: whether the smallest weights may be the ones; otherwise `ones` weights take `high`.
    """
    check_ones(weight, ones)
    if not both_tails:
        return largest(weight, ones)
    places = torch.arange(weight.shape[-1] + 1, device=weight.device)
    return _centred_split(weight, places == ones, both=True)


def at_most_split(weight: Tensor, ones: int | Tensor, *, both_tails: bool = True) -> Split:
    """The two levels of least J where at most `ones` weights take one of them.

    Args:
        weight: (..., n).
        ones: 1..n, a number or a scalar tensor of integers.
        both_tails: see `exact_split`.
    """
    check_ones(weight, ones)
    places = torch.arange(weight.shape[-1] + 1, device=weight.device)
    return _centred_split(weight, places <= ones, both=both_tails)


def zero_split(weight: Tensor, ones: int | Tensor | None = None, *, both_tails: bool = True) -> Split:
    """The levels {0, β} of least J: the ones are a tail, β is their mean, and J = Σ w² − S²/ones with S their sum.

    Args:
        weight: (..., n).
        ones: 1..n weights that take β; None is the best number.
        both_tails: whether the smallest weights may take β; they then are below `cut`, and low is β.
    """
    n = weight.shape[-1]
    places = torch.arange(n + 1, device=weight.device)
    if ones is not None:
        check_ones(weight, ones)
    ordered, order = weight.sort(dim=-1, descending=True, stable=True)
    top = _prefix_sums(ordered.double())
    bottom = _prefix_sums(ordered.double().flip(-1))
    gain, other = (total.square() / places.clamp(min=1) for total in (top, bottom))
    place, from_top = _best(gain, other, places > 0 if ones is None else places == ones, both=both_tails)
    upper = _scatter(order, torch.where(from_top, place, n - place))
    totals = torch.where(from_top, _pick(top, place), _pick(bottom, place))
    beta = (totals / place.clamp(min=1)).to(weight.dtype)
    zero = torch.zeros_like(beta)
    low, high = torch.where(from_top, zero, beta), torch.where(from_top, beta, zero)
    return Split(upper, low, high, _cut(ordered, torch.where(from_top, place, n - place)))


def largest(weight: Tensor, ones: int | Tensor) -> Split:
    """`exact_split` where the ones are the largest weights; of equal weights the first.

    A number of ones is found by selection, several times faster than the sort which a tensor needs.
    """
    if isinstance(ones, Tensor):
        ordered, order = weight.sort(dim=-1, descending=True, stable=True)
        place = ones.expand(weight.shape[:-1])
        upper, cut = _scatter(order, place), _cut(ordered, place)
    else:
        cut = weight.kthvalue(weight.shape[-1] - ones + 1, dim=-1).values
        above, level = weight > cut[..., None], weight == cut[..., None]
        missing = ones - above.sum(-1, keepdim=True)
        upper = above | (level & (level.cumsum(-1) <= missing))
    return Split(upper, *group_means(weight, upper), cut)


def _centred_split(weight: Tensor, allowed: Tensor, *, both: bool) -> Split:
    """The best cut among those with an allowed number of ones (n + 1,)."""
    n = weight.shape[-1]
    ordered, order = weight.sort(dim=-1, descending=True, stable=True)
    centred = ordered.double() - ordered.mean(-1, keepdim=True, dtype=torch.float64)
    places = torch.arange(n + 1, device=weight.device)
    gain = _prefix_sums(centred).square() * n / (places * (n - places)).clamp(min=1)
    gain = gain.masked_fill((places == 0) | (places == n), 0)
    place, from_top = _best(gain, gain.flip(-1), allowed, both=both)
    place = torch.where(from_top, place, n - place)
    upper = _scatter(order, place)
    return Split(upper, *group_means(weight, upper), _cut(ordered, place))


def _best(top: Tensor, bottom: Tensor, allowed: Tensor, *, both: bool) -> tuple[Tensor, Tensor]:
    """Number of ones of greatest gain, and whether they are the largest weights."""
    gain, place = top.masked_fill(~allowed, -1).max(-1)
    if not both:
        return place, torch.ones_like(place, dtype=torch.bool)
    other, other_place = bottom.masked_fill(~allowed, -1).max(-1)
    from_top = gain >= other
    return torch.where(from_top, place, other_place), from_top


def _prefix_sums(ordered: Tensor) -> Tensor:
    """Sums of the first 0..n values, (..., n + 1)."""
    return torch.nn.functional.pad(ordered.cumsum(-1), (1, 0))


def _scatter(order: Tensor, place: Tensor) -> Tensor:
    """True for the first `place` (...) weights of an order (..., n)."""
    first = torch.arange(order.shape[-1], device=order.device) < place[..., None]
    return torch.zeros_like(first).scatter(-1, order, first)


def _cut(ordered: Tensor, place: Tensor) -> Tensor:
    return _pick(ordered, (place - 1).clamp(min=0))


def _pick(row: Tensor, place: Tensor) -> Tensor:
    return row.gather(-1, place[..., None])[..., 0]


def check_ones(weight: Tensor, ones: int | Tensor) -> None:
    """Checks a number of ones, where it is a number."""
    if isinstance(ones, int) and not 1 <= ones <= weight.shape[-1]:
        raise ValueError(f"ones must be in 1..{weight.shape[-1]}, the number of weights, got {ones}")
