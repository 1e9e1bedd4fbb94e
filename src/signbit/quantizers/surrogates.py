"""Surrogate gradients of the sign: pure functions h(u) by which the incoming gradient is multiplied.

Each takes the real value u that the sign was taken of, any shape, and gives a tensor of the same shape. All are even
in u. Bounds are closed: at |u| = c the gradient still passes, so weights that sit at their clip value, or that are ±1
by construction, keep learning.
"""

import math

import torch
from torch import Tensor

__all__ = ["approx_sign", "clip", "ede", "ede_temperature", "fourier", "identity", "swish_sign"]


def clip(u: Tensor, *, c: float = 1.0) -> Tensor:
    """Clipped straight-through estimator, h = 1[|u| ≤ c] (BinaryNet, 1602.02830).

    Args:
        u: real values before the sign.
        c: half width of the window, > 0; 1.25 in ResNetE and QuickNet, 1.3 in BinaryDenseNet and MeliusNet.
    """
    if torch.compiler.is_compiling():
        # Without booleans: compiled code would keep them for the backward pass, and stores them many times slower.
        return 1 - ((u.abs() - c) * 1e30).clamp(0, 1)
    return u.abs().le_(c)


def identity(u: Tensor) -> Tensor:
    """Straight-through estimator, h = 1 (BinaryConnect, 1511.00363)."""
    return torch.ones_like(u)


def approx_sign(u: Tensor) -> Tensor:
    """Slope of a piecewise quadratic step, h = max(0, 2 − 2|u|) (Bi-Real Net, 1808.00278)."""
    return u.abs().mul_(-2).add_(2).clamp_(min=0)


def swish_sign(u: Tensor, *, beta: float = 5.0) -> Tensor:
    """Slope of SignSwish, h = β(2 − βu·tanh(βu/2)) / (1 + cosh βu) (BNN+, 1812.11800).

    Args:
        u: real values before the sign.
        beta: steepness, > 0.
    """
    z = beta * u
    return beta * (2 - z * torch.tanh(z / 2)) / (1 + torch.cosh(z))


def ede(u: Tensor, t: Tensor) -> Tensor:
    """Error decay estimator, h = k·t·(1 − tanh²(t·u)) with k = max(1/t, 1) (IR-Net, 1909.10788).

    Args:
        u: real values before the sign.
        t: temperature, scalar tensor > 0, rising over the training as `ede_temperature` says.
    """
    # 1 - tanh(z)^2 = 4 s (1 - s) with s = sigmoid(-2 |z|), in a third of the time.
    s = torch.sigmoid(-2 * t * u.abs())
    return 4 * t.clamp(min=1) * (s * (1 - s))


def ede_temperature(progress: float, *, start: float = 1e-3, end: float = 10.0) -> float:
    """Temperature of `ede` at a fraction of the training: start^(1−p) · end^p (IR-Net, 1909.10788).

    Args:
        progress: fraction p of the training done, 0..1.
        start: temperature at the beginning, > 0 (the released code; its paper is said to use 0.1).
        end: temperature at the end, > 0.
    """
    return 10 ** ((1 - progress) * math.log10(start) + progress * math.log10(end))


def fourier(u: Tensor, *, omega: float = 1.0, terms: int = 5) -> Tensor:
    """Slope of the square wave's first n terms, h = (4ω/π) Σ_{i<n} cos((2i+1)ωu) (FDA-BNN, 2103.00841).

    Args:
        u: real values before the sign.
        omega: angular frequency ω, > 0.
        terms: number n of terms, ≥ 1.
    """
    odd = omega * torch.arange(1, 2 * terms, 2, dtype=u.dtype, device=u.device)
    return (4 * omega / math.pi) * torch.cos(u.unsqueeze(-1) * odd).sum(-1)
