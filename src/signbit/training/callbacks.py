"""What happens beside the training step: metrics, checkpoints, progress."""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from typing_extensions import override

from signbit.analysis import Monitor
from signbit.training.module import Classification

__all__ = ["Checkpoints", "Metrics", "ProgressBar"]


@final
class Metrics(Callback):
    """Appends one JSON line per epoch: losses, accuracies, flips, hyper-parameters, seconds.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.started = 0.0
        self.monitor: Monitor | None = None
        self.seconds = 0.0

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.started = time.perf_counter() - self.seconds

    @override
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Classification)
        # Anew each epoch, so that a resumed run watches the same steps.
        self.monitor = Monitor(pl_module.model, pl_module.hybrid)

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Classification)
        self.seconds = time.perf_counter() - self.started
        line: dict[str, Any] = {"epoch": trainer.current_epoch + 1, "step": trainer.global_step}
        line["seconds"] = round(self.seconds, 3)
        line |= {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
        flips = None if self.monitor is None else self.monitor.read()
        if flips is not None:
            line |= {"flip_ratio": flips.total, "pi": flips.pi, "flip_ratio_by_layer": flips.layers}
        self._stop_watching()
        line["hyperparameters"] = _hyperparameters(pl_module)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    @override
    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._stop_watching()

    def _stop_watching(self) -> None:
        if self.monitor is not None:
            self.monitor.remove()
            self.monitor = None

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seconds = state_dict["seconds"]


def _hyperparameters(module: Classification) -> Mapping[str, float]:
    """Present values of whatever the recipe schedules."""
    groups = {name: member.param_groups[0] for name, member in module.hybrid.members.items()}
    configs = {"binary": module.recipe.optim, "real": module.recipe.real}
    return {
        f"{name}.{option}": float(group[option]) for name, group in groups.items() for option in configs[name].schedules
    }


@final
class Checkpoints(Callback):
    """Saves the whole state after every epoch, beside the last one, then renames: there is always a whole one.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.path.parent.mkdir(exist_ok=True)
        beside = self.path.with_name(f"{self.path.name}.partial")
        trainer.save_checkpoint(beside)
        os.replace(beside, self.path)


@final
class ProgressBar(Callback):
    """Updates done, time left and the last epoch's figures on standard error; nothing where that is no terminal."""

    def __init__(self) -> None:
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
            f"{recipe.name} · {recipe.optim.name}", total=pl_module.steps, completed=trainer.global_step, figures=""
        )
        if self.progress.console.is_terminal:
            self.progress.start()

    @override
    def on_train_batch_end(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        self.progress.update(self.task, completed=trainer.global_step)

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        found = trainer.callback_metrics
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
