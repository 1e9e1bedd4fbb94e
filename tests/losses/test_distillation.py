import math

import pytest
import torch
import torch.nn.functional as F

from signbit.losses import distillation_loss, distribution_loss

STUDENT, TEACHER = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[2.0, 0.0, 1.0]])


def test_published_and_worked_out_values():
    student, teacher = torch.tensor([[0.0, math.log(3)]]), torch.zeros(1, 2)
    assert distribution_loss(student, teacher).item() == pytest.approx(0.836988, abs=1e-6)
    assert distribution_loss(STUDENT, TEACHER).item() == pytest.approx(1.828118, abs=1e-6)
    assert distillation_loss(STUDENT, TEACHER, temperature=1.0).item() == pytest.approx(0.995723, abs=1e-6)
    assert distillation_loss(STUDENT, TEACHER).item() == pytest.approx(1.030747, abs=1e-6)


def test_the_smoothed_labels_of_torch_have_the_value_of_the_table():
    loss = F.cross_entropy(STUDENT, torch.tensor([2]), label_smoothing=0.1)
    assert loss.item() == pytest.approx(0.507606, abs=1e-6)


def test_at_temperature_one_both_have_the_same_gradient_and_the_teacher_none():
    student, teacher = torch.randn(5, 7, requires_grad=True), torch.randn(5, 7, requires_grad=True)
    gradients = []
    for loss in (distribution_loss(student, teacher), distillation_loss(student, teacher, temperature=1.0)):
        gradients.append(torch.autograd.grad(loss, [student, teacher], allow_unused=True))
    torch.testing.assert_close(gradients[0][0], gradients[1][0])
    assert gradients[0][1] is gradients[1][1] is None


def test_a_mean_over_the_batch_in_float32():
    student, teacher = torch.randn(8, 3), torch.randn(8, 3)
    for loss in (distribution_loss, distillation_loss):
        single = torch.stack([loss(student[i : i + 1], teacher[i : i + 1]) for i in range(8)])
        assert loss(student, teacher).item() == pytest.approx(single.mean().item(), rel=1e-5)
        assert loss(student.bfloat16(), teacher.bfloat16()).dtype == torch.float32


def test_mistakes_get_one_sentence():
    with pytest.raises(ValueError, match=r"scores of one shape, got \(2, 3\) and \(2, 4\); take a teacher of the same"):
        distribution_loss(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(ValueError, match="temperature must be > 0, got 0"):
        distillation_loss(STUDENT, TEACHER, temperature=0.0)
