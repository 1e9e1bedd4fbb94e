"""CIFAR-10: BinaryNet under the schedules of the papers, and two networks that a laptop trains in minutes.

The papers' 500 epochs are hours on a GPU, weeks on a laptop. Published with a network that pads 0 and whose first
convolution does not pad; pixels there lie within -1..1, here they are normalised by mean and deviation. The last 10,000
training images (batch 5) are kept for one final test.
"""

from dataclasses import replace

from signbit.data.augment import Augmentation
from signbit.recipes.tuned import REAL_ADAM, adam, bop, bop2ndorder
from signbit.training import DataConfig, ModelConfig, OptimConfig, Recipe, Schedule

__all__ = ["BINARYNET", "BINARYNET_SMALL", "RESNET20"]


def _falling(factor: float) -> Schedule:
    return Schedule(kind="linear", end=factor)


_BOP2NDORDER = Recipe(
    name="binarynet-cifar10",
    data=DataConfig(name="cifar10", reserve="last:10000", augmentation=Augmentation(crop_padding=4, flip=True)),
    model=ModelConfig(name="binarynet_valid", options={"pad_value": 0}),
    optim=OptimConfig(
        name="bop2ndorder",
        options={"lr": 1e-2, "sigma": 1e-7, "threshold": 1e-5},
        schedules={"lr": _falling(1e-3), "sigma": Schedule(kind="linear", end=1e5), "threshold": _falling(1e-3)},
    ),
    real=OptimConfig(name="adam", options={"lr": 1e-2}, schedules={"lr": _falling(0.1)}),
    epochs=500,
    batch_size=50,
)
"""The final configuration of 2104.05124 (both variants; `--optim.options.correction reference` is the unbiased one)."""

_BOP = replace(
    _BOP2NDORDER,
    optim=OptimConfig(
        name="bop",
        options={"lr": 1e-4, "threshold": 1e-8},
        schedules={"lr": Schedule(kind="staircase", end=0.1, every=100)},
    ),
    real=OptimConfig(name="adam", options={"lr": 1e-2}),
)
"""The final configuration of 1906.02107: γ falls tenfold every 100 epochs."""

BINARYNET = (_BOP2NDORDER, _BOP, replace(_BOP2NDORDER, optim=adam(lr=1e-3)))
"""Bop2ndOrder, Bop and latent Adam; the last at the papers' first rate, falling linearly."""

_SMALL = Recipe(
    name="binarynet-small-cifar10",
    data=DataConfig(name="cifar10", reserve="last:10000", augmentation=Augmentation(crop_padding=4, flip=True)),
    model=ModelConfig(name="binarynet", options={"widths": [32, 64, 128], "hidden": [256, 256]}),
    optim=bop2ndorder(lr=1e-2, sigma=1e-3, threshold=3e-2),
    real=REAL_ADAM,
    epochs=10,
    batch_size=100,
    mode="fast",
    threads=1,
)

_RESNET20 = replace(_SMALL, name="resnet20-cifar10", model=ModelConfig(name="resnet20_cifar"), epochs=6)

BINARYNET_SMALL = (_SMALL, replace(_SMALL, optim=bop(lr=1e-2, threshold=1e-6)), replace(_SMALL, optim=adam(lr=3e-3)))
"""BinaryNet with a quarter of its channels: Bop2ndOrder, Bop and latent Adam."""

RESNET20 = (
    _RESNET20,
    replace(_RESNET20, optim=bop(lr=3e-3, threshold=3e-7)),
    replace(_RESNET20, optim=adam(lr=1e-2)),
)
"""ResNet-20 with 16, 32, 64 channels: Bop2ndOrder, Bop and latent Adam."""
