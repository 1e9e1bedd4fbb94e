"""Bop2ndOrder: Bop with the average gradient measured against its root mean square (2104.05124)."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, final

import torch
from torch import Tensor
from typing_extensions import override

from signbit.optim.bop import flip_where_positive
from signbit.optim.latent_free import LatentFree, Tensors, check_rate, check_threshold, count_refused, use_foreach
from signbit.optim.strict import blocks
from signbit.wording import check_choice

__all__ = ["Bop2ndOrder", "Correction", "bop2ndorder_refused", "bop2ndorder_update", "bop2ndorder_update_foreach"]

Correction = Literal["none", "adam", "reference"]


def bop2ndorder_update(
    weight: Tensor,
    gradient: Tensor,
    momentum: Tensor,
    second_moment: Tensor,
    *,
    gamma: float,
    sigma: float,
    threshold: float,
    eps: float,
) -> None:
    """Does one step of Bop2ndOrder in place (2104.05124; order of operations as in the authors' code).

    m ← m + γ(g − m), v ← v + σ(g² − v), then flip w iff m·w > τ(√v + ε), strictly: the published w·m/(√v + ε) > τ
    without its division, which is what decides here where rounding makes the two differ.

    Args:
        weight: w, every value −1 or +1.
        gradient: g of the mean loss, in w's shape and m's dtype.
        momentum: m, in w's shape.
        second_moment: v ≥ 0, in w's shape.
        gamma: γ, 0..1.
        sigma: σ, 0..1.
        threshold: τ ≥ 0.
        eps: ε ≥ 0, outside the root.
    """
    momentum.lerp_(gradient, gamma)
    second_moment.lerp_(gradient.square(), sigma)
    flip = (momentum * weight).gt_(second_moment.sqrt().add_(eps).mul_(threshold))
    weight.addcmul_(weight, flip, value=-2)


def bop2ndorder_update_foreach(
    weights: Tensors,
    gradients: Tensors,
    momenta: Tensors,
    second_moments: Tensors,
    *,
    gamma: float,
    sigma: float,
    thresholds: Sequence[float],
    eps: Sequence[float],
) -> None:
    """Does `bop2ndorder_update` on many tensors by few kernels, with the same result bit for bit.

    Args:
        weights: see `bop2ndorder_update`, as the other arguments; threshold and ε are given for each tensor.
        gradients: of each tensor.
        momenta: of each tensor.
        second_moments: of each tensor.
        gamma: for all.
        sigma: for all.
        thresholds: of each tensor.
        eps: of each tensor.
    """
    torch._foreach_lerp_(momenta, gradients, gamma)
    torch._foreach_lerp_(second_moments, torch._foreach_mul(gradients, gradients), sigma)
    bounds = torch._foreach_sqrt(second_moments)
    torch._foreach_add_(bounds, eps)
    torch._foreach_mul_(bounds, thresholds)
    excess = torch._foreach_mul(momenta, weights)
    torch._foreach_sub_(excess, bounds)
    flip_where_positive(weights, excess)


def bop2ndorder_refused(
    weight: Tensor, momentum: Tensor, second_moment: Tensor, *, threshold: float, eps: float
) -> Tensor:
    """Number of weights in the dead zone of Bop2ndOrder after a step, 0 < m·w ≤ τ(√v + ε), as an int64 scalar.

    Args:
        weight: w, every value −1 or +1.
        momentum: m, in w's shape.
        second_moment: v ≥ 0, in w's shape.
        threshold: τ ≥ 0.
        eps: ε ≥ 0, outside the root.
    """
    return count_refused(momentum * weight, second_moment.sqrt().add_(eps).mul_(threshold))


def corrected(threshold: float, eps: float, first: float, second: float) -> tuple[float, float]:
    """Gives the threshold and ε that act on m and v as τ and ε do on the corrected moments m/first and v/second.

    w·(m/a) / (√(v/b) + ε) > τ  ⇔  w·m > τ·(a/√b) · (√v + ε√b)

    Args:
        threshold: τ ≥ 0.
        eps: ε ≥ 0.
        first: divisor a ≥ 0 of m.
        second: divisor b ≥ 0 of v; at 0 (a frozen σ) nothing may flip.
    """
    if second == 0:
        return torch.finfo(torch.float32).max, 1.0
    return threshold * first / math.sqrt(second), eps * math.sqrt(second)


@final
class Bop2ndOrder(LatentFree):
    """Bop with a second moment (2104.05124): flips w iff m·w > threshold · (√v + eps).

    The threshold is in units of signal to noise, so that the scale of the gradient does not matter: noise alone gives
    ratios of about √(lr/2). Ranges in which v matters: lr 1e-3..1e-2, sigma 1e-3, threshold 1e-2..3e-2. The defaults
    are the authors' study point; there the first step flips about half of the weights.

    Args:
        params: tensors, groups, or pairs of name and tensor; every value −1 or +1 (`Hybrid` sets them so).
        lr: the paper's γ, 0 < lr ≤ 1: how fast the average of the gradient follows. Any torch scheduler drives it.
        sigma: 0 < σ ≤ 1: how fast the average of its square follows.
        threshold: τ ≥ 0.
        correction: "none", the authors' biased variant. "reference", their unbiased one as coded: m/γ and v/σ, which is
            "none" with threshold·γ/√σ. "adam" divides each average by the total weight of the gradients in it, for
            constant rates 1 − (1 − γ)^t and 1 − (1 − σ)^t.
        eps: ε ≥ 0, added to the root.
        foreach: update all tensors by few kernels; None does so except on a CPU, where slices are faster.
    """

    statistics = ("momentum", "second_moment")
    masses = ("momentum_mass", "second_moment_mass")

    def __init__(
        self,
        params: Any,
        lr: float = 1e-7,
        *,
        sigma: float = 1e-3,
        threshold: float = 1e-6,
        correction: Correction = "none",
        eps: float = 1e-10,
        foreach: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "sigma": sigma,
                "threshold": threshold,
                "correction": correction,
                "eps": eps,
                "foreach": foreach,
            },
        )

    @override
    def _check_group(self, group: Mapping[str, Any], *, scheduled: bool) -> None:
        check_rate("lr", group["lr"], scheduled=scheduled)
        check_rate("sigma", group["sigma"], scheduled=scheduled)
        check_threshold(group["threshold"])
        check_choice("correction", group["correction"], Correction)
        if not 0 <= group["eps"] < math.inf:
            raise ValueError(f"eps must be >= 0 and finite, got {group['eps']}")

    @override
    def _update(self, group: Mapping[str, Any], weights: list[Tensor], gradients: list[Tensor]) -> None:
        gamma, sigma = float(group["lr"]), float(group["sigma"])
        states = [self.state[weight] for weight in weights]
        limits = self._advance(group, states)
        momenta = [state["momentum"] for state in states]
        second_moments = [state["second_moment"] for state in states]
        if use_foreach(group["foreach"], weights):
            thresholds, eps = zip(*limits, strict=True)
            bop2ndorder_update_foreach(
                weights, gradients, momenta, second_moments, gamma=gamma, sigma=sigma, thresholds=thresholds, eps=eps
            )
            return
        for *tensors, (limit, offset) in zip(weights, gradients, momenta, second_moments, limits, strict=True):
            for block in blocks(*tensors):
                bop2ndorder_update(*block, gamma=gamma, sigma=sigma, threshold=limit, eps=offset)

    @override
    def _refused(self, group: Mapping[str, Any], weight: Tensor) -> Tensor:
        state = self.state[weight]
        limit, offset = self._limits(group, state)
        tensors = (weight, state["momentum"], state["second_moment"])
        counts = [bop2ndorder_refused(*block, threshold=limit, eps=offset) for block in blocks(*tensors)]
        return torch.stack(counts).sum()

    # Outside compiled code, which (torch 2.13) keeps numbers of the state as they were when it was compiled.
    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _advance(self, group: Mapping[str, Any], states: list[dict[str, Any]]) -> list[tuple[float, float]]:
        """Counts one more gradient into the averages' masses; thresholds and ε of each weight tensor."""
        for state in states:
            state["momentum_mass"] += float(group["lr"]) * (1 - state["momentum_mass"])
            state["second_moment_mass"] += float(group["sigma"]) * (1 - state["second_moment_mass"])
        return [self._limits(group, state) for state in states]

    def _limits(self, group: Mapping[str, Any], state: Mapping[str, float]) -> tuple[float, float]:
        """Threshold and ε of one weight tensor, by the group's correction."""
        divisors = {
            "none": (1.0, 1.0),
            "adam": (state["momentum_mass"], state["second_moment_mass"]),
            "reference": (float(group["lr"]), float(group["sigma"])),
        }
        return corrected(float(group["threshold"]), float(group["eps"]), *divisors[group["correction"]])
