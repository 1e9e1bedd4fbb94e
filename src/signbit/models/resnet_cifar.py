"""ResNets for CIFAR with binary convolutions, as IR-Net (1909.10788), ReCU and BiPer use them.

Real 3x3 stem, one binary convolution per shortcut, shortcuts without weights (option A), Hardtanh behind every block,
batch norm before the classifier. Published with `pad_value=0`.
"""

from functools import partial

from signbit.models.registry import register_model
from signbit.models.residual import residual_network

__all__ = ["resnet18_cifar", "resnet20_cifar"]

_cifar = partial(residual_network, num_classes=10, stem="3x3", shortcut="slice", activation="hardtanh", head_norm=True)

resnet18_cifar = register_model(
    partial(_cifar, widths=(64, 128, 256, 512), depths=(4, 4, 4, 4)), name="resnet18_cifar", size=32
)
"""Sixteen binary convolutions, those of ResNet-18 behind a 3x3 stem: 11,001,162 parameters."""

resnet20_cifar = register_model(partial(_cifar, widths=(16, 32, 64), depths=(6, 6, 6)), name="resnet20_cifar", size=32)
"""Eighteen binary convolutions, 269,850 parameters."""
