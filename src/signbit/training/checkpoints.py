"""Checkpoints that a kill, a signal, a full disk or a diverging run cannot hurt."""

import io
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any, final

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override

from signbit.files import write_whole
from signbit.training.diagnosis import nonfinite_tensor
from signbit.training.module import Classification, InterruptError, TrainingError

__all__ = ["Checkpoints", "WholeFiles"]


@final
class WholeFiles(TorchCheckpointIO):
    """Lightning's way of writing checkpoints, through `write_whole`."""

    @override
    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_whole(Path(path), buffer.getbuffer())


@final
class Checkpoints(Callback):
    """Saves the whole state after every epoch, every so many updates, and where Ctrl-C or SIGTERM stops the run.

    A signal lets the current update finish; a second one acts as it would without us.

    Args:
        path: the file.
        every: updates between checkpoints inside an epoch; None saves only at its end.
    """

    def __init__(self, path: Path, every: int | None) -> None:
        self.path = path
        self.every = every
        self.step = 0
        self.received: signal.Signals | None = None
        self.previous: dict[signal.Signals, Any] = {}

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.step = trainer.global_step
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self.previous[number] = signal.signal(number, self._note)

    @override
    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any) -> None:
        if trainer.global_step == self.step or trainer.is_last_batch:
            return
        self.step = trainer.global_step
        if self.received is not None or (self.every is not None and self.step % self.every == 0):
            self._save(trainer, pl_module)
        self._stop_if_asked(trainer)

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.step = trainer.global_step
        self._save(trainer, pl_module)
        self._stop_if_asked(trainer)

    @override
    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._hand_back()

    @override
    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._hand_back()

    def _save(self, trainer: Trainer, module: LightningModule) -> None:
        assert isinstance(module, Classification)
        run, step = self.path.parent.parent, trainer.global_step
        wrong = nonfinite_tensor(module.model.state_dict().items())
        if wrong is not None:
            raise TrainingError(
                f"{wrong} is no longer finite at step {step}, so the last checkpoint of {run} is kept as it is; "
                "lower real.options.lr or optim.options.lr"
            )
        try:
            trainer.save_checkpoint(self.path)
        except OSError as error:
            kept = "the last good one is kept" if self.path.exists() else "there is none yet"
            raise TrainingError(
                f"{self.path}: the checkpoint of step {step} could not be written ({error.strerror}), {kept}; "
                f"make room, then `signbit resume {run}` goes on"
            ) from None

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number)
        self._hand_back()

    def _stop_if_asked(self, trainer: Trainer) -> None:
        if self.received is not None:
            run = self.path.parent.parent
            raise InterruptError(
                f"stopped by {self.received.name} at step {trainer.global_step}, and saved; "
                f"`signbit resume {run}` goes on from there",
                self.received,
            )

    def _hand_back(self) -> None:
        while self.previous:
            number, handler = self.previous.popitem()
            signal.signal(number, handler)
