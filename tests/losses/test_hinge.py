import pytest
import torch
import torch.nn.functional as F

from signbit.losses import squared_hinge


def test_the_value_worked_out_by_hand():
    scores = torch.tensor([[0.5, -1.2, 2.0]])
    assert squared_hinge(scores, torch.tensor([0])).item() == pytest.approx(3.083333, abs=1e-6)
    assert squared_hinge(scores, torch.tensor([[1.0, 0.0, 0.0]])).item() == pytest.approx(3.083333, abs=1e-6)


def test_mixed_targets_take_both_sides_by_their_share():
    scores = torch.randn(6, 4)
    first, second = torch.randint(4, (6,)), torch.randint(4, (6,))
    shares = 0.3 * F.one_hot(first, 4) + 0.7 * F.one_hot(second, 4)
    mixed = 0.3 * squared_hinge(scores, first) + 0.7 * squared_hinge(scores, second)
    assert squared_hinge(scores, shares).item() == pytest.approx(mixed.item(), rel=1e-6)
