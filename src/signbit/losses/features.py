"""A student's feature maps held to a teacher's, one map against one."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.linalg import vector_norm

from signbit.wording import check_choice

__all__ = ["AttentionNorm", "attention_loss", "block_loss"]

AttentionNorm = Literal["l2", "max"]
EPS = 1e-12


def attention_loss(student: Sequence[Tensor], teacher: Sequence[Tensor], *, norm: AttentionNorm = "l2") -> Tensor:
    """Attention transfer of Real-to-Binary (2003.11535), averaged over images and maps.

    The attention of a map A is Q = mean over channels of A², flattened. With "l2" the loss is ‖Q/‖Q‖₂ − Q'/‖Q'‖₂‖₂, as
    the paper is recalled; with "max" it is the mean over positions of (Q/max Q − Q'/max Q')², as in Larq Zoo.

    Args:
        student: maps, (N, channels, *spatial).
        teacher: as many; spatial sizes must agree, channels need not. No gradient flows into them.
        norm: "l2" or "max".
    """
    check_choice("norm", norm, AttentionNorm)
    _check(student, teacher, first=2)
    terms = []
    for own, other in zip(student, teacher, strict=True):
        difference = _attention(own, norm) - _attention(other.detach(), norm)
        terms.append(vector_norm(difference, dim=1) if norm == "l2" else difference.square().mean(1))
    return torch.stack(terms).mean()


def block_loss(student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
    """Mean squared difference of the maps, averaged over the maps: the block loss of DGRL (2007.05223).

    The paper's Σ_b ‖F_b − F'_b‖² with its weight could not be read; taking means, so that the weight does not depend on
    the sizes of the maps, is a reconstruction.

    Args:
        student: maps of any shape.
        teacher: maps of the same shapes. No gradient flows into them.
    """
    _check(student, teacher, first=1)
    pairs = zip(student, teacher, strict=True)
    return torch.stack([(own.float() - other.detach().float()).square().mean() for own, other in pairs]).mean()


def _attention(features: Tensor, norm: AttentionNorm) -> Tensor:
    energy = features.float().square().mean(1).flatten(1)
    size = vector_norm(energy, dim=1, keepdim=True) if norm == "l2" else energy.amax(1, keepdim=True)
    return energy / size.clamp_min(EPS)


def _check(student: Sequence[Tensor], teacher: Sequence[Tensor], *, first: int) -> None:
    """Equal numbers of maps, which agree from dimension `first` on."""
    if not len(student) == len(teacher) > 0:
        raise ValueError(f"student and teacher need as many maps, and one at least, got {len(student)}, {len(teacher)}")
    for number, (own, other) in enumerate(zip(student, teacher, strict=True), 1):
        if own.dim() != other.dim() or own.shape[first:] != other.shape[first:]:
            raise ValueError(
                f"map {number}: student {tuple(own.shape)} and teacher {tuple(other.shape)} must agree"
                f"{' but for batch and channels' if first == 2 else ''}; name other modules"
            )
