"""CIFAR-10: BinaryNet under the schedules of the papers, and two networks that a laptop trains in minutes.

The papers' 500 epochs are hours on a GPU, weeks on a laptop. The last 10,000 training images (batch 5) are kept for one
final test.
"""

from dataclasses import replace

from signbit.data.augment import Augmentation
from signbit.recipes.bop import CIFAR10 as BOP
from signbit.recipes.bop2ndorder import CIFAR10 as BOP2NDORDER
from signbit.recipes.tuned import REAL_ADAM, adam, bop, bop2ndorder
from signbit.training import DataConfig, ModelConfig, Recipe

__all__ = ["BINARYNET", "BINARYNET_SMALL", "RESNET20"]


BINARYNET = tuple(
    replace(recipe, name="binarynet-cifar10")
    for recipe in (BOP2NDORDER, BOP, replace(BOP2NDORDER, optim=adam(lr=1e-3)))
)
"""The final configurations of Bop2ndOrder and Bop, and latent Adam at the papers' first rate, falling linearly."""

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
