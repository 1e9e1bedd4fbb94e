"""The figures of a run: one JSON line per epoch, and the same for TensorBoard."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override

from signbit.analysis import Monitor
from signbit.training.module import Classification, TrainingError

__all__ = ["Metrics"]


@final
class Metrics(Callback):
    """Appends one JSON line per epoch: losses, accuracies, flips, hyper-parameters, seconds.

    Args:
        path: the file.
        tensorboard: folder for TensorBoard's events, or None.
    """

    def __init__(self, path: Path, tensorboard: Path | None = None) -> None:
        self.path = path
        self.tensorboard = tensorboard
        self.started = 0.0
        self.seconds = 0.0
        self.monitor: Monitor | None = None
        self.seen: dict[str, Any] | None = None

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.started = time.perf_counter() - self.seconds
        self._watch(pl_module)
        if self.monitor is not None and self.seen is not None:
            self.monitor.load_state_dict(self.seen)

    @override
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Anew each epoch, so that a resumed run watches the same steps; not called where a run goes on inside an epoch.
        self._watch(pl_module)

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Classification)
        self._tick()
        line: dict[str, Any] = {"epoch": trainer.current_epoch + 1, "step": trainer.global_step}
        line["seconds"] = round(self.seconds, 3)
        line |= dict(sorted(pl_module.figures().items()))
        flips = None if self.monitor is None else self.monitor.read()
        if flips is not None:
            line |= {"flip_ratio": flips.total, "pi": flips.pi, "flip_ratio_by_layer": flips.layers}
        self._stop_watching()
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

    def _watch(self, module: LightningModule) -> None:
        assert isinstance(module, Classification)
        self._stop_watching()
        self.monitor = Monitor(module.model, module.hybrid)

    def _stop_watching(self) -> None:
        if self.monitor is not None:
            self.monitor.remove()
            self.monitor = None

    def _tick(self) -> None:
        self.seconds = time.perf_counter() - self.started

    @override
    def state_dict(self) -> dict[str, Any]:
        self._tick()
        return {"seconds": self.seconds, "seen": None if self.monitor is None else self.monitor.state_dict()}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seconds, self.seen = state_dict["seconds"], state_dict["seen"]


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
            for key, figure in value.items() if isinstance(value, dict) else [("", value)]:
                writer.add_scalar(f"{name}/{key}".rstrip("/"), figure, line["step"])
