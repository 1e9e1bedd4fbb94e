"""Quantizers that take the sign of the value itself; they differ in the surrogate gradient."""

from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import final

import torch
from torch import Tensor
from typing_extensions import override

from signbit.quantizers import surrogates
from signbit.quantizers.quantizer import Quantizer
from signbit.quantizers.scale import Scale, ScaleGradient, divide_gradient, filter_mean
from signbit.quantizers.sign import sign_with_surrogate
from signbit.wording import check_choice

__all__ = ["ApproxSign", "ClippedSign", "EdeSign", "FourierSign", "IdentitySign", "SignQuantizer", "SwishSign"]


class SignQuantizer(Quantizer):
    """Code sign(x) with gradient g·h(x); for weights optionally the scale α = mean|w| of each filter.

    Args:
        scale: "none" for levels ±1, "mean" for ±α per filter. Inputs of a layer have no filters: "none".
        scale_gradient: what dL/dw is for W = α·sign(w), given g = ∂L/∂W: "detached" g·h, as ReActNet's and AdamBNN's
            PyTorch code has it; "multiplied" α·g·h, as larq has it; "full" α·g·h plus the term through α, the exact
            derivative.
        schedules: see `Quantizer`.
    """

    def __init__(
        self,
        *,
        scale: Scale = "none",
        scale_gradient: ScaleGradient = "detached",
        **schedules: Callable[[float], float],
    ) -> None:
        check_choice("scale", scale, Scale)
        check_choice("scale_gradient", scale_gradient, ScaleGradient)
        super().__init__(**schedules)
        self.scaling = scale
        self.scale_gradient = scale_gradient

    @abstractmethod
    def surrogate(self, u: Tensor) -> Tensor:
        """Gives h(u), see `signbit.quantizers.surrogates`."""

    @override
    def forward(self, x: Tensor) -> Tensor:
        code = sign_with_surrogate(x, self.surrogate)
        if self.scaling == "mean" and self.scale_gradient == "detached":
            return divide_gradient(code, filter_mean(x.detach()))
        return code

    @override
    def scale(self, weight: Tensor) -> Tensor | None:
        if self.scaling == "none":
            return None
        return filter_mean(weight if self.scale_gradient == "full" else weight.detach())

    @override
    @torch.no_grad()
    def levels(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        scale = self.scale(weight)
        high = weight.new_ones(weight.shape[0]) if scale is None else scale
        return -high, high

    @override
    def extra_repr(self) -> str:
        options = {key: value for key, value in vars(self).items() if not key.startswith("_") and key != "training"}
        if self.scaling == "none":
            del options["scaling"], options["scale_gradient"]
        return ", ".join(f"{key}={value}" for key, value in options.items())


@final
class ClippedSign(SignQuantizer):
    """The gradient passes where |u| ≤ clip (BinaryNet, 1602.02830).

    Args:
        clip: half width of the window, > 0.
        scale: see `SignQuantizer`.
        scale_gradient: see `SignQuantizer`.
    """

    def __init__(
        self,
        *,
        clip: float = 1.0,
        scale: Scale = "none",
        scale_gradient: ScaleGradient = "detached",
    ) -> None:
        super().__init__(scale=scale, scale_gradient=scale_gradient)
        self.clip = _positive("clip", clip)

    @override
    def surrogate(self, u: Tensor) -> Tensor:
        return surrogates.clip(u, c=self.clip)


@final
class IdentitySign(SignQuantizer):
    """The gradient passes everywhere (BinaryConnect, 1511.00363)."""

    @override
    def surrogate(self, u: Tensor) -> Tensor:
        return surrogates.identity(u)


@final
class ApproxSign(SignQuantizer):
    """The gradient falls linearly from 2 at zero to 0 at ±1 (Bi-Real Net, 1808.00278)."""

    @override
    def surrogate(self, u: Tensor) -> Tensor:
        return surrogates.approx_sign(u)


@final
class SwishSign(SignQuantizer):
    """The slope of SignSwish, slightly negative away from zero (BNN+, 1812.11800).

    Args:
        beta: steepness, > 0.
        scale: see `SignQuantizer`.
        scale_gradient: see `SignQuantizer`.
    """

    def __init__(
        self,
        *,
        beta: float = 5.0,
        scale: Scale = "none",
        scale_gradient: ScaleGradient = "detached",
    ) -> None:
        super().__init__(scale=scale, scale_gradient=scale_gradient)
        self.beta = _positive("beta", beta)

    @override
    def surrogate(self, u: Tensor) -> Tensor:
        return surrogates.swish_sign(u, beta=self.beta)


@final
class EdeSign(SignQuantizer):
    """Starts as the identity and narrows to a spike while `schedule` raises the temperature (IR-Net, 1909.10788).

    Args:
        start: temperature at the beginning, > 0.
        end: temperature at the end, > 0.
        scale: see `SignQuantizer`.
        scale_gradient: see `SignQuantizer`.
    """

    temperature: Tensor

    def __init__(
        self,
        *,
        start: float = 1e-3,
        end: float = 10.0,
        scale: Scale = "none",
        scale_gradient: ScaleGradient = "detached",
    ) -> None:
        rise = partial(surrogates.ede_temperature, start=_positive("start", start), end=_positive("end", end))
        super().__init__(scale=scale, scale_gradient=scale_gradient, temperature=rise)

    @override
    def surrogate(self, u: Tensor) -> Tensor:
        return surrogates.ede(u, self.temperature)


@final
class FourierSign(SignQuantizer):
    """The slope of the square wave's first Fourier terms (FDA-BNN, 2103.00841).

    Args:
        omega: angular frequency, > 0.
        terms: number of terms, ≥ 1.
        scale: see `SignQuantizer`.
        scale_gradient: see `SignQuantizer`.
    """

    def __init__(
        self,
        *,
        omega: float = 1.0,
        terms: int = 5,
        scale: Scale = "none",
        scale_gradient: ScaleGradient = "detached",
    ) -> None:
        super().__init__(scale=scale, scale_gradient=scale_gradient)
        self.omega = _positive("omega", omega)
        self.terms = int(_positive("terms", terms))

    @override
    def surrogate(self, u: Tensor) -> Tensor:
        return surrogates.fourier(u, omega=self.omega, terms=self.terms)


def _positive(name: str, value: float) -> float:
    if not value > 0:
        raise ValueError(f"{name} must be > 0, got {value}")
    return value
