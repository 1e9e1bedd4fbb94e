"""The demo: scikit-learn's handwritten digits, seconds on a laptop."""

from dataclasses import replace

from signbit.data.augment import Augmentation
from signbit.recipes.tuned import REAL_ADAM, adam, bamsprod, bop, bop2ndorder
from signbit.training import DataConfig, ModelConfig, Recipe

__all__ = ["DIGITS"]

_BASE = Recipe(
    name="digits",
    data=DataConfig(name="digits", augmentation=Augmentation(degrees=10.0, translate=0.1, scale=0.1)),
    model=ModelConfig(name="digits_cnn"),
    optim=bop2ndorder(lr=1e-3, sigma=1e-3, threshold=1e-2),
    real=REAL_ADAM,
    epochs=30,
    batch_size=50,
    threads=1,  # layers of a few kilobytes: a second thread costs more than it brings
)

DIGITS = (
    _BASE,
    replace(_BASE, optim=bop(lr=1e-3, threshold=1e-7)),
    replace(_BASE, optim=adam(lr=1e-2)),
    replace(_BASE, optim=bamsprod(lr=3e-3, kappa=3.0)),
)
"""Bop2ndOrder, Bop, latent Adam and BAMSProd."""
