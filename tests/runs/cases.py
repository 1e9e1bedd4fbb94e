"""What run directories hold, made up."""

import math
from typing import Any

VERSIONS = {"signbit": "0.1.0", "torch": "2.13.0", "cpu": "a CPU", "threads": 1}
SCHEDULE = {"kind": "linear", "end": 0.0, "power": 1.0, "every": None, "stairs": 1, "warmup": 0.0}


def recipe(*, optim: str = "bop", seed: int = 0, epochs: int = 12, **options: float) -> dict[str, Any]:
    """As recipe.yaml holds it."""
    return {
        "name": "small",
        "data": {"name": "cifar10", "root": "data", "options": {}, "validation": "last:5000", "workers": 0},
        "model": {"name": "binarynet", "options": {"widths": [32, 64]}},
        "optim": {"name": optim, "options": {"lr": 1e-3, **options}, "schedules": {"lr": dict(SCHEDULE)}},
        "real": {"name": "adam", "options": {"lr": 1e-2}, "schedules": {}},
        "epochs": epochs,
        "seed": seed,
        "mode": "fast",
        "tensorboard": False,
    }


def line(epoch: int, *, level: float = 0.8, seed: int = 0) -> dict[str, Any]:
    """One epoch's figures, along a plausible curve."""
    accuracy = level * (1 - math.exp(-epoch / 4)) + 0.004 * math.sin(3 * epoch + 2 * seed) + 0.005 * seed
    flips = 2e-2 * math.exp(-epoch / 3)
    return {
        "epoch": epoch,
        "step": 100 * epoch,
        "seconds": 10.0 * epoch,
        "train_accuracy": accuracy + 0.01,
        "train_loss": 1.5 - accuracy,
        "validation_accuracy": accuracy,
        "validation_loss": 1.6 - accuracy,
        "flip_ratio": flips,
        "pi": math.log(flips + math.exp(-9)),
        "flip_ratio_by_layer": {"stem.conv.weight": 2 * flips, "head.fc.weight": flips / 2},
        "dead_zone": 0.1,
        "c2i": 0.6,
    }
