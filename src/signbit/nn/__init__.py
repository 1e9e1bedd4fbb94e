"""Binary layers and the activations around them, in torch's own vocabulary."""

from signbit.nn.activation import Hardtanh, RPReLU, RSign, Sign, TwoSlopePReLU
from signbit.nn.conv import BinaryConv1d, BinaryConv2d, BinaryConvNd
from signbit.nn.layer import BinaryLayer
from signbit.nn.linear import BinaryLinear
from signbit.nn.norm import ChannelNorm
from signbit.nn.thermometer import ThermometerEncode

__all__ = [
    "BinaryConv1d",
    "BinaryConv2d",
    "BinaryConvNd",
    "BinaryLayer",
    "BinaryLinear",
    "ChannelNorm",
    "Hardtanh",
    "RPReLU",
    "RSign",
    "Sign",
    "ThermometerEncode",
    "TwoSlopePReLU",
]
