"""MNIST: a perceptron on bits alone, and a small convolutional network."""

from dataclasses import replace

from signbit.recipes.tuned import ADAM, BOP, BOP2NDORDER, REAL_ADAM
from signbit.training import DataConfig, ModelConfig, Recipe

__all__ = ["MNIST_CNN", "MNIST_MLP"]

_MLP = Recipe(
    name="mnist-mlp",
    data=DataConfig(name="mnist"),
    model=ModelConfig(name="mnist_mlp"),
    optim=BOP2NDORDER,
    real=REAL_ADAM,
    epochs=10,
    batch_size=100,
)

_CNN = replace(_MLP, name="mnist-cnn", model=ModelConfig(name="mnist_cnn"), epochs=6)

MNIST_MLP = (_MLP, replace(_MLP, optim=BOP), replace(_MLP, optim=ADAM))
"""Bop2ndOrder, Bop and latent Adam."""

MNIST_CNN = (_CNN, replace(_CNN, optim=BOP), replace(_CNN, optim=ADAM))
"""Bop2ndOrder, Bop and latent Adam."""
