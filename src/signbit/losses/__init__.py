"""Losses that binary networks are trained by, beside torch's own; each is a mean over the batch, in float32."""

from signbit.losses.distillation import distillation_loss, distribution_loss
from signbit.losses.features import AttentionNorm, attention_loss, block_loss
from signbit.losses.hinge import squared_hinge
from signbit.losses.maps import Maps

__all__ = [
    "AttentionNorm",
    "Maps",
    "attention_loss",
    "block_loss",
    "distillation_loss",
    "distribution_loss",
    "squared_hinge",
]
