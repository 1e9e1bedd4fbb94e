"""The loss of a recipe, its terms weighted and added."""

from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from signbit.losses import (
    Maps,
    attention_loss,
    block_loss,
    distillation_loss,
    distribution_loss,
    squared_hinge,
)
from signbit.training.recipe import LossConfig
from signbit.training.teacher import Teacher

__all__ = ["Objective"]


@final
class Objective:
    """What a step minimises; shared, not copied, by copies of the student.

    Args:
        loss: the terms.
        model: the student, whose maps are kept where a term compares them.
        teacher: what it learns from, if a term needs one.

    Raises:
        ValueError: a term needs maps that student or teacher does not have.
    """

    def __init__(self, loss: LossConfig, model: nn.Module, teacher: Teacher | None) -> None:
        self.loss = loss
        self.teacher = teacher
        self.maps: tuple[Maps, Maps] | None = None
        if teacher is not None and loss.compares_maps:
            self.maps = (
                _maps("loss.maps", model, loss.maps),
                _maps("loss.teacher_maps", teacher.model, loss.teacher_maps or loss.maps),
            )

    def __deepcopy__(self, memo: dict[int, Any]) -> "Objective":
        return self

    def __call__(self, scores: Tensor, targets: Tensor, pixels: Tensor) -> Tensor:
        """The weighted sum of the terms.

        Args:
            scores: of the student, (N, classes), from its last forward pass.
            targets: labels, int64 (N,), or shares of the classes, (N, classes).
            pixels: what the student saw, uint8 (N, C, H, W).
        """
        loss, scores = self.loss, scores.float()
        total = loss.labels * self._of_labels(scores, targets) if loss.labels else scores.new_zeros(())
        if self.teacher is None:
            return total
        expected = self.teacher(pixels)
        if loss.distribution:
            total = total + loss.distribution * distribution_loss(scores, expected)
        if loss.distillation:
            total = total + loss.distillation * distillation_loss(scores, expected, temperature=loss.temperature)
        if self.maps is not None:
            student, teacher = (maps.take() for maps in self.maps)
            if loss.attention:
                total = total + loss.attention * attention_loss(student, teacher, norm=loss.attention_norm)
            if loss.blocks:
                total = total + loss.blocks * block_loss(student, teacher)
        return total

    def _of_labels(self, scores: Tensor, targets: Tensor) -> Tensor:
        if self.loss.kind == "squared-hinge":
            return squared_hinge(scores, targets)
        return F.cross_entropy(scores, targets, label_smoothing=self.loss.smoothing)

    def blame(self, pixels: Tensor) -> str | None:
        """The teacher's share in a loss that is not finite, in words; None if it has none."""
        if self.teacher is None or torch.isfinite(self.teacher(pixels)).all():
            return None
        return f"the teacher {self.teacher.source} gives scores that are not finite; take another"


def _maps(key: str, network: nn.Module, names: list[str]) -> Maps:
    try:
        return Maps(network, names)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None
