"""How far a run has come, on a terminal."""

from typing import Any, final

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from typing_extensions import override

from signbit.training.module import Classification

__all__ = ["ProgressBar"]


@final
class ProgressBar(Callback):
    """Updates done, time left and the last epoch's figures on standard error; nothing where that is no terminal.

    Args:
        stage: name of the stage, if the run has stages.
    """

    def __init__(self, stage: str = "") -> None:
        self.stage = stage
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
            console=Console(stderr=True),
        )

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Classification)
        recipe = pl_module.recipe
        self.task = self.progress.add_task(
            f"{recipe.name} · {self.stage or recipe.optim.name}",
            total=pl_module.steps,
            completed=trainer.global_step,
            figures="",
        )
        if self.progress.console.is_terminal:
            self.progress.start()

    @override
    def on_train_batch_end(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        self.progress.update(self.task, completed=trainer.global_step)

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Classification)
        found = pl_module.figures()
        part = "validation" if "validation_accuracy" in found else "train"
        figures = f"loss {found['train_loss']:.3f}, {part} {found[f'{part}_accuracy']:.1%}"
        self.progress.update(self.task, figures=figures)

    @override
    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._stop()

    @override
    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._stop()

    def _stop(self) -> None:
        if self.progress.live.is_started:
            self.progress.stop()
