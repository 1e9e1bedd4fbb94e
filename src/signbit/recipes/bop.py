"""Bop's configurations (1906.02107 and the authors' code), each a recipe.

The network of CIFAR-10 is published with a first convolution that does not pad and zeros around the others. Known
differences: pixels within -1..1 there, normalised by mean and deviation here; norms without scale and with a momentum
of .99 (Keras; Bi-Real Net .8) there, torch's norms here; and the last 10,000 training images of CIFAR-10 (batch 5) are
kept here for one final test. The crop and the mirroring of the final configuration are used in the studies too.
"""

from dataclasses import replace

from signbit.data.augment import Augmentation
from signbit.recipes.entry import Entry, constant_or_ramp
from signbit.training import DataConfig, ModelConfig, OptimConfig, Recipe, Schedule

__all__ = ["ALEXNET", "BIREALNET18", "CIFAR10", "ENTRIES", "IMAGENET", "STUDY", "XNORNET"]

STUDY = Recipe(
    name="bop-study",
    data=DataConfig(name="cifar10", reserve="last:10000", augmentation=Augmentation(crop_padding=4, flip=True)),
    model=ModelConfig(name="binarynet_valid", options={"pad_value": 0}),
    optim=constant_or_ramp("bop", lr=1e-3, threshold=1e-6),
    real=constant_or_ramp("adam", lr=1e-2),
    epochs=100,
    batch_size=100,
)
"""The study of γ and τ (sec. 5.1), at the point that both sweeps share."""


def _study(name: str, *, lr: float = 1e-3, threshold: float = 1e-6) -> Recipe:
    return replace(STUDY, name=f"bop-study-{name}", optim=constant_or_ramp("bop", lr=lr, threshold=threshold))


CIFAR10 = replace(
    STUDY,
    name="bop-cifar10",
    optim=replace(
        constant_or_ramp("bop", lr=1e-4, threshold=1e-8),
        schedules={"lr": Schedule(kind="staircase", end=0.1, every=100)},
    ),
    epochs=500,
    batch_size=50,
)
"""The final configuration of sec. 5.2: γ falls tenfold every 100 epochs, Adam stays."""

IMAGENET = DataConfig(
    name="image-folder",
    root="imagenet",
    options={"size": 224, "resize": 256},
    workers=8,
    augmentation=Augmentation(crop_area=0.08, flip=True),
)
"""Folders imagenet/train/CLASS and imagenet/val/CLASS."""

_REAL = constant_or_ramp("adam", lr=(2.5e-3, 5e-6))

BIREALNET18 = Recipe(
    name="bop-imagenet-birealnet18",
    data=IMAGENET,
    # Weights that are ±1 have the scale 1, so that none is computed.
    model=ModelConfig(name="birealnet18", options={"pad_value": 0, "weight_quantizer": "sign"}),
    optim=constant_or_ramp("bop", lr=(1e-4, 1e-6), threshold=1e-8),
    real=_REAL,
    epochs=300,
    batch_size=1024,
)

# Keras' l2(5e-7) adds 5e-7·‖w‖² to the loss, whose gradient 1e-6·w is what torch's weight_decay of 1e-6 adds.
_DECAYED = {layer: {"weight_decay": 1e-6} for layer in ("stem.conv.weight", "fc.weight")}

XNORNET = replace(
    BIREALNET18,
    name="bop-imagenet-xnornet",
    model=ModelConfig(name="xnornet_alexnet_larq", options={"pad_value": 0, "weight_quantizer": "sign"}),
    real=OptimConfig(name="adam", options=_REAL.options, schedules=_REAL.schedules, groups=_DECAYED),
    epochs=100,
)
"""L2 of 5e-7 on the two real layers, first convolution and classifier."""

_PREPRINT = replace(
    BIREALNET18,
    name="bop-imagenet-birealnet18-v1",
    optim=constant_or_ramp("bop", lr=(5e-4, 2.5e-6), threshold=1e-7),
    real=constant_or_ramp("adam", lr=(2.5e-3, 2.5e-6)),
    epochs=100,
    batch_size=256,
)

ALEXNET = replace(
    BIREALNET18,
    name="bop-imagenet-alexnet",
    model=ModelConfig(name="binary_alexnet", options={"pad_value": 0}),
    epochs=150,
)
"""The table names an AlexNet; Larq Zoo's, whose layers are all binary, stands for it, the authors' was not read."""

ENTRIES = (
    Entry(
        "larq's defaults, γ 1e-4, τ 1e-8 (epochs and batch of the study)", (_study("larq", lr=1e-4, threshold=1e-8),)
    ),
    Entry("sec. 5.1, γ 1e-3, τ 1e-6", (STUDY,)),
    Entry("sec. 5.1, γ 1e-2, τ 1e-6", (_study("gamma1e-2", lr=1e-2),)),
    Entry("sec. 5.1, γ 1e-4, τ 1e-6", (_study("gamma1e-4", lr=1e-4),)),
    Entry("sec. 5.1, γ 1e-3, τ 0", (_study("tau0", threshold=0.0),)),
    Entry("sec. 5.1, γ 1e-3, τ 1e-5", (_study("tau1e-5", threshold=1e-5),)),
    Entry("sec. 5.2, BinaryNet: γ 1e-4, a tenth every 100 epochs", (CIFAR10,)),
    Entry("ImageNet, AlexNet: γ 1e-4 to 1e-6", (ALEXNET,)),
    Entry("ImageNet, XNOR-Net: γ 1e-4 to 1e-6, L2 on the real layers", (XNORNET,)),
    Entry("ImageNet, Bi-Real Net: γ 1e-4 to 1e-6", (BIREALNET18,)),
    Entry("ImageNet, Bi-Real Net, preprint v1: γ 5e-4 to 2.5e-6, τ 1e-7", (_PREPRINT,)),
)
