"""The parts that networks are built of; each has a float twin with real weights and ReLU in the place of signs."""

from torch import nn

from signbit.nn import BinaryConv2d, BinaryLinear, Sign

__all__ = ["chain", "classifier", "conv_block", "linear_block", "norm"]


def norm(channels: int, *, flat: bool = False) -> nn.Module:
    """Batch normalisation over (N, C, H, W), or over (N, C) where `flat`."""
    return nn.BatchNorm1d(channels) if flat else nn.BatchNorm2d(channels)


def linear_block(inputs: int, outputs: int, *, quantizer: str = "sign", binary: bool = True) -> nn.Sequential:
    """Sign of x → binary product → batch norm (block B-VGG).

    Args:
        inputs: features of x (N, inputs), real.
        outputs: features of the result, real.
        quantizer: sign of the inputs, by name (`signbit.quantizers`).
        binary: False gives the float twin.
    """
    if binary:
        return chain(fc=BinaryLinear(inputs, outputs, input_quantizer=quantizer), norm=norm(outputs, flat=True))
    return chain(act=nn.ReLU(), fc=nn.Linear(inputs, outputs, bias=False), norm=norm(outputs, flat=True))


def conv_block(
    inputs: int, outputs: int, *, pool: int = 1, quantizer: str = "sign", binary: bool = True
) -> nn.Sequential:
    """Sign of x → binary 3x3 convolution, padded with +1 → max-pool → batch norm (block B-VGG).

    The pool stands before the norm, where it commutes with the sign whatever the norm's direction.

    Args:
        inputs: channels of x (N, inputs, H, W), real.
        outputs: channels of the result, real.
        pool: window and stride of the pool; 1 leaves it out.
        quantizer: sign of the inputs, by name (`signbit.quantizers`).
        binary: False gives the float twin.
    """
    parts: dict[str, nn.Module] = {}
    if binary:
        parts["conv"] = BinaryConv2d(inputs, outputs, 3, padding=1, input_quantizer=quantizer, pad_value=1)
    else:
        parts["act"] = nn.ReLU()
        parts["conv"] = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    if pool > 1:
        parts["pool"] = nn.MaxPool2d(pool)
    return chain(**parts, norm=norm(outputs))


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
