"""Bop: flip a binary weight when an average of its gradients asks for it (1906.02107)."""

from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor
from typing_extensions import override

from signbit.optim.latent_free import LatentFree, Tensors, check_rate, check_threshold, count_refused, use_foreach
from signbit.optim.strict import blocks

__all__ = ["Bop", "bop_refused", "bop_update", "bop_update_foreach"]


def bop_update(weight: Tensor, gradient: Tensor, momentum: Tensor, *, gamma: float, threshold: float) -> None:
    """Does one step of Bop in place (1906.02107, algorithm 2).

    m ← m + γ(g − m), then flip w iff m·w > τ, strictly. A flip does not reset m, and m has no bias correction.

    Args:
        weight: w, every value −1 or +1.
        gradient: g of the mean loss, in w's shape and m's dtype.
        momentum: m, in w's shape.
        gamma: γ, 0..1.
        threshold: τ ≥ 0.
    """
    momentum.lerp_(gradient, gamma)
    flip = (momentum * weight).gt_(threshold)
    weight.addcmul_(weight, flip, value=-2)


def bop_update_foreach(
    weights: Tensors, gradients: Tensors, momenta: Tensors, *, gamma: float, threshold: float
) -> None:
    """Does `bop_update` on many tensors by few kernels, with the same result bit for bit."""
    torch._foreach_lerp_(momenta, gradients, gamma)
    excess = torch._foreach_mul(momenta, weights)
    torch._foreach_sub_(excess, threshold)
    flip_where_positive(weights, excess)


def bop_refused(weight: Tensor, momentum: Tensor, *, threshold: float) -> Tensor:
    """Number of weights in Bop's dead zone after a step, 0 < m·w ≤ τ, as an int64 scalar.

    Args:
        weight: w, every value −1 or +1.
        momentum: m, in w's shape.
        threshold: τ ≥ 0.
    """
    return count_refused(momentum * weight, threshold)


def flip_where_positive(weights: Tensors, excess: Tensors) -> None:
    """Flips weights, in place, where an excess over the threshold is positive; the excess is overwritten."""
    # There is no comparison among torch's foreach operators. Zero is no excess, so that torch's sign(0) = 0 is right.
    torch._foreach_sign_(excess)
    torch._foreach_clamp_min_(excess, 0)
    torch._foreach_addcmul_(weights, weights, excess, value=-2)


@final
class Bop(LatentFree):
    """Bop, the binary optimizer (1906.02107): flips w iff its gradients' average m satisfies m·w > threshold.

    Both hyper-parameters are in units of the gradient of the *mean* loss, so that loss scaling, clipping and summed
    losses change what they mean. About 0.01 · mean|g| is a good threshold. No weight decay on these weights, and a
    batch norm after every layer. The defaults are larq's.

    Args:
        params: tensors, groups, or pairs of name and tensor; every value −1 or +1 (`Hybrid` sets them so).
        lr: the paper's γ, 0 < lr ≤ 1: how fast the average follows. Any torch scheduler drives it.
        threshold: the paper's τ ≥ 0: how much average gradient a flip needs.
        foreach: update all tensors by few kernels; None does so except on a CPU, where slices are faster.
    """

    statistics = ("momentum",)

    def __init__(self, params: Any, lr: float = 1e-4, *, threshold: float = 1e-8, foreach: bool | None = None) -> None:
        super().__init__(params, {"lr": lr, "threshold": threshold, "foreach": foreach})

    @override
    def _check_group(self, group: Mapping[str, Any], *, scheduled: bool) -> None:
        check_rate("lr", group["lr"], scheduled=scheduled)
        check_threshold(group["threshold"])

    @override
    def _update(self, group: Mapping[str, Any], weights: list[Tensor], gradients: list[Tensor]) -> None:
        gamma, threshold = float(group["lr"]), float(group["threshold"])
        momenta = [self.state[weight]["momentum"] for weight in weights]
        if use_foreach(group["foreach"], weights):
            bop_update_foreach(weights, gradients, momenta, gamma=gamma, threshold=threshold)
            return
        for tensors in zip(weights, gradients, momenta, strict=True):
            for block in blocks(*tensors):
                bop_update(*block, gamma=gamma, threshold=threshold)

    @override
    def _refused(self, group: Mapping[str, Any], weight: Tensor) -> Tensor:
        threshold, momentum = float(group["threshold"]), self.state[weight]["momentum"]
        counts = [bop_refused(*block, threshold=threshold) for block in blocks(weight, momentum)]
        return torch.stack(counts).sum()
