"""Sparse binary networks with weights of two levels (SBNN, 2306.13515), at 5 % of the rarer level.

Another density or domain is one override of `--model.options.weight_quantizer`: "twolevel(density=0.02)",
"twolevel(values=signs,density=0.05)" for ±1, "ternary(density=0.05)". The paper's tables could not be read; the
authors' settings are those of their released code, where it says them.
"""

from dataclasses import replace

from signbit.data.augment import Augmentation
from signbit.recipes.tuned import REAL_ADAM, adam
from signbit.training import DataConfig, ModelConfig, OptimConfig, PenaltyConfig, Recipe, Schedule

__all__ = ["EDE", "SBNN_CIFAR10", "SBNN_CIFAR10_AUTHORS", "SBNN_MNIST"]

SBNN_MNIST = (
    Recipe(
        name="sbnn-mnist",
        data=DataConfig(name="mnist"),
        model=ModelConfig(
            name="mnist_mlp", options={"widths": [256, 256], "weight_quantizer": "twolevel(density=0.05)"}
        ),
        optim=adam(lr=3e-3),
        real=REAL_ADAM,
        epochs=3,
        batch_size=100,
        threads=1,
    ),
)
"""784-256-256-10 on the signs of the pixels, closed levels, hard budget: a small network for trials."""

_COSINE = {"lr": Schedule(kind="cosine", end=0.0)}
EDE = "ede(start=0.1,end=10)"
"""The estimator of the released code for CIFAR-10."""

_AUTHORS = Recipe(
    name="sbnn-cifar10-authors",
    data=DataConfig(
        name="cifar10",
        reserve="last:10000",
        augmentation=Augmentation(crop_padding=4, flip=True, mixup=1.0),
    ),
    model=ModelConfig(
        name="resnet18_cifar",
        options={
            "shortcut": "conv",
            "pad_value": 0,
            "quantizer": EDE,
            "weight_quantizer": f"twolevel(values=learned,surrogate='{EDE}')",
        },
    ),
    optim=OptimConfig(name="adam", options={"lr": 1e-3, "clip": 1.5}, schedules=_COSINE),
    real=OptimConfig(name="adam", options={"lr": 1e-3}, schedules=_COSINE),
    penalty=PenaltyConfig(density=0.05, share=0.07),
    epochs=500,
    batch_size=512,
)

SBNN_CIFAR10_AUTHORS = (_AUTHORS,)
"""The released code's CIFAR-10 setting for EC = .05: ResNet-18, learned levels, penalty; a GPU's work.

Unlike there: sign(0) is +1, batch 5 is kept for the final test, and the step of the schedule is an update.
"""

SBNN_CIFAR10 = (
    replace(
        _AUTHORS,
        name="sbnn-cifar10",
        data=replace(_AUTHORS.data, augmentation=Augmentation(crop_padding=4, flip=True)),
        model=ModelConfig(
            name="resnet18_cifar",
            options={
                "widths": [16, 32, 64, 128],
                "shortcut": "repeat",
                "quantizer": EDE,
                "weight_quantizer": f"twolevel(density=0.05,surrogate='{EDE}')",
            },
        ),
        optim=replace(adam(lr=3e-3), schedules=_COSINE),
        real=replace(REAL_ADAM, schedules=_COSINE),
        penalty=PenaltyConfig(),
        epochs=12,
        batch_size=100,
        mode="fast",
        threads=1,
    ),
)
"""A quarter of the channels, closed levels under a hard budget, shortcuts without weights: real 1x1 shortcuts would
outweigh all sparse weights."""
