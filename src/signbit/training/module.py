"""What Lightning needs to know of a training run: the step, the batches, the optimizer."""

from dataclasses import asdict
from typing import Any, final

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from typing_extensions import override

from signbit.data import Dataset
from signbit.data.augment import Augment, Prepare
from signbit.data.loader import Batch, Loader, mix
from signbit.quantizers import schedule_quantizers
from signbit.training.optimizers import build_optimizer, build_schedulers
from signbit.training.recipe import Recipe

__all__ = ["EVALUATION_BATCH", "Classification", "TrainingError"]

EVALUATION_BATCH = 500


class TrainingError(ValueError):
    """A run that cannot go on; the message says where it stopped and what to change."""


@final
class Classification(LightningModule):
    """Cross-entropy on images: augment and prepare a batch, one step of the recipe's optimizer.

    Every random number of an update is a function of the recipe's seed and the number of the update, and the order of
    an epoch one of seed and epoch, so that a run can be taken up again where a checkpoint left it.

    Args:
        recipe: the run.
        model: network with fresh weights.
        training: images to train on.
        validation: images to measure after each epoch, or None.
    """

    def __init__(self, recipe: Recipe, model: nn.Module, training: Dataset, validation: Dataset | None) -> None:
        super().__init__()
        # On CPUs convolutions then take two thirds of the time.
        self.model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.recipe = recipe
        self.training_set = training
        self.validation_set = validation
        self.prepare = Prepare(training.image)
        self.augment = Augment(recipe.data.augmentation, (training.image.height, training.image.width))
        self.hybrid = build_optimizer(recipe, model)
        self.steps = recipe.epochs * len(self.train_dataloader())

    @override
    def train_dataloader(self) -> Loader:
        seed = mix(self.recipe.seed, self.current_epoch)
        return Loader(self.training_set, batch_size=self.recipe.batch_size, seed=seed, drop_last=True)

    @override
    def val_dataloader(self) -> Loader | list[Loader]:
        return [] if self.validation_set is None else Loader(self.validation_set, batch_size=EVALUATION_BATCH)

    @override
    def configure_optimizers(self) -> OptimizerLRScheduler:
        schedulers = build_schedulers(self.recipe, self.hybrid, self.steps)
        entries: Any = [{"scheduler": scheduler, "interval": "step"} for scheduler in schedulers]
        return [self.hybrid], entries

    @override
    def lr_scheduler_step(self, scheduler: Any, metric: Any | None) -> None:
        scheduler.step()

    @override
    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        torch.manual_seed(mix(self.recipe.seed, -1 - self.global_step))
        schedule_quantizers(self.model, min(self.global_step / self.steps, 1.0))
        pixels, labels = batch
        scores = self.model(self.prepare(self.augment(pixels)))
        loss = F.cross_entropy(scores, labels)
        if not torch.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss.item()} at epoch {self.current_epoch + 1}, step {self.global_step}; "
                "lower real.options.lr or optim.options.lr"
            )
        self._log("train", loss.detach(), scores, labels)
        return loss

    @override
    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        pixels, labels = batch
        scores = self.model(self.prepare(pixels))
        self._log("validation", F.cross_entropy(scores, labels), scores, labels)

    def _log(self, part: str, loss: Tensor, scores: Tensor, labels: Tensor) -> None:
        accuracy = (scores.argmax(1) == labels).float().mean()
        values = {f"{part}_loss": loss, f"{part}_accuracy": accuracy}
        self.log_dict(values, on_step=False, on_epoch=True, batch_size=len(labels))

    @override
    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["image"] = asdict(self.training_set.image)
        checkpoint["labels"] = list(self.training_set.classes)
