"""A student's scores held to a teacher's."""

import torch.nn.functional as F
from torch import Tensor

__all__ = ["distillation_loss", "distribution_loss"]


def distribution_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Distribution loss −mean_n Σ_c p_teacher · log p_student of ReActNet (2003.03488) and AdamBNN (2106.11309).

    Its gradient is that of the divergence KL(teacher ‖ student): the two differ by the teacher's entropy.

    Args:
        student: scores, (N, classes).
        teacher: scores, (N, classes); no gradient flows into them.
    """
    _check(student, teacher)
    return -(_probabilities(teacher) * F.log_softmax(student.float(), 1)).sum(1).mean()


def distillation_loss(student: Tensor, teacher: Tensor, *, temperature: float = 4.0) -> Tensor:
    """Distillation T² · mean_n KL(p_teacher ‖ p_student), both of scores divided by T (Hinton et al., 1503.02531).

    Args:
        student: scores, (N, classes).
        teacher: scores, (N, classes); no gradient flows into them.
        temperature: T > 0; a high one shows more of what the teacher thinks of the wrong classes.
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be > 0, got {temperature}")
    _check(student, teacher)
    target = _probabilities(teacher / temperature)
    predicted = F.log_softmax(student.float() / temperature, 1)
    return temperature**2 * F.kl_div(predicted, target, reduction="batchmean")


def _probabilities(scores: Tensor) -> Tensor:
    return F.softmax(scores.detach().float(), 1)


def _check(student: Tensor, teacher: Tensor) -> None:
    if student.shape != teacher.shape:
        raise ValueError(
            f"student and teacher must give scores of one shape, got {tuple(student.shape)} and "
            f"{tuple(teacher.shape)}; take a teacher of the same classes"
        )
