"""The loss of the first binary networks."""

import torch.nn.functional as F
from torch import Tensor

__all__ = ["squared_hinge"]


def squared_hinge(scores: Tensor, targets: Tensor) -> Tensor:
    """Mean over images and classes of max(0, 1 − y·s)² (1602.02830); y = +1 for the image's class, −1 for the others.

    A target between the two, as MixUp makes them, takes both sides by its share.

    Args:
        scores: s, (N, classes).
        targets: labels, int64 (N,), or shares of the classes, (N, classes), within 0..1.
    """
    scores = scores.float()
    share = F.one_hot(targets, scores.shape[1]).float() if targets.dim() == 1 else targets
    return (share * F.relu(1 - scores).square() + (1 - share) * F.relu(1 + scores).square()).mean()
