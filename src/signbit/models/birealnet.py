"""Bi-Real Net for ImageNet (1808.00278), and ReActNet's version of it (2003.03488).

Real 7x7 stem, one binary convolution per shortcut, average pool and real 1x1 convolution where the shape changes.
Weights are ±α, α = mean|w| of the filter. Published with `pad_value=0`; the float twin is the network from which
Bi-Real Net's authors start.
"""

from functools import partial

from signbit.models.registry import register_model
from signbit.models.residual import residual_network

__all__ = ["birealnet18", "birealnet34", "react_resnet18", "react_resnet34"]

_bireal = partial(
    residual_network,
    num_classes=1000,
    stem="7x7",
    widths=(64, 128, 256, 512),
    shortcut="conv",
    weight_quantizer="sign(scale=mean)",
)
_react = partial(_bireal, shift=True, activation="rprelu")

birealnet18 = register_model(partial(_bireal, depths=(4, 4, 4, 4)), name="birealnet18", size=224)
"""Sixteen binary convolutions, 11,689,512 parameters."""

birealnet34 = register_model(partial(_bireal, depths=(6, 8, 12, 6)), name="birealnet34", size=224)
"""Thirty-two binary convolutions, 21,797,672 parameters."""

react_resnet18 = register_model(partial(_react, depths=(4, 4, 4, 4)), name="react_resnet18", size=224)
"""Bi-Real-18 with a learned shift before every sign and an RPReLU behind every block: 11,704,424 parameters."""

react_resnet34 = register_model(partial(_react, depths=(6, 8, 12, 6)), name="react_resnet34", size=224)
"""Bi-Real-34 in the same way, 21,827,432 parameters."""
