"""The sign of this project, and the one autograd node of all codes: code forward, surrogate backward."""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.autograd import Function

__all__ = ["code_with_surrogate", "sign", "sign_with_surrogate"]


def sign(x: Tensor) -> Tensor:
    """Gives −1 where x is below 0, else +1: for ±0 and NaN too. It has no gradient.

    Steps in place on one copy, because `torch.where` is slow on a CPU.

    Args:
        x: floating-point tensor of any shape; the result has its shape, dtype and memory format.
    """
    return x.detach().clone().lt_(0).mul_(-2).add_(1)


class _CodeWithSurrogate(Function):
    @staticmethod
    def forward(u: Tensor, code: Tensor | None, surrogate: Callable[[Tensor], Tensor]) -> Tensor:
        return sign(u) if code is None else code.view_as(code)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        u, _, ctx.surrogate = inputs
        ctx.save_for_backward(u)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (u,) = ctx.saved_tensors
        return grad * ctx.surrogate(u), None, None


def sign_with_surrogate(u: Tensor, surrogate: Callable[[Tensor], Tensor]) -> Tensor:
    """Gives sign(u); backward multiplies the gradient by h(u).

    A node of its own, because the usual value-plus-detach expression is exact only for moderate u.

    Args:
        u: real values, any shape.
        surrogate: h, a function of u alone (`signbit.quantizers.surrogates`).
    """
    result: Tensor = _CodeWithSurrogate.apply(u, None, surrogate)  # type: ignore[no-untyped-call]
    return result


def code_with_surrogate(u: Tensor, code: Tensor, surrogate: Callable[[Tensor], Tensor]) -> Tensor:
    """Gives `code`, chosen by other means than the sign of each u; backward multiplies the gradient of u by h(u).

    Args:
        u: real values, any shape.
        code: values of u's shape and dtype, without a gradient of their own.
        surrogate: h, see `sign_with_surrogate`.
    """
    result: Tensor = _CodeWithSurrogate.apply(u, code, surrogate)  # type: ignore[no-untyped-call]
    return result
