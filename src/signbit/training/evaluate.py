"""Accuracy of a network on labelled images."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from signbit.data import Dataset
from signbit.data.augment import Prepare
from signbit.data.loader import Loader
from signbit.training.datasets import load_part
from signbit.training.module import EVALUATION_BATCH
from signbit.training.run import Run, load_run

__all__ = ["Evaluation", "evaluate", "evaluate_run"]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Figures of one network on one set of images.

    Attributes:
        accuracy: share of images whose highest score is their class.
        loss: mean cross-entropy.
        correct: number of such images.
        samples: number of images.
    """

    accuracy: float
    loss: float
    correct: int
    samples: int


@torch.inference_mode()
def evaluate(model: nn.Module, dataset: Dataset, *, workers: int = 0) -> Evaluation:
    """Measures a network, in eval mode, on every image of a data set, prepared as the packed file says."""
    if not len(dataset):
        raise ValueError(f"{dataset.name} has no images to evaluate on")
    was_training, prepare = model.training, Prepare(dataset.image)
    model.eval()
    correct, loss = 0, 0.0
    for pixels, labels in Loader(dataset, batch_size=EVALUATION_BATCH, workers=workers):
        scores = model(prepare(pixels))
        if scores.shape[1] < len(dataset.classes):
            raise ValueError(
                f"{dataset.name} has {len(dataset.classes)} classes and the network scores {scores.shape[1]}; "
                "take the data that it was trained on"
            )
        correct += int((scores.argmax(1) == labels).sum())
        loss += float(F.cross_entropy(scores, labels, reduction="sum"))
    model.train(was_training)
    samples = len(dataset)
    return Evaluation(accuracy=correct / samples, loss=loss / samples, correct=correct, samples=samples)


def evaluate_run(run: str | Path | Run, *, split: str = "test", root: str | Path | None = None) -> Evaluation:
    """Measures a run's last weights on its data set.

    Args:
        run: a run or its directory.
        split: "test", or what the recipe makes of the training part: "train", "validation", "reserve".
        root: folder of the data; None takes the recipe's.
    """
    loaded = run if isinstance(run, Run) else load_run(run)
    data = loaded.recipe.data if root is None else replace(loaded.recipe.data, root=str(root))
    dataset = replace(load_part(data, split), image=loaded.image)
    return evaluate(loaded.model, dataset, workers=data.workers)
