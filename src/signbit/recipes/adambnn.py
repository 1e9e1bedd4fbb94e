"""AdamBNN (2106.11309): first binary activations alone, then binary weights too, against a real teacher all along.

What the authors ran: ReActNet-A on ImageNet, 256 epochs of each stage, Adam at 1.25e-3 with the rate moved at the start
of each epoch, weight decay 5e-6 on the weights of the binary layers in the first stage and none in the second, the loss
a distribution loss alone, with a ResNet-34 for teacher. Not copied: their first signs, all +1, and the colour noise,
which changes a pixel by one grey level at most. docs/stages.md says how to change any of it.
"""

from dataclasses import replace
from typing import Any

from signbit.data.augment import Augmentation
from signbit.training import DataConfig, LossConfig, ModelConfig, OptimConfig, Recipe, Schedule

__all__ = ["ADAMBNN_CIFAR10", "ADAMBNN_DIGITS", "ADAMBNN_IMAGENET", "IMAGENET", "two_steps"]

PER_EPOCH = {"lr": Schedule(kind="linear", end=0.0, per_epoch=True)}
"""lr·(1 − (e + 1)/E) in epoch e: the last one only refreshes the statistics of the norms."""


def latent_adam(*, lr: float) -> OptimConfig:
    """Adam on latent weights that nothing clips, as in ReActNet and AdamBNN."""
    return OptimConfig(name="adam", options={"lr": lr, "clip": None}, schedules=PER_EPOCH)


def two_steps(*, decay: float) -> dict[str, dict[str, Any]]:
    """Binary activations with weight decay on what will be binary, then binary weights without."""
    return {
        "activations": {
            "model": {"options": {"weight_quantizer": None}},
            "optim": {"options": {"weight_decay": decay}},
        },
        "both": {},
    }


def taught_by_a_twin(stages: dict[str, dict[str, Any]], **changes: Any) -> dict[str, dict[str, Any]]:
    """The same stages after one that trains their teacher, the float twin of the network, on labels alone."""
    twin = {"model": {"options": {"binary": False}}, "loss": {"labels": 1.0, "distribution": 0.0}, "teacher": None}
    first, *rest = stages
    return {
        "teacher": twin | changes,
        first: stages[first] | {"start": "fresh"},
        **{name: stages[name] for name in rest},
    }


IMAGENET = DataConfig(
    name="image-folder",
    root="imagenet",
    options={"size": 224, "resize": 256},
    workers=8,
    augmentation=Augmentation(crop_area=0.08, flip=True),
)
"""Folders imagenet/train/CLASS and imagenet/val/CLASS; images are cut to 224x224 before they are varied."""

_IMAGENET = Recipe(
    name="adambnn-imagenet",
    data=IMAGENET,
    model=ModelConfig(name="reactnet_a", options={"pad_value": 0}),
    optim=latent_adam(lr=1.25e-3),
    real=OptimConfig(name="adam", options={"lr": 1.25e-3}, schedules=PER_EPOCH),
    epochs=256,
    batch_size=256,
    mode="fast",
    loss=LossConfig(labels=0.0, distribution=1.0),
    teacher="runs/teacher",
    stages=two_steps(decay=5e-6),
)

ADAMBNN_IMAGENET = (_IMAGENET,)
"""As published, on a folder of images; the teacher is a run directory, or any network from Python."""

_CIFAR10 = replace(
    _IMAGENET,
    name="adambnn-cifar10",
    data=DataConfig(name="cifar10", reserve="last:10000", augmentation=Augmentation(crop_padding=4, flip=True)),
    model=ModelConfig(
        name="resnet20_cifar", options={"activation": "rprelu", "weight_quantizer": "sign(scale=mean)", "shift": True}
    ),
    optim=latent_adam(lr=5e-3),
    real=OptimConfig(name="adam", options={"lr": 5e-3}, schedules=PER_EPOCH),
    epochs=8,
    batch_size=100,
    threads=1,
    teacher="teacher",
    stages=taught_by_a_twin(two_steps(decay=5e-6)),
)

ADAMBNN_CIFAR10 = (_CIFAR10,)
"""Reduced: ResNet-20 in ReActNet's manner, its float twin trained first for a teacher."""

_DIGITS = replace(
    _CIFAR10,
    name="adambnn-digits",
    data=DataConfig(name="digits", augmentation=Augmentation(degrees=10.0, translate=0.1, scale=0.1)),
    model=ModelConfig(name="digits_cnn", options={"quantizer": "approxsign", "weight_quantizer": "sign(scale=mean)"}),
    epochs=10,
    batch_size=50,
    mode="exact",
)

ADAMBNN_DIGITS = (_DIGITS,)
"""The same in seconds, on scikit-learn's digits."""
