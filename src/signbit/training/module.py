"""What Lightning needs to know of a training run: the step, the batches, the optimizer."""

import math
import os
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, final

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch._dynamo.exc import TorchDynamoException
from typing_extensions import override

from signbit.data import Dataset
from signbit.data.augment import Augment, Mix, Prepare
from signbit.data.loader import Batch, Loader, mix
from signbit.nn import BinaryLayer
from signbit.quantizers import SubBit, schedule_quantizers
from signbit.sparsity import Sparsifier, draw_sizes
from signbit.training.diagnosis import origin_of_nonfinite
from signbit.training.objective import Objective
from signbit.training.optimizers import build_optimizer, build_schedulers
from signbit.training.penalty import check_penalty, penalty, penalty_figures
from signbit.training.recipe import Recipe
from signbit.training.teacher import Teacher

__all__ = ["EVALUATION_BATCH", "Classification", "InterruptError", "TrainingError"]

EVALUATION_BATCH = 500


class TrainingError(ValueError):
    """A run that cannot go on; the message says where it stopped and what to change."""


@final
class InterruptError(Exception):
    """A run that a signal has stopped, after saving it; no ValueError, for who passes over mistakes means not Ctrl-C.

    Attributes:
        exit_code: what a program that ends for this reason returns, as shells count.
    """

    def __init__(self, message: str, number: signal.Signals) -> None:
        super().__init__(message)
        self.exit_code = 128 + number


@final
class Classification(LightningModule):
    """A recipe's loss on images: augment and prepare a batch, one step of the recipe's optimizer.

    Every random number of a batch is a function of the recipe's seed and the number of the batch, and the order of an
    epoch one of seed and epoch; the sums behind an epoch's figures are in the checkpoint. So a run can be taken up
    again wherever a checkpoint left it.

    Args:
        recipe: the run.
        model: network with the weights to begin with.
        training: images to train on.
        validation: images to measure after each epoch, or None.
        teacher: what the loss compares with, where it has such terms.
    """

    def __init__(
        self,
        recipe: Recipe,
        model: nn.Module,
        training: Dataset,
        validation: Dataset | None,
        teacher: Teacher | None = None,
    ) -> None:
        super().__init__()
        check_penalty(recipe)
        # On CPUs convolutions then take two thirds of the time.
        self.model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.objective = Objective(recipe.loss, model, teacher)
        self.score = _scorer(model, recipe)
        if teacher is not None and recipe.mode == "fast":
            teacher.compile()
        self.recipe = recipe
        self.training_set = training
        self.validation_set = validation
        self.prepare = Prepare(training.image)
        self.augment = Augment(recipe.data.augmentation, (training.image.height, training.image.width))
        self.mix = Mix(recipe.data.augmentation, len(training.classes))
        self.batches = len(self.train_dataloader())
        self.steps = recipe.epochs * math.ceil(self.batches / recipe.accumulate)
        # Before the optimizer, which may leave nothing of the weights but signs.
        self.sparsifier: Sparsifier | None = None
        if recipe.sparsity.density is not None:
            self.sparsifier = Sparsifier(model, recipe.sparsity, steps=self.steps, seed=recipe.seed)
        else:
            # A run may begin with the weights of one whose optimizer kept signs alone.
            draw_sizes(model, seed=recipe.seed)
        self.hybrid = build_optimizer(recipe, model)
        if self.sparsifier is not None:
            self.sparsifier.follow(self.hybrid.members["binary"])
        self.totals = _no_totals()
        self.fingerprint = None if teacher is None else teacher.fingerprint()

    @override
    def train_dataloader(self) -> Loader:
        recipe, seed = self.recipe, mix(self.recipe.seed, self.current_epoch)
        workers = recipe.data.workers
        return Loader(self.training_set, batch_size=recipe.batch_size, seed=seed, drop_last=True, workers=workers)

    @override
    def val_dataloader(self) -> Loader | list[Loader]:
        if self.validation_set is None:
            return []
        return Loader(self.validation_set, batch_size=EVALUATION_BATCH, workers=self.recipe.data.workers)

    @override
    def configure_optimizers(self) -> OptimizerLRScheduler:
        schedulers = build_schedulers(self.recipe, self.hybrid, self.steps)
        entries: Any = [{"scheduler": scheduler, "interval": "step"} for scheduler in schedulers]
        return [self.hybrid], entries

    @override
    def lr_scheduler_step(self, scheduler: Any, metric: Any | None) -> None:
        scheduler.step()

    @override
    def on_fit_start(self) -> None:
        if self.objective.teacher is not None:
            self.objective.teacher.to(self.device)

    @override
    def on_train_epoch_start(self) -> None:
        self.totals = _no_totals()

    @override
    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        torch.manual_seed(mix(self.recipe.seed, -1 - (self.current_epoch * self.batches + batch_idx)))
        schedule_quantizers(self.model, min(self.global_step / self.steps, 1.0))
        pixels, labels = batch
        mixed, targets = self.mix(self.augment(pixels), labels)
        images = self.prepare(mixed)
        scores = self.score(images)
        loss = self.objective(scores, targets, mixed)
        if not torch.isfinite(loss):
            found = self.objective.blame(mixed)
            if found is None:
                found = f"{origin_of_nonfinite(self.model, images)}; lower real.options.lr or optim.options.lr"
            raise TrainingError(
                f"the loss is {loss.item()} at epoch {self.current_epoch + 1}, step {self.global_step}: {found}"
            )
        hits, count = int((scores.argmax(1) == labels).sum()), len(labels)
        self.totals += torch.tensor([loss.item() * count, hits, count], dtype=torch.float64)
        return loss + penalty(loss, self.recipe, self.model)

    def figures(self) -> dict[str, float]:
        """Losses and accuracies of the epoch so far; with MixUp or CutMix, training accuracy is on mixed images."""
        loss, hits, count = self.totals.tolist()
        validation = {name: float(value) for name, value in self.trainer.callback_metrics.items()}
        reached = penalty_figures(self.recipe, self.model)
        if self.sparsifier is not None:
            reached |= {"density": self.sparsifier.reached(), "explored": self.sparsifier.explored()}
        return {"train_accuracy": hits / count, "train_loss": loss / count} | validation | reached

    @override
    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        pixels, labels = batch
        # In float32 in every mode: bfloat16 rounds integer sums above 256, and the figures are the packed network's.
        with torch.autocast(pixels.device.type, enabled=False):
            scores = self.model(self.prepare(pixels))
        values = {
            "validation_loss": F.cross_entropy(scores, labels),
            "validation_accuracy": (scores.argmax(1) == labels).float().mean(),
        }
        self.log_dict(values, on_step=False, on_epoch=True, batch_size=len(labels))

    @override
    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["image"] = asdict(self.training_set.image)
        checkpoint["labels"] = list(self.training_set.classes)
        checkpoint["recipe"] = asdict(self.recipe)
        checkpoint["totals"] = self.totals
        checkpoint["teacher"] = self.fingerprint
        checkpoint["sparsity"] = None if self.sparsifier is None else self.sparsifier.state_dict()

    @override
    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.totals = checkpoint["totals"]
        if self.sparsifier is not None:
            self.sparsifier.load_state_dict(checkpoint["sparsity"])


