"""BAMSProd: AMSGrad on latent weights, with a range for the gradient that binarisation error narrows (2009.13799)."""

import math
from collections.abc import Mapping
from typing import Any, Literal, final

import torch
from torch import Tensor
from typing_extensions import override

from signbit.optim.strict import StrictOptimizer, blocks
from signbit.quantizers.scale import Scale
from signbit.wording import check_choice

__all__ = [
    "BAMSProd",
    "ErrorMeasure",
    "Granularity",
    "Scale",
    "bamsprod_update",
    "binarisation_error",
    "gradient_bound",
]

ErrorMeasure = Literal["relative_l2", "mean_abs"]
Granularity = Literal["filter", "layer", "element"]

ERROR_FLOOR = 1e-3
"""Below it an error counts as this, so that the bound stays finite."""


# torch 2.13's inductor cannot fuse this with the update that follows (KeyError of a buffer).
@torch.compiler.disable  # type: ignore[untyped-decorator]
def binarisation_error(latent: Tensor, *, error: ErrorMeasure, granularity: Granularity, scale: Scale) -> Tensor:
    """Error δ of a·sign(w) for w, in a shape that broadcasts to w's.

    relative_l2: δ = ‖w − a·sign w‖₂ / ‖w‖₂, and 0 where w = 0; mean_abs: δ = mean|w − a·sign w|.

    Args:
        latent: w, its filters along the first dimension; a vector is one filter.
        error: the measure.
        granularity: what one δ, and one a, belongs to.
        scale: a = mean|w| or, for "none", 1.
    """
    size = latent.abs()
    over = tuple(range(1 if granularity == "filter" and latent.dim() > 1 else 0, latent.dim()))
    # |w − a·sign w| = ||w| − a|
    deviation = size - (size.mean(over, keepdim=True) if scale == "mean" else 1)
    if granularity == "element":
        return deviation.abs()
    if error == "mean_abs":
        return deviation.abs().mean(over, keepdim=True)
    norm = torch.linalg.vector_norm(size, dim=over, keepdim=True)
    distance = torch.linalg.vector_norm(deviation, dim=over, keepdim=True)
    return torch.where(norm > 0, distance / norm, 0)


def gradient_bound(maximum: Tensor, error: Tensor, *, kappa: float | Tensor, mass: float | Tensor) -> Tensor:
    """Largest |g| let through: c = κ·√(v̂/mass) / max(δ, 10⁻³), and ∞ for a weight that has had no gradient yet.

    Args:
        maximum: v̂ ≥ 0 before the step.
        error: δ ≥ 0, of a shape that broadcasts.
        kappa: κ > 0.
        mass: 1 − β₂^(t−1) of step t = 1, 2, ...: without it the second gradient would be cut to about a tenth.
    """
    bound = (maximum / mass).sqrt_() * kappa / error.clamp_min(ERROR_FLOOR)
    return torch.where(maximum > 0, bound, math.inf)


def bamsprod_update(
    latent: Tensor,
    gradient: Tensor,
    momentum: Tensor,
    second_moment: Tensor,
    maximum: Tensor,
    *,
    bound: Tensor,
    rate: float,
    beta1: float,
    beta2: float | Tensor,
    eps: float,
    root: float = 1.0,
) -> None:
    """Does one step of the reconstructed BAMSProd in place.

    ĝ = clip(g, −c, c), m ← m + (1 − β₁)(ĝ − m), v ← v + (1 − β₂)(ĝ² − v), v̂ ← max(v̂, v), then
    w ← clip(w − α·m/(√v̂/root + ε), −1, 1). The bound stands before the maximum: one wild gradient would otherwise
    slow its weight for ever.

    Args:
        latent: w.
        gradient: g of the loss with respect to the binary weight, in w's shape.
        momentum: m, in w's shape.
        second_moment: v ≥ 0, in w's shape.
        maximum: v̂ ≥ 0, in w's shape.
        bound: c ≥ 0, in w's shape.
        rate: α ≥ 0, divided by 1 − β₁^t where moments are corrected.
        beta1: β₁, 0..1.
        beta2: β₂, 0..1.
        eps: ε ≥ 0, outside the root.
        root: √(1 − β₂^t) where moments are corrected, else 1.
    """
    clipped = gradient.clamp(-bound, bound)
    momentum.lerp_(clipped, 1 - beta1)
    second_moment.lerp_(clipped.square_(), 1 - beta2)
    torch.maximum(maximum, second_moment, out=maximum)
    latent.sub_(momentum / (maximum.sqrt().div_(root).add_(eps)) * rate).clamp_(-1, 1)


