"""From real numbers to bits: the sign, its surrogate gradients, and quantizers by name."""

from signbit.quantizers.quantizer import Quantizer, schedule_quantizers
from signbit.quantizers.registry import create_quantizer, list_quantizers, register
from signbit.quantizers.sign import sign, sign_with_surrogate
from signbit.quantizers.signs import (
    ApproxSign,
    ClippedSign,
    EdeSign,
    FourierSign,
    IdentitySign,
    SignQuantizer,
    SwishSign,
)

__all__ = [
    "ApproxSign",
    "ClippedSign",
    "EdeSign",
    "FourierSign",
    "IdentitySign",
    "Quantizer",
    "SignQuantizer",
    "SwishSign",
    "create_quantizer",
    "list_quantizers",
    "register",
    "schedule_quantizers",
    "sign",
    "sign_with_surrogate",
]
