"""The figures of a run: one JSON line per epoch, and the same for TensorBoard."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override

from signbit.analysis import Monitor, Movement
from signbit.training.module import Classification, TrainingError

__all__ = ["Metrics"]


@final
class Metrics(Callback):
    """Appends one JSON line per epoch: losses, accuracies, how weights move, hyper-parameters, seconds.

    Args:
        path: the file.
        tensorboard: folder for TensorBoard's events, or None.
        stage: name of the stage, if the run has stages.
        before: last line of the stage before; epochs, steps and seconds go on counting from there.
    """

    def __init__(
        self,
        path: Path,
        tensorboard: Path | None = None,
        *,
        stage: str = "",
        before: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = path
        self.tensorboard = tensorboard
        self.stage = stage
        self.before = {"epoch": 0, "step": 0, "seconds": 0.0} if before is None else before
        self.started = 0.0
        self.seconds = float(self.before["seconds"])
        self.monitor: Monitor | None = None
        self.saved: dict[str, Any] | None = None

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.started = time.perf_counter() - self.seconds
        assert isinstance(pl_module, Classification)
        self.monitor = Monitor(pl_module.model, pl_module.hybrid)
        if self.saved is not None:
            self.monitor.load_state_dict(self.saved)

    @override
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Each epoch, so that a resumed run watches the same steps; not called where a run goes on inside an epoch.
        assert self.monitor is not None
        self.monitor.restart()

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Classification)
        self._tick()
        line: dict[str, Any] = {"stage": self.stage} if self.stage else {}
        line["epoch"] = self.before["epoch"] + trainer.current_epoch + 1
        line["step"] = self.before["step"] + trainer.global_step
        line["seconds"] = round(self.seconds, 3)
        line |= dict(sorted(pl_module.figures().items()))
        movement = None if self.monitor is None else self.monitor.read()
        if movement is not None:
            line |= _figures(movement)
        line["hyperparameters"] = _hyperparameters(pl_module)
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            if self.tensorboard is not None:
                _write_events(self.tensorboard, line)
        except OSError as error:
            raise TrainingError(
                f"{self.path.parent}: the metrics of epoch {line['epoch']} could not be written ({error.strerror}); "
                f"make room, then `signbit resume {self.path.parent}` goes on from the last checkpoint"
            ) from None

    @override
    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._stop_watching()

    @override
    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._stop_watching()

    def _stop_watching(self) -> None:
        if self.monitor is not None:
            self.monitor.remove()
            self.monitor = None

    def _tick(self) -> None:
        self.seconds = time.perf_counter() - self.started

    @override
    def state_dict(self) -> dict[str, Any]:
        self._tick()
        return {"seconds": self.seconds, "monitor": None if self.monitor is None else self.monitor.state_dict()}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if "monitor" not in state_dict:
            run = self.path.parent
            raise TrainingError(f"{run} was begun by an earlier signbit, which kept no initial signs; train it anew")
        self.seconds, self.saved = state_dict["seconds"], state_dict["monitor"]


def _figures(movement: Movement) -> dict[str, Any]:
    """What goes into a line; docs/analysis.md says how to read it."""
    found: dict[str, Any] = {"pi": movement.pi}
    for key, shares in (("flip_ratio", movement.flips), ("dead_zone", movement.dead_zone), ("c2i", movement.initial)):
        if shares is not None:
            found |= {key: shares.total, f"{key}_by_layer": shares.layers}
    return found


def _hyperparameters(module: Classification) -> Mapping[str, float]:
    """Present values of whatever the recipe schedules."""
    groups = {name: member.param_groups[0] for name, member in module.hybrid.members.items()}
    configs = {"binary": module.recipe.optim, "real": module.recipe.real}
    return {
        f"{name}.{option}": float(group[option]) for name, group in groups.items() for option in configs[name].schedules
    }


def _write_events(folder: Path, line: dict[str, Any]) -> None:
    """One event per figure, at the line's step; each epoch has a file of its own, which a resumed run writes anew."""
    from torch.utils.tensorboard import SummaryWriter

    for old in folder.glob(f"*.epoch{line['epoch']}"):
        old.unlink()
    with SummaryWriter(folder, filename_suffix=f".epoch{line['epoch']}") as writer:
        for name, value in line.items():
            if isinstance(value, str):
                continue
            for key, figure in value.items() if isinstance(value, dict) else [("", value)]:
                writer.add_scalar(f"{name}/{key}".rstrip("/"), figure, line["step"])
