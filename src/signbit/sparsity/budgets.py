"""How a density is shared out among layers: the same for all, more for small layers (ERK), or by the weights' size."""

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, pairwise
from math import ceil, floor, log10, prod
from typing import Literal

import torch
from torch import Tensor

__all__ = ["Distribution", "erk", "global_counts", "layer_densities", "three_digits"]

Distribution = Literal["uniform", "global", "erk"]


def erk(shapes: Sequence[Sequence[int]], density: float, *, most: float = 1.0) -> list[float]:
    """Densities after Erdős–Rényi-Kernel (1911.11134), in the order of the layers.

    A layer gets ε·Σ dims/Π dims of its weights, with ε such that all layers together have `density`. Layers that would
    get more than `most` get that, and ε is found again for the others.

    Args:
        shapes: of the weights.
        density: fraction p of all weights together, in (0, most].
        most: cap of a layer's density.
    """
    raw = [sum(shape) / prod(shape) for shape in shapes]
    sizes = [prod(shape) for shape in shapes]
    capped: set[int] = set()
    while len(capped) < len(shapes):
        free = [i for i in range(len(shapes)) if i not in capped]
        left = density * sum(sizes) - most * sum(sizes[i] for i in capped)
        epsilon = left / sum(raw[i] * sizes[i] for i in free)
        over = {i for i in free if epsilon * raw[i] > most}
        if not over:
            return [most if i in capped else epsilon * raw[i] for i in range(len(shapes))]
        capped |= over
    return [most] * len(shapes)


def global_counts(rankings: Sequence[Tensor], density: float, *, all_allowed: bool = True) -> list[int]:
    """How many of each layer's weights are among the largest round(p·n) of all layers together.

    Every layer's largest weight is one of them, and its smallest is not unless a layer may have all. Equal ones, such
    as weights of ±1, are shared out by the layers' sizes. They are fewer where too few can be chosen at all.

    Args:
        rankings: what each layer's weights are ranked by, any shapes, on one scale; −inf: never chosen.
        density: fraction p of all n weights together, enough for one of each layer.
        all_allowed: whether all weights of a layer may be chosen.
    """
    flat = torch.cat([ranking.flatten() for ranking in rankings])
    ends = accumulate(ranking.numel() for ranking in rankings)
    layers = [flat[start:end] for start, end in pairwise([0, *ends])]
    for layer in layers:
        if not all_allowed:
            layer[layer.argmin()] = -torch.inf
        layer[layer.argmax()] = torch.inf
    count = min(round(density * flat.numel()), int((flat > -torch.inf).sum()))
    cut = flat.topk(count, sorted=False).values.amin()
    above = [int((layer > cut).sum()) for layer in layers]
    level = [int((layer == cut).sum()) for layer in layers]
    return [sure + more for sure, more in zip(above, _shared_out(count - sum(above), level), strict=True)]


def _shared_out(count: int, among: Sequence[int]) -> list[int]:
    """`count` in whole parts as near as can be to the proportions of `among`, none larger than its own."""
    total = sum(among)
    parts = [count * size // total for size in among]
    last = sorted(range(len(among)), key=lambda i: count * among[i] % total, reverse=True)
    for i in last[: count - sum(parts)]:
        parts[i] += 1
    return parts


def layer_densities(
    shapes: Mapping[str, Sequence[int]],
    density: float,
    *,
    distribution: Distribution = "uniform",
    most: float = 1.0,
    all_allowed: bool = True,
) -> list[float]:
    """The density of each layer, in order, under a budget that depends on shapes alone.

    Args:
        shapes: of the weights, by the layers' names.
        density: fraction p, in (0, 1].
        distribution: "uniform", round(p·n) of every layer, or "erk"; "global" says nothing of a single layer.
        most: cap of a layer's density with "erk".
        all_allowed: whether a layer may give every weight the same level.

    Raises:
        ValueError: a layer would have no such weight, or nothing else; it is named. With "global", all layers together
            would have less than one for each, or nothing else for one of them.
    """
    densities = [density] * len(shapes)
    if distribution == "global":
        total, layers = sum(map(prod, shapes.values())), len(shapes)
        count, most_of_all = round(density * total), total if all_allowed else total - layers
        if not layers <= count <= most_of_all:
            few = count < layers
            way = f"raise it to {three_digits(layers / total, ceil)}" if few else "lower it"
            if not few and most_of_all >= layers:
                way += f" to {three_digits(most_of_all / total, floor)}"
            raise ValueError(
                f"density {density} (global) is {count} of the {total} weights of {layers} layers, which need at "
                f"least one each{'' if all_allowed else ', and one of the other kind'}; {way}"
            )
        return densities
    if distribution == "erk":
        densities = erk(list(shapes.values()), density, most=max(most, density))
    for (name, shape), share in zip(shapes.items(), densities, strict=True):
        n = prod(shape)
        count = round(share * n)
        if count == 0 or (count == n and not all_allowed):
            amount, way = ("no", "raise") if count == 0 else ("every", "lower")
            raise ValueError(
                f"density {density} ({distribution}) is {amount} weight of the {n} of {name}, whose density would be "
                f"{share:.3g}; {way} the density, take another distribution, or give that layer another quantizer"
            )
    return densities


def three_digits(density: float, rounding: Callable[[float], int]) -> str:
    """A bound of a density as text that is still within it: rounded up (`ceil`) or down (`floor`)."""
    unit = 10.0 ** (floor(log10(density)) - 2)
    return f"{rounding(density / unit) * unit:.3g}"
