"""A running mean of the real parameters (Lightning's weight averaging, with binary weights left alone)."""

from typing import Any, final

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging
from typing_extensions import override

from signbit.params import named_binary_parameters
from signbit.training.module import Classification

__all__ = ["RealAverage"]


@final
class RealAverage(EMAWeightAveraging):
    """After each update: mean ← decay·mean + (1 - decay)·value for real parameters and buffers; signs are copied.

    Validation uses the mean; a checkpoint holds it as `state_dict`, beside the values that training goes on with.
    """

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        assert isinstance(pl_module, Classification)
        assert self._average_model is not None
        mean = self._average_model.module
        assert isinstance(mean, Classification)
        with torch.no_grad():
            pairs = zip(named_binary_parameters(mean.model), named_binary_parameters(pl_module.model), strict=True)
            for (_, kept), (_, weight) in pairs:
                kept.copy_(weight)
