"""From real numbers to bits: the sign, its surrogate gradients, and quantizers by name."""

from signbit.quantizers.mask import MaskedQuantizer
from signbit.quantizers.quantizer import Quantizer, schedule_quantizers
from signbit.quantizers.ranked import RankedQuantizer
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
from signbit.quantizers.splits import Split, at_most_split, exact_split, free_split, group_means, zero_split
from signbit.quantizers.sub_bit import SubBit
from signbit.quantizers.ternary import Ternary, TernarySplit, ternary_split
from signbit.quantizers.two_level import TwoLevel

__all__ = [
    "ApproxSign",
    "ClippedSign",
    "EdeSign",
    "FourierSign",
    "IdentitySign",
    "MaskedQuantizer",
    "Quantizer",
    "RankedQuantizer",
    "SignQuantizer",
    "Split",
    "SubBit",
    "SwishSign",
    "Ternary",
    "TernarySplit",
    "TwoLevel",
    "at_most_split",
    "create_quantizer",
    "exact_split",
    "free_split",
    "group_means",
    "list_quantizers",
    "register",
    "schedule_quantizers",
    "sign",
    "sign_with_surrogate",
    "ternary_split",
    "zero_split",
]
