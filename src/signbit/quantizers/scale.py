"""The scale of a filter, and how the gradient of the latent weight sees it."""

from typing import Any, Literal

from torch import Tensor
from torch.autograd import Function

__all__ = ["Scale", "ScaleGradient", "divide_gradient", "filter_mean"]

Scale = Literal["none", "mean"]
ScaleGradient = Literal["detached", "multiplied", "full"]


def filter_mean(weight: Tensor) -> Tensor:
    """Scale α = mean|w| of each filter (XNOR-Net, 1603.05279), shape (filters,).

    Never below 1e-8: a filter of zeros would otherwise send back no gradient and stay zero for ever.
    """
    return weight.abs().flatten(1).mean(1).clamp(min=1e-8)


class _DivideGradient(Function):
    @staticmethod
    def forward(code: Tensor, scale: Tensor) -> Tensor:
        return code.view_as(code)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[1])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (scale,) = ctx.saved_tensors
        return grad / scale.view(-1, *(1,) * (grad.dim() - 1)), None


def divide_gradient(code: Tensor, scale: Tensor) -> Tensor:
    """Gives the code itself; backward divides its gradient by the scale of each filter.

    A layer multiplies the product by α after the sign, which puts α into the gradient of the code; this takes it out
    again for the weights and leaves the gradient of the layer's input alone.

    Args:
        code: any shape, filters first.
        scale: shape (filters,), > 0.
    """
    result: Tensor = _DivideGradient.apply(code, scale)  # type: ignore[no-untyped-call]
    return result
