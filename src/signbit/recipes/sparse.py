"""Sparse binary networks with masks, short enough for tables of many runs; budget and pruning are keys of a recipe."""

from dataclasses import replace

from signbit.data.augment import Augmentation
from signbit.recipes.sbnn import EDE, SBNN_CIFAR10
from signbit.sparsity import SparsityConfig
from signbit.training import DataConfig, ModelConfig

__all__ = ["SPARSE_CIFAR10", "SPARSE_TINYIMAGENET"]

SPARSE_CIFAR10 = (
    replace(
        SBNN_CIFAR10[0],
        name="sparse-cifar10",
        model=ModelConfig(
            name="resnet18_cifar",
            options=SBNN_CIFAR10[0].model.options | {"weight_quantizer": f"twolevel(surrogate='{EDE}')"},
        ),
        sparsity=SparsityConfig(density=0.05),
        epochs=4,
    ),
)
"""`SBNN_CIFAR10` with masks instead of a budget in the quantizer."""

SPARSE_TINYIMAGENET = (
    replace(
        SPARSE_CIFAR10[0],
        name="sparse-tinyimagenet",
        data=DataConfig(
            name="image-folder",
            root="tiny-imagenet",
            options={"size": 64},
            reserve="fraction:0.1",
            workers=1,
            augmentation=Augmentation(crop_padding=8, flip=True),
        ),
        model=replace(
            SPARSE_CIFAR10[0].model, options=SPARSE_CIFAR10[0].model.options | {"widths": [32, 64, 128, 256]}
        ),
        epochs=12,
    ),
)
"""Half of the channels, for images of 64x64 and 100 or 200 classes; a tenth of each class is kept for a final test, and
the official validation images are the test part."""