def _scorer(model: nn.Module, recipe: Recipe) -> Callable[[Tensor], Tensor]:
    """The network as a function, because a compiled module would be a second copy in the state dict."""

    def score(images: Tensor) -> Tensor:
        scores: Tensor = model(images)
        return scores

    if recipe.mode == "exact":
        return score
    compiler = os.environ.get("CXX", {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++"))
    if shutil.which(compiler) is None and not torch.cuda.is_available():
        raise TrainingError(
            f"mode fast compiles the network, and there is no C++ compiler {compiler} (CXX names another); "
            "install one, or take mode exact"
        )
    compiled = torch.compile(score)
    layers = [module for module in model.modules() if isinstance(module, BinaryLayer)]
    ahead = [(layer.weight_quantizer, layer) for layer in layers if isinstance(layer.weight_quantizer, SubBit)]

    def compiled_score(images: Tensor) -> Tensor:
        for quantizer, layer in ahead:
            quantizer.ahead = quantizer.encode(layer.weight)
        try:
            return compiled(images)
        except TorchDynamoException as error:
            raise TrainingError(
                f"mode fast could not compile the network ({str(error).splitlines()[0]}); take mode exact"
            ) from error
        finally:
            for quantizer, _ in ahead:
                quantizer.ahead = None

    return compiled_score


def _no_totals() -> Tensor:
    """Loss summed over images, hits, images."""
    return torch.zeros(3, dtype=torch.float64)
