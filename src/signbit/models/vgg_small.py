"""VGG-Small for CIFAR: BinaryNet's convolutions between a real first convolution and a real classifier."""

from collections.abc import Sequence
from functools import partial

from torch import nn

from signbit.models.binarynet import conv_stages
from signbit.models.blocks import chain, classifier, conv_block
from signbit.models.network import Network
from signbit.models.parts import Norm, make_norm
from signbit.models.registry import register_model
from signbit.nn.conv import PadValue

__all__ = ["vgg_small"]


@register_model
def vgg_small(
    *,
    num_classes: int = 10,
    in_chans: int = 3,
    size: int = 32,
    widths: Sequence[int] = (128, 256, 512),
    quantizer: str | None = "sign",
    weight_quantizer: str | None = "sign",
    norm: Norm = "batch",
    pad_value: PadValue = 1,
    binary: bool = True,
) -> Network:
    """Six 3x3 convolutions, all but the first binary, and a classifier on the signs of the last; 4,660,106 parameters.

    Published with `pad_value=0`. The float twin has real weights, and ReLU in the place of every sign.

    Args:
        num_classes: outputs.
        in_chans: channels of the images.
        size: height and width of the images.
        widths: channels of the stages; each ends in a pool.
        quantizer: sign of the activations, by name (`signbit.quantizers`); None puts a ReLU in its place.
        weight_quantizer: sign of the weights, by name; None leaves them real.
        norm: "batch" or "layer".
        pad_value: what surrounds the signs.
        binary: False gives the float twin.
    """
    side = size >> len(widths)
    if side < 1:
        raise ValueError(f"{len(widths)} pools leave nothing of {size}x{size} images; give fewer widths")
    block = partial(
        conv_block,
        quantizer=quantizer,
        weight_quantizer=weight_quantizer,
        norm=norm,
        pad_value=pad_value,
        binary=binary,
    )
    stem = chain(conv=nn.Conv2d(in_chans, widths[0], 3, padding=1, bias=False), norm=make_norm(norm, widths[0]))
    stages, features = conv_stages(widths, block)
    head = classifier(
        widths[-1] * side * side,
        num_classes,
        quantizer="sign" if quantizer is None else quantizer,
        binary=binary and quantizer is not None,
    )
    return Network({"stem": stem, **stages, "flatten": nn.Flatten(), "classifier": head}, features)
