"""The demo: scikit-learn's handwritten digits, seconds on a laptop."""

from dataclasses import replace

from signbit.data.augment import Augmentation
from signbit.recipes.tuned import ADAM, BOP, BOP2NDORDER, REAL_ADAM
from signbit.training import DataConfig, ModelConfig, Recipe

__all__ = ["DIGITS"]

_BASE = Recipe(
    name="digits",
    data=DataConfig(name="digits", augmentation=Augmentation(degrees=10.0, translate=0.1, scale=0.1)),
    model=ModelConfig(name="digits_cnn"),
    optim=BOP2NDORDER,
    real=REAL_ADAM,
    epochs=30,
    batch_size=50,
)

DIGITS = (_BASE, replace(_BASE, optim=BOP), replace(_BASE, optim=ADAM))
"""Bop2ndOrder, Bop and latent Adam."""
