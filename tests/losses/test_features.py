import math

import pytest
import torch

from signbit.losses import attention_loss, block_loss

A = torch.tensor([[[[1.0, 0.0]], [[1.0, 2.0]]]])  # two channels, one row, two columns: Q = (1, 2)
B = torch.tensor([[[[2.0, 1.0]]]])  # one channel: Q = (4, 1)


def test_attention_by_hand():
    one, other = (1 / math.sqrt(5), 2 / math.sqrt(5)), (4 / math.sqrt(17), 1 / math.sqrt(17))
    assert attention_loss([A], [B]).item() == pytest.approx(math.dist(one, other), rel=1e-6)
    assert attention_loss([A], [B], norm="max").item() == pytest.approx((0.5**2 + 0.75**2) / 2, rel=1e-6)
    assert attention_loss([A, B], [B, B]).item() == pytest.approx(math.dist(one, other) / 2, rel=1e-6)


def test_attention_does_not_see_the_size_of_the_maps_and_survives_zeros():
    maps = torch.randn(3, 5, 4, 4)
    for norm in ("l2", "max"):
        assert attention_loss([7 * maps], [maps], norm=norm).item() == pytest.approx(0, abs=1e-6)
        empty = torch.zeros(3, 5, 4, 4, requires_grad=True)
        attention_loss([empty], [maps], norm=norm).backward()
        assert empty.grad is not None
        assert torch.isfinite(empty.grad).all()


def test_blocks_by_hand():
    zero = torch.zeros(1, 1, 1, 2)
    assert block_loss([B], [zero]).item() == 2.5
    assert block_loss([B, B], [zero, B]).item() == 1.25


def test_no_gradient_reaches_the_teacher():
    student, teacher = torch.randn(2, 3, 2, 2, requires_grad=True), torch.randn(2, 3, 2, 2, requires_grad=True)
    (attention_loss([student], [teacher]) + block_loss([student], [teacher])).backward()
    assert student.grad is not None
    assert teacher.grad is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: attention_loss([A], [A, A]), "need as many maps, and one at least, got 1, 2"),
        (lambda: block_loss([], []), "one at least, got 0, 0"),
        (lambda: block_loss([A], [B]), r"map 1: student \(1, 2, 1, 2\) and teacher \(1, 1, 1, 2\) must agree; name"),
        (lambda: attention_loss([A], [torch.zeros(1, 2, 2, 2)]), "must agree but for batch and channels"),
        (lambda: attention_loss([A], [A], norm="l1"), "norm must be one of l2, max, got 'l1'"),
    ],
)
def test_mistakes_get_one_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()