@final
class BAMSProd(StrictOptimizer):
    """BAMSProd (reconstruction): AMSGrad on latent weights whose gradients are held to a range.

    **This is a reconstruction, not the authors' code.** Of the paper (2009.13799) only the abstract and the beginning
    were available: it constrains the range of gradients by a measurement of the quantization error and follows AMSGrad.
    The error measure, the bound, κ and every default are this library's, and the paper's accuracies are not claimed.

    With the error δ of a·sign(w) and AMSGrad's v̂, step t holds each gradient to

        c = κ·√(v̂/(1 − β₂^(t−1))) / max(δ, 10⁻³)

    then does AMSGrad and clips the latent weights to [−1, 1]. The worse the binary weights stand for the latent ones,
    the narrower the range. The gradient is that of the latent weight as the quantizer's surrogate gives it.
    A rate of α/√t comes from a scheduler: `LambdaLR(optimizer, lambda index: (index + 1) ** -0.5)`.

    Args:
        params: tensors, groups, or pairs of name and tensor; latent weights, of which the network sees the signs.
        lr: α > 0. Any torch scheduler drives it.
        betas: β₁, β₂, each in [0, 1).
        eps: ε ≥ 0, added to the root.
        kappa: κ > 0; inf is plain AMSGrad.
        error: "relative_l2" ‖w − a·sign w‖₂/‖w‖₂, or "mean_abs" mean|w − a·sign w|.
        granularity: whether each "filter" (first dimension), "layer" or "element" has its δ, and a.
        scale: a = "mean"|w|, or "none", 1, where the relative error has no bound and "mean_abs" is needed.
        bias_correction: divide m by 1 − β₁^t and v̂ by 1 − β₂^t as torch's AMSGrad does; without it Reddi's (2018).
    """

    statistics = ("momentum", "second_moment", "maximum")
    masses = ("step",)

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        kappa: float = 3.0,
        error: ErrorMeasure = "relative_l2",
        granularity: Granularity = "filter",
        scale: Scale = "mean",
        bias_correction: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "kappa": kappa,
                "error": error,
                "granularity": granularity,
                "scale": scale,
                "bias_correction": bias_correction,
            },
        )

    @override
    def _check_group(self, group: Mapping[str, Any], *, scheduled: bool) -> None:
        if not (0 < group["lr"] < math.inf or (scheduled and group["lr"] == 0)):
            raise ValueError(f"lr must be {'>= 0' if scheduled else '> 0'} and finite, got {group['lr']}")
        if len(group["betas"]) != 2 or not all(0 <= beta < 1 for beta in group["betas"]):
            raise ValueError(f"betas must be two values in [0, 1), got {group['betas']}")
        if not 0 <= group["eps"] < math.inf:
            raise ValueError(f"eps must be >= 0 and finite, got {group['eps']}")
        if not group["kappa"] > 0:
            raise ValueError(f"kappa must be > 0, got {group['kappa']}; inf turns the bound off")
        for key, choices in (("error", ErrorMeasure), ("granularity", Granularity), ("scale", Scale)):
            check_choice(key, group[key], choices)
        if group["scale"] == "none" and group["error"] == "relative_l2":
            raise ValueError("error 'relative_l2' has no bound with scale 'none'; use error='mean_abs' or scale='mean'")
        if group["granularity"] == "element" and group["scale"] == "mean":
            raise ValueError("granularity 'element' has no error with scale 'mean'; use scale='none' or 'filter'")

    @override
    def _check_weight(self, name: str, weight: Tensor) -> None:
        if not bool(weight.isfinite().all()):
            raise ValueError(f"{name}: a latent weight is not finite; start again from a checkpoint before it")

    @override
    def _update(self, group: Mapping[str, Any], weights: list[Tensor], gradients: list[Tensor]) -> None:
        beta1, beta2 = group["betas"]
        for weight, gradient in zip(weights, gradients, strict=True):
            state = self.state[weight]
            before = 1 - beta2 ** state["step"]
            state["step"] += 1
            error = binarisation_error(
                weight.float(), error=group["error"], granularity=group["granularity"], scale=group["scale"]
            )
            corrections = [1.0, 1.0]
            if group["bias_correction"]:
                corrections = [1 - beta1 ** state["step"], 1 - beta2 ** state["step"]]
            statistics = [state[key] for key in self.statistics]
            for latent, gradient_, *moments, error_ in blocks(weight, gradient, *statistics, error.expand_as(weight)):
                bamsprod_update(
                    latent,
                    gradient_,
                    *moments,
                    bound=gradient_bound(moments[-1], error_, kappa=group["kappa"], mass=before),
                    rate=group["lr"] / corrections[0],
                    beta1=beta1,
                    beta2=beta2,
                    eps=group["eps"],
                    root=math.sqrt(corrections[1]),
                )
