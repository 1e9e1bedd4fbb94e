"""Real-to-Binary (2003.11535): four stages, each the teacher of the next.

A reconstruction. The authors released no code; the stages are those of Larq Zoo's example, which states that its own
weights came from other steps. Known from there: order, optimizers, rates, epochs, weights of the losses. Chosen here:
the rate falls in three equal jumps, not at epochs 40, 60 and 70; the second stage begins with fresh weights; one batch
size; the network is Bi-Real-18 with PReLU, without the paper's gates and norm-first blocks.
"""

from typing import Any

from signbit.recipes.adambnn import IMAGENET
from signbit.training import LossConfig, ModelConfig, OptimConfig, Recipe, Schedule

__all__ = ["REALTOBINARY_IMAGENET"]

_STAIRS = {"lr": Schedule(kind="staircase", end=0.027, stairs=3, warmup=5)}

_BLOCKS = [f"stage{stage}.{block}" for stage in range(1, 5) for block in (1, 3)]
"""The eight blocks of a ResNet-18, two of our residual blocks each."""


def _real(**options: Any) -> dict[str, Any]:
    return {"options": {"weight_decay": 1e-5, **options}}


_RECIPE = Recipe(
    name="real-to-binary-imagenet",
    data=IMAGENET,
    model=ModelConfig(name="birealnet18", options={"activation": "prelu", "quantizer": "sign"}),
    optim=OptimConfig(name="adam", options={"lr": 1e-3, "clip": 1.0}, schedules=_STAIRS),
    real=OptimConfig(name="adam", options={"lr": 1e-3}, schedules=_STAIRS),
    epochs=75,
    batch_size=512,
    mode="fast",
    loss=LossConfig(distribution=3.0, attention=30.0, attention_norm="max", maps=_BLOCKS),
    stages={
        "real": {
            "model": {"options": {"binary": False}},
            "real": {
                "name": "sgd",
                "options": {"lr": 0.1, "momentum": 0.9, "weight_decay": 1e-5},
                "schedules": {"lr": {"kind": "cosine"}},
            },
            "epochs": 100,
            "loss": {"distribution": 0.0, "attention": 0.0},
        },
        "tanh": {
            "model": {"options": {"quantizer": "tanh", "weight_quantizer": None}},
            "real": _real(),
            "teacher": "real",
            "start": "fresh",
        },
        "activations": {
            "model": {"options": {"weight_quantizer": None}},
            "optim": _real(clip=None),
            "real": _real(),
            "teacher": "tanh",
        },
        "both": {
            "optim": {"options": {"lr": 2e-4}},
            "real": {"options": {"lr": 2e-4}},
            "loss": {"distribution": 0.8, "attention": 0.0},
            "teacher": "activations",
        },
    },
)

REALTOBINARY_IMAGENET = (_RECIPE,)
"""Four stages in one run directory; needs no teacher from elsewhere."""
