"""MNIST: a perceptron on bits alone, and a small convolutional network."""

from dataclasses import replace

from signbit.recipes.tuned import REAL_ADAM, adam, bop, bop2ndorder
from signbit.training import DataConfig, ModelConfig, Recipe

__all__ = ["MNIST_CNN", "MNIST_MLP"]

_MLP = Recipe(
    name="mnist-mlp",
    data=DataConfig(name="mnist"),
    model=ModelConfig(name="mnist_mlp"),
    optim=bop2ndorder(lr=1e-3, sigma=1e-3, threshold=1e-2),
    real=REAL_ADAM,
    epochs=8,
    batch_size=100,
    threads=1,  # layers this small gain little from a second, and lose much where it waits for a core
)

_CNN = replace(_MLP, name="mnist-cnn", model=ModelConfig(name="mnist_cnn"), epochs=4)

MNIST_MLP = (_MLP, replace(_MLP, optim=bop(lr=3e-3, threshold=3e-7)), replace(_MLP, optim=adam(lr=3e-3)))
"""Bop2ndOrder, Bop and latent Adam."""

MNIST_CNN = (_CNN, replace(_CNN, optim=bop(lr=1e-3, threshold=1e-7)), replace(_CNN, optim=adam(lr=1e-2)))
"""Bop2ndOrder, Bop and latent Adam."""
