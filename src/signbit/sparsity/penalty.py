"""The soft budget of SBNN's released code: a share of the loss, while too many weights are ones (2306.13515)."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

__all__ = ["density", "density_penalty"]


class _Ones(Function):
    """Number of weights whose sign is +1; every weight gets the gradient times `slope`, whatever its value."""

    @staticmethod
    def forward(weight: Tensor, slope: float) -> Tensor:
        return (weight < 0).logical_not_().sum(dtype=torch.float64)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        weight, ctx.slope = inputs
        ctx.save_for_backward(weight)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (weight,) = ctx.saved_tensors
        return (grad * ctx.slope).to(weight.dtype).expand_as(weight), None


def density(weights: Iterable[Tensor]) -> float:
    """Fraction of weights, over all tensors together, whose sign is +1 (0 counts as +1).

    Args:
        weights: latent weights, any shapes.
    """
    with torch.no_grad():
        return _fraction(list(weights), slope=0.0).item()


def density_penalty(
    loss: Tensor,
    weights: Iterable[Tensor],
    *,
    density: float,
    share: float,
    slope: float = 0.5,
    tolerance: float = 1e-4,
) -> Tensor:
    """What is added to the loss L so that fewer latent weights are ≥ 0: λ·h with h = max(0, p − density).

    p is the fraction of ones over all tensors together: only the mean is controlled, not the layers. With λ =
    share·L/((1 − share)·h), which has no gradient, the penalty is `share` of the total L/(1 − share) while h >
    tolerance, and 0 otherwise. Counting passes the gradient straight through: every weight gets slope·λ/N, a uniform
    push that grows as the target is near and stops there. Nothing pulls p up again, and short trainings miss the
    target; for an exact budget use `TwoLevel(density=...)`. It goes with weights that are cut at 0, such as those of
    `TwoLevel(values="learned")`:

        loss = loss + density_penalty(loss, [w for _, w in named_binary_parameters(model)], density=0.05, share=0.07)

    Args:
        loss: scalar L ≥ 0 of the task.
        weights: latent weights of all binary layers, any shapes.
        density: target EC of p, in (0, 1]; 0.5 switches the penalty off, as in the released code.
        share: γ, the penalty's part of the total, in [0, 1); released: 0.02 for .25 to 0.10 for .01.
        slope: derivative c of the count; ½ in the released code for CIFAR, 1 in that for ImageNet.
        tolerance: h up to which there is no penalty; 1e-4 for CIFAR, 1e-5 for ImageNet.
    """
    for name, value, inside, allowed in (
        ("density", density, 0 < density <= 1, "(0, 1]"),
        ("share", share, 0 <= share < 1, "[0, 1)"),
        ("slope", slope, slope > 0, "(0, inf)"),
        ("tolerance", tolerance, tolerance > 0, "(0, inf)"),
    ):
        if not inside:
            raise ValueError(f"{name} must be in {allowed}, got {value}")
    tensors = list(weights)
    if density == 0.5:
        return torch.zeros_like(loss)
    excess = (_fraction(tensors, slope=slope) - density).clamp(min=0).to(loss)
    factor = share * loss.detach() / ((1 - share) * excess.detach().clamp(min=tolerance))
    return torch.where(excess.detach() > tolerance, factor, 0) * excess


def _fraction(weights: list[Tensor], *, slope: float) -> Tensor:
    total = sum(weight.numel() for weight in weights)
    if total == 0:
        raise ValueError(
            "weights must hold at least one weight, got none; pass those of named_binary_parameters(model)"
        )
    ones: list[Tensor] = [_Ones.apply(weight, slope) for weight in weights]  # type: ignore[no-untyped-call]
    return torch.stack([count.to(ones[0].device) for count in ones]).sum() / total
