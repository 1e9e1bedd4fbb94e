"""The parts that networks are built of; each has a float twin with real weights and ReLU in the place of signs."""

from typing import Literal

from torch import nn

from signbit.models.parts import Norm, make_norm
from signbit.nn import BinaryConv2d, BinaryLinear, RSign, Sign, ThermometerEncode
from signbit.nn.conv import PadValue

__all__ = ["StemEncoding", "binary_conv", "chain", "classifier", "conv_block", "linear_block", "stem_conv"]

StemEncoding = Literal["thermometer"]


def linear_block(
    inputs: int,
    outputs: int,
    *,
    quantizer: str | None = "sign",
    weight_quantizer: str | None = "sign",
    norm: Norm = "batch",
    binary: bool = True,
) -> nn.Sequential:
    """Sign of x → binary product → norm (block B-VGG).

    Args:
        inputs: features of x (N, inputs), real.
        outputs: features of the result, real.
        quantizer: sign of the inputs, by name (`signbit.quantizers`); None puts a ReLU in its place.
        weight_quantizer: sign of the weights, by name; None leaves them real.
        norm: "batch" or "layer".
        binary: False gives the float twin.
    """
    if not binary:
        quantizer = weight_quantizer = None
    act: dict[str, nn.Module] = {"act": nn.ReLU()} if quantizer is None else {}
    fc: nn.Module
    if quantizer is None and weight_quantizer is None:
        fc = nn.Linear(inputs, outputs, bias=False)
    else:
        fc = BinaryLinear(inputs, outputs, input_quantizer=quantizer, weight_quantizer=weight_quantizer)
    return chain(**act, fc=fc, norm=make_norm(norm, outputs, flat=True))


def conv_block(
    inputs: int,
    outputs: int,
    *,
    pool: int = 1,
    quantizer: str | None = "sign",
    weight_quantizer: str | None = "sign",
    norm: Norm = "batch",
    pad_value: PadValue = 1,
    binary: bool = True,
) -> nn.Sequential:
    """Sign of x → binary 3x3 convolution → max-pool → norm (block B-VGG).

    The pool stands before the norm, where it commutes with the sign whatever the norm's direction.

    Args:
        inputs: channels of x (N, inputs, H, W), real.
        outputs: channels of the result, real.
        pool: window and stride of the pool; 1 leaves it out.
        quantizer: see `binary_conv`.
        weight_quantizer: see `binary_conv`.
        norm: "batch" or "layer".
        pad_value: see `binary_conv`.
        binary: False gives the float twin.
    """
    parts = binary_conv(
        inputs,
        outputs,
        quantizer=quantizer,
        weight_quantizer=weight_quantizer,
        pad_value=pad_value,
        binary=binary,
    )
    if pool > 1:
        parts["pool"] = nn.MaxPool2d(pool)
    return chain(**parts, norm=make_norm(norm, outputs))


def binary_conv(
    inputs: int,
    outputs: int,
    *,
    kernel_size: int = 3,
    stride: int = 1,
    padding: int | None = None,
    bias: bool = False,
    shift: bool = False,
    quantizer: str | None = "sign",
    weight_quantizer: str | None = "sign",
    pad_value: PadValue = 1,
    binary: bool = True,
) -> dict[str, nn.Module]:
    """A convolution of signs, `conv`, behind the module `act` that prepares its input, where there is one.

    Args:
        inputs: channels of x (N, inputs, H, W), real.
        outputs: channels of the result, real.
        kernel_size: height and width of the kernel.
        stride: of the convolution.
        padding: on every side; None keeps the size of the map where stride is 1 and the kernel odd.
        bias: whether a real bias per filter is added.
        shift: whether a learned shift per channel precedes the sign of the inputs (`RSign`).
        quantizer: sign of the inputs, by name (`signbit.quantizers`); None puts a ReLU in its place, "tanh" a tanh.
        weight_quantizer: sign of the weights, by name; None leaves them real.
        pad_value: what surrounds the signs; real inputs are padded with 0.
        binary: False gives the float twin, which is both quantizers None.
    """
    if not binary:
        quantizer = weight_quantizer = None
    padding = kernel_size // 2 if padding is None else padding
    real = nn.Tanh() if quantizer == "tanh" else nn.ReLU()
    quantizer = None if quantizer == "tanh" else quantizer
    if quantizer is None and weight_quantizer is None:
        return {"act": real, "conv": nn.Conv2d(inputs, outputs, kernel_size, stride, padding, bias=bias)}
    parts: dict[str, nn.Module] = {}
    if quantizer is None:
        parts["act"] = real
    elif shift:
        parts["act"] = RSign(inputs, quantizer=quantizer)
    parts["conv"] = BinaryConv2d(
        inputs,
        outputs,
        kernel_size,
        stride,
        padding,
        bias=bias,
        weight_quantizer=weight_quantizer,
        input_quantizer=None if shift else quantizer,
        pad_value=0 if quantizer is None else pad_value,
    )
    return parts


def stem_conv(
    inputs: int,
    outputs: int,
    *,
    kernel_size: int,
    stride: int = 1,
    encoding: StemEncoding | None = None,
    quantizer: str | None = "sign",
    weight_quantizer: str | None = "sign",
    pad_value: PadValue = 1,
    binary: bool = True,
) -> dict[str, nn.Module]:
    """The convolution of a network that reads the image: a real one, or one of signs behind the module `encode`.

    Args:
        inputs: channels of the images, normalised (N, inputs, H, W).
        outputs: channels of the result, real.
        kernel_size: height and width of the kernel, odd.
        stride: of the convolution.
        encoding: "thermometer" makes the pixels signs, 32 for each channel (FracBNN, `ThermometerEncode`), and the
            convolution one of `binary_conv`; None leaves both real.
        quantizer: see `binary_conv`; it meets signs, and matters only where it is None.
        weight_quantizer: see `binary_conv`.
        pad_value: see `binary_conv`.
        binary: see `binary_conv`.
    """
    if encoding is None:
        return {"conv": nn.Conv2d(inputs, outputs, kernel_size, stride, kernel_size // 2, bias=False)}
    if encoding != "thermometer":
        raise ValueError(f"stem_encoding must be thermometer or null (a real stem), got {encoding!r}")
    encode = ThermometerEncode(inputs)
    conv = binary_conv(
        encode.out_channels,
        outputs,
        kernel_size=kernel_size,
        stride=stride,
        quantizer=quantizer,
        weight_quantizer=weight_quantizer,
        pad_value=pad_value,
        binary=binary,
    )
    return {"encode": encode, **conv}


def classifier(inputs: int, outputs: int, *, quantizer: str = "sign", binary: bool = True) -> nn.Sequential:
    """Sign of x → product with real weights and a bias: one score per class.

    Args:
        inputs: features of x (N, inputs), real.
        outputs: number of classes.
        quantizer: sign of the inputs, by name (`signbit.quantizers`).
        binary: False gives the float twin.
    """
    return chain(act=Sign(quantizer) if binary else nn.ReLU(), fc=nn.Linear(inputs, outputs))


def chain(**parts: nn.Module) -> nn.Sequential:
    """A sequence of named modules."""
    sequence = nn.Sequential()
    for name, part in parts.items():
        sequence.add_module(name, part)
    return sequence
